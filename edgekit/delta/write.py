"""Make an update from two bundles: every stretch of the new file by the cheapest means that there is."""

import contextlib
import json
import os
import zipfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from edgekit.bundle import WEIGHTS, Bundle, open_bundle
from edgekit.delta.codec import encode_codes, encode_floats, encode_near, encode_symbols, squeeze
from edgekit.delta.update import (
    FORMAT,
    HASH_DIGITS,
    KINDS,
    MANIFEST,
    PAYLOAD,
    VERSION,
    Piece,
    Update,
    open_update,
)
from edgekit.errors import BundleError
from edgekit.files import PathLike, atomic_write, sha256_bytes

Progress = Callable[[int, int, str], None]

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LOCAL_HEADER = 30  # bytes of a zip's local file header, before the name
_CHUNK_CODES = 1 << 18  # a multiple of 8: chunks end with a byte
_MOST_SYMBOLS = 8 << 20  # bytes of a deflate stream that a slow processor can still take apart
_KEEP_BYTES = 1 << 20  # a longer stretch is several pieces, so that a device never holds more of it


_Way = Tuple[str, Tuple[int, int], bytes, Tuple[int, ...]]  # kind, source, payload, detail


class _Region(NamedTuple):
    """A stretch of a bundle's file.

    Attributes:
        what: tensor or entry.
        part: as in `Piece`.
        form: "codes", "floats", "deflated" or "bytes".
        start: offset in the file.
        size: bytes, with the padding behind.
        used: bytes without the padding.
        detail: codes: (bits, number of codes); deflated: (bytes before the stream,).
        chunk: which part of a long tensor.
    """

    what: str
    part: str
    form: str
    start: int
    size: int
    used: int
    detail: Tuple[int, ...] = ()
    chunk: int = 0


def write_update(old: PathLike, new: PathLike, path: PathLike, progress: Optional[Progress] = None) -> Update:
    """Write the update that turns bundle `old` into bundle `new`; the file appears whole or not at all.

    Both bundles are held in memory. The same bundles give the same update with the same zlib.

    Args:
        old: the bundle that the devices have.
        new: the bundle that they shall have.
        path: the `.ekd` file.
        progress: told (bytes done, bytes in all, "").

    Raises:
        BundleError: one of them is no whole bundle, or they are the same.
        StorageError: the disk is full or the folder cannot be written.
    """
    before, after = open_bundle(old), open_bundle(new)
    if os.path.abspath(os.fspath(path)) in (os.path.abspath(before.path), os.path.abspath(after.path)):
        raise BundleError("{} is one of the two bundles; choose another name for the update".format(path))
    if before.sha256 == after.sha256:
        raise BundleError("{} and {} are the same bundle; there is nothing to send".format(before.path, after.path))
    with open(before.path, "rb") as stream:
        old_bytes = stream.read()
    with open(after.path, "rb") as stream:
        new_bytes = stream.read()
    pieces, payload = _pieces((before, old_bytes), (after, new_bytes), progress)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "model": after.name,
        "base": _file(before, old_bytes),
        "target": _file(after, new_bytes),
        "payload_sha256": sha256_bytes(payload),
        "pieces": [piece.to_json() for piece in _joined(pieces, new_bytes)],
    }
    _write(path, manifest, payload)
    return open_update(path)


def _pieces(
    old: Tuple[Bundle, bytes], new: Tuple[Bundle, bytes], progress: Optional[Progress]
) -> Tuple[List[Piece], bytes]:
    """A piece for each region of the new file, and their payloads in a row."""
    partners = {(region.what, region.part, region.chunk): region for region in _regions(*old)}
    space = old[1] + new[1]
    pieces, payloads = [], []
    earlier: List[_Region] = []  # graphs of the new file: those of two backends are alike
    for region in _regions(*new):
        partner = partners.get((region.what, region.part, region.chunk))
        graph = region.form == "deflated" and region.what.startswith("graphs/")
        data = new[1][region.start : region.start + region.size]
        piece, payload = _piece(region, data, ([partner] if partner else []) + (earlier if graph else []), space)
        pieces.append(piece)
        payloads.append(payload)
        if graph:
            earlier.append(region._replace(start=len(old[1]) + region.start))
        if progress is not None:
            progress(region.start + region.size, len(new[1]), "")
    return pieces, b"".join(payloads)


def _file(bundle: Bundle, data: bytes) -> Dict[str, Any]:
    return {"identity": bundle.sha256, "sha256": sha256_bytes(data), "size": len(data)}


def _write(path: PathLike, manifest: Dict[str, Any], payload: bytes) -> None:
    with atomic_write(path, "w+b") as stream:
        with zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
            for name, data, method in (
                (MANIFEST, json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode(), zipfile.ZIP_DEFLATED),
                (PAYLOAD, payload, zipfile.ZIP_STORED),
            ):
                info = zipfile.ZipInfo(name, date_time=_EPOCH)
                info.external_attr = 0o644 << 16
                info.compress_type = method
                archive.writestr(info, data)


def _piece(region: _Region, data: bytes, sources: List[_Region], space: bytes) -> Tuple[Piece, bytes]:
    """The cheapest piece for a region, and its payload."""
    sha256 = sha256_bytes(data)[:HASH_DIGITS]
    best: Optional[Tuple[Piece, bytes]] = None
    for kind, source, payload, detail in _ways(region, data, sources, space):
        piece = Piece(region.what, region.part, kind, region.size, source, len(payload), sha256, detail)
        if best is None or len(payload) < len(best[1]):
            best = piece, payload
    assert best is not None
    piece, payload = best
    start, count = piece.source
    if KINDS[piece.kind][0](space[start : start + count], payload, piece) != data:
        raise ValueError("{} does not survive being packed as {}".format(region.what, piece.kind))
    return best


def _ways(region: _Region, data: bytes, sources: List[_Region], space: bytes) -> Iterator[_Way]:
    """Each means that could make `data`; the old file and the new one behind it are the space of sources."""
    for source in sources:
        if space[source.start : source.start + len(data)] == data:
            yield "keep", (source.start, len(data)), b"", ()
            return
    for source in sources:
        for kind, payload, detail in _differences(
            region, data, source, space[source.start : source.start + source.used]
        ):
            yield kind, (source.start, source.used), payload, detail
    yield "whole", (0, 0), squeeze(data), ()
    yield "verbatim", (0, 0), data, ()


def _differences(
    region: _Region, data: bytes, source: _Region, before: bytes
) -> Iterator[Tuple[str, bytes, Tuple[int, ...]]]:
    yield "near", encode_near(before, data), ()
    if source.form != region.form or any(bytearray(data[region.used :])):
        return
    if region.form == "codes" and source.detail == region.detail:
        yield "codes", encode_codes(before, data[: region.used], *region.detail), region.detail
    if region.form == "floats" and source.used == region.used and region.used % 4 == 0:
        yield "floats", encode_floats(before, data[: region.used]), ()
    if region.form == "deflated" and len(data) <= _MOST_SYMBOLS and len(before) <= _MOST_SYMBOLS:
        with contextlib.suppress(ValueError, IndexError):  # stored blocks, of what cannot be compressed
            heads = source.detail + region.detail
            yield "symbols", encode_symbols(before, data, *heads), heads


def _joined(pieces: List[Piece], new: bytes) -> Iterator[Piece]:
    """The same pieces, with what is kept in a row as one, or as several where it is long."""
    at = 0
    for run in _runs(pieces):
        size = sum(piece.size for piece in run)
        if run[0].kind == "keep":
            yield from _kept(run[0], new[at : at + size])
        else:
            yield from run
        at += size


def _runs(pieces: List[Piece]) -> List[List[Piece]]:
    """Pieces one by one, but those together that keep neighbouring bytes of the old file."""
    runs: List[List[Piece]] = []
    for piece in pieces:
        last = runs[-1][-1] if runs else None
        if last is not None and last.kind == piece.kind == "keep" and sum(last.source) == piece.source[0]:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs


def _kept(first: Piece, data: bytes) -> Iterator[Piece]:
    for skipped in range(0, len(data), _KEEP_BYTES):
        part = data[skipped : skipped + _KEEP_BYTES]
        sha256 = sha256_bytes(part)[:HASH_DIGITS]
        yield Piece(first.what, first.part, "keep", len(part), (first.source[0] + skipped, len(part)), 0, sha256)


def _regions(bundle: Bundle, data: bytes) -> List[_Region]:
    """The whole file, in order, without a gap."""
    regions: List[_Region] = []
    with zipfile.ZipFile(bundle.path) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    at = 0
    for info in infos:
        begin = info.header_offset
        sizes = data[begin + 26 : begin + _LOCAL_HEADER]
        head = _LOCAL_HEADER + int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little")
        end = begin + head + info.compress_size
        if begin > at:
            regions.append(_plain("before " + info.filename, "container", at, begin - at))
        if info.filename == WEIGHTS and info.compress_type == zipfile.ZIP_STORED:
            regions.append(_plain(WEIGHTS, "container", begin, head))
            regions += _tensor_regions(_records(bundle.manifest), begin + head, info.compress_size)
        elif info.compress_type == zipfile.ZIP_DEFLATED:
            regions.append(_Region(info.filename, "entry", "deflated", begin, end - begin, end - begin, (head,)))
        else:
            regions.append(_plain(info.filename, "entry", begin, end - begin))
        at = end
    return regions + [_plain("directory", "container", at, len(data) - at)]


def _plain(what: str, part: str, start: int, size: int) -> _Region:
    return _Region(what, part, "bytes", start, size, size)


def _records(manifest: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The records of all tensors; those of a bundle's lower precisions are named after them."""
    found = list(manifest["weights"])
    for part in manifest.get("precisions", [])[1:]:
        found += [dict(record, name="{} bits: {}".format(part["bits"], record["name"])) for record in part["weights"]]
    return found


def _tensor_regions(records: List[Dict[str, Any]], origin: int, size: int) -> List[_Region]:
    """Tensors and scales in the order in which they lie, each with the padding behind it."""
    stretches = [region for record in records for region in _stretches(record)]
    once = {region.start: region for region in reversed(stretches)}  # precisions may share a tensor
    found = sorted(once.values(), key=lambda region: (region.start, region.size))
    ends = [region.start for region in found[1:]] + [size]
    lead = _plain("before tensors", "container", origin, found[0].start if found else size)
    return [lead] * (lead.size > 0) + [
        region._replace(start=origin + region.start, size=end - region.start) for region, end in zip(found, ends)
    ]


def _stretches(record: Dict[str, Any]) -> Iterator[_Region]:
    """Where a tensor and its scales lie in `weights.bin`; long ones in chunks, so that a device can stream them."""
    start, used, name = record["offset"], record["bytes"], record["name"]
    scale_bytes = 4 * record.get("scale_count", 0)
    if record["kind"] == "planes":  # entries of their own
        yield _Region(name, "scale", "floats", record["scale_offset"], scale_bytes, scale_bytes)
        return
    if record["kind"] == "codes":
        bits, count = record["bits"], int(np.prod(record["shape"], dtype=np.int64))
        step = _CHUNK_CODES * bits // 8
        for chunk, at in enumerate(range(0, max(used, 1), step)):
            part = min(used - at, step)
            detail = (bits, min(count - chunk * _CHUNK_CODES, _CHUNK_CODES))
            yield _Region(name, "tensor", "codes", start + at, part, part, detail, chunk)
        yield _Region(name, "scale", "floats", record["scale_offset"], scale_bytes, scale_bytes)
        return
    step = 4 * _CHUNK_CODES
    for chunk, at in enumerate(range(0, max(used, 1), step)):
        part = min(used - at, step)
        yield _Region(name, "tensor", "floats", start + at, part, part, (), chunk)
