"""The update file, `.ekd`: what it says, and how each of its pieces is made.

docs/delta.md is the specification. In short: the new file is a row of pieces, each with its hash; a piece is a stretch
of the old file, or bytes that the update brings, or the difference of the two.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from typing import Any, Callable, Dict, Tuple

from edgekit.delta.codec import (
    changed_planes,
    decode_codes,
    decode_floats,
    decode_near,
    decode_symbols,
    expand,
)
from edgekit.errors import BundleError
from edgekit.files import PathLike

FORMAT = "edgekit-update"
VERSION = 1
MANIFEST = "manifest.json"
PAYLOAD = "payload.bin"
HASH_DIGITS = 16

_MAX_MANIFEST_BYTES = 64 << 20
_MAX_PIECE_BYTES = 2 << 30
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Piece:
    """A stretch of the new file.

    Attributes:
        what: the tensor or entry that it belongs to.
        part: "tensor", "scale", "entry" or "container".
        kind: how it comes about, a key of `KINDS`.
        size: bytes of the new file.
        source: (offset, bytes) in the old file; offsets beyond its end go on in the new one as far as that has come.
        payload: bytes in the update.
        sha256: the first digits of its hash.
        detail: codes: (bits, number of codes); symbols: (bytes before the deflate stream in the source, in the
            new file); else empty.
    """

    what: str
    part: str
    kind: str
    size: int
    source: Tuple[int, int]
    payload: int
    sha256: str
    detail: Tuple[int, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """A plain dict; `from_json` gives the same piece back."""
        return {
            "what": self.what,
            "part": self.part,
            "kind": self.kind,
            "size": self.size,
            "source": list(self.source),
            "payload": self.payload,
            "sha256": self.sha256,
            "detail": list(self.detail),
        }

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "Piece":
        """The piece that `to_json` wrote; ValueError where it cannot be one."""
        offset, count = value["source"]
        piece = cls(
            str(value["what"]),
            str(value["part"]),
            value["kind"],
            value["size"],
            (offset, count),
            value["payload"],
            str(value["sha256"]),
            tuple(value["detail"]),
        )
        numbers = (piece.size, offset, count, piece.payload) + piece.detail
        if not all(type(n) is int and 0 <= n <= _MAX_PIECE_BYTES for n in numbers):
            raise ValueError("a size of piece {!r} is out of range".format(piece.what))
        if piece.kind not in KINDS or len(piece.detail) != KINDS[piece.kind][1]:
            raise ValueError("piece {!r} is of an unknown kind {!r}".format(piece.what, piece.kind))
        return piece


def _keep(old: bytes, payload: bytes, piece: Piece) -> bytes:
    return old


def _verbatim(old: bytes, payload: bytes, piece: Piece) -> bytes:
    return payload


def _whole(old: bytes, payload: bytes, piece: Piece) -> bytes:
    return expand(payload, piece.size)


def _near(old: bytes, payload: bytes, piece: Piece) -> bytes:
    return decode_near(old, payload, piece.size)


def _codes(old: bytes, payload: bytes, piece: Piece) -> bytes:
    bits, count = piece.detail
    return decode_codes(old, payload, bits, count).ljust(piece.size, b"\0")


def _floats(old: bytes, payload: bytes, piece: Piece) -> bytes:
    return decode_floats(old, payload, len(old)).ljust(piece.size, b"\0")


def _symbols(old: bytes, payload: bytes, piece: Piece) -> bytes:
    return decode_symbols(old, payload, *piece.detail)


# kind -> (the function from old bytes and payload to new bytes, how many numbers `Piece.detail` has)
KINDS: Dict[str, Tuple[Callable[[bytes, bytes, Piece], bytes], int]] = {
    "keep": (_keep, 0),
    "verbatim": (_verbatim, 0),
    "whole": (_whole, 0),
    "near": (_near, 0),
    "codes": (_codes, 2),
    "floats": (_floats, 0),
    "symbols": (_symbols, 2),
}


@dataclass(frozen=True)
class BundleFile:
    """One of the two files of an update: the bundle's identity, and hash and size of the file as a whole."""

    identity: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not (isinstance(self.identity, str) and isinstance(self.sha256, str) and isinstance(self.size, int)):
            raise ValueError("a bundle file is an identity, a hash and a size")


@dataclass(frozen=True)
class Update:
    """An opened update; its payload has the hash that the manifest says.

    Attributes:
        path: the file.
        model: the model's name.
        base: what it starts from.
        target: what it makes.
        pieces: the target, in order.
    """

    path: str
    model: str
    base: BundleFile
    target: BundleFile
    pieces: Tuple[Piece, ...]


def open_update(path: PathLike) -> Update:
    """Open an update and check it before anything is done with it.

    Raises:
        BundleError: not an update, truncated, damaged, or of another version.
    """
    path = os.fspath(path)
    with opened_zip(path) as archive:
        try:
            update, payload = _read_manifest(archive, path)
            digest = hashlib.sha256()
            with archive.open(PAYLOAD) as stream:
                for block in iter(lambda: stream.read(_BLOCK), b""):
                    digest.update(block)
        except BundleError:
            raise
        except Exception as error:  # zlib, CRC, JSON and truncation faults have no common base
            raise BundleError("{} is a damaged update ({}); copy it again".format(path, told(error))) from error
    if digest.hexdigest() != payload:
        raise BundleError("{}: {} does not match its hash; copy it again".format(path, PAYLOAD))
    return update


def opened_zip(path: str) -> zipfile.ZipFile:
    """The archive at `path`; BundleError where there is none."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise BundleError(
            "there is no update {}; make one with: edgekit delta OLD NEW -o {}".format(path, path)
        ) from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BundleError("{} is not a whole .ekd update ({}); copy it again".format(path, told(error))) from error


def told(error: Exception) -> str:
    """What a fault says, or at least its name."""
    return str(error) or type(error).__name__


def _read_manifest(archive: zipfile.ZipFile, path: str) -> Tuple[Update, str]:
    """The update, and the hash of its payload."""
    infos = archive.infolist()
    if [info.filename for info in infos[:1]] != [MANIFEST] or infos[0].file_size > _MAX_MANIFEST_BYTES:
        raise BundleError("{} does not start with {}; it is not an .ekd update".format(path, MANIFEST))
    value = json.loads(archive.read(infos[0]).decode("utf-8"))
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BundleError("{} is a zip, but its manifest is not of an .ekd update".format(path))
    if value.get("version") != VERSION:
        text = "{} is update version {}, this edgekit reads version {}; make it again or update edgekit"
        raise BundleError(text.format(path, value.get("version"), VERSION))
    if [info.filename for info in infos[1:]] != [PAYLOAD]:
        raise ValueError("it does not hold {} and {} alone".format(MANIFEST, PAYLOAD))
    pieces = tuple(Piece.from_json(piece) for piece in value["pieces"])
    base, target = (BundleFile(**value[key]) for key in ("base", "target"))
    update = Update(path, str(value["model"]), base, target, pieces)
    if sum(piece.size for piece in pieces) != target.size or infos[1].file_size != sum(p.payload for p in pieces):
        raise ValueError("its pieces do not add up")
    return update, str(value["payload_sha256"])


def describe_update(update: Update) -> Dict[str, Any]:
    """Both bundles, bytes by part and by kind, and the changed tensors, as plain values."""
    by_kind: Dict[str, Dict[str, int]] = {}
    by_part: Dict[str, int] = {}
    changed: Dict[Tuple[str, str], Dict[str, Any]] = {}
    with opened_zip(update.path) as archive, archive.open(PAYLOAD) as payloads:
        for piece in update.pieces:
            payload = payloads.read(piece.payload)
            row = by_kind.setdefault(piece.kind, {"pieces": 0, "payload": 0, "makes": 0})
            row["pieces"] += 1
            row["payload"] += piece.payload
            row["makes"] += piece.size
            by_part[piece.part] = by_part.get(piece.part, 0) + piece.payload
            if piece.part in ("tensor", "scale") and piece.kind != "keep":
                _add_tensor(changed, piece, payload)
    size = os.path.getsize(update.path)
    return {
        "file": update.path,
        "bytes": size,
        "model": update.model,
        "base": vars(update.base),
        "target": vars(update.target),
        "ratio": update.target.size / float(size),
        "kept_bytes": by_kind.get("keep", {}).get("makes", 0),
        "by_part": dict(by_part, index=size - sum(by_part.values())),
        "by_kind": by_kind,
        "tensors": list(changed.values()),
    }


def _add_tensor(changed: Dict[Tuple[str, str], Dict[str, Any]], piece: Piece, payload: bytes) -> None:
    """A long tensor is several pieces: their bytes add up, and each may change other planes."""
    fresh: Dict[str, Any] = {"name": piece.what, "part": piece.part, "bits": None, "planes": [], "whole": False}
    fresh.update(bytes=0, makes=0)
    row = changed.setdefault((piece.what, piece.part), fresh)
    row["bytes"] += piece.payload
    row["makes"] += piece.size
    row["whole"] = row["whole"] or piece.kind not in ("codes", "floats")
    if piece.kind == "codes":
        row["bits"] = piece.detail[0]
        row["planes"] = sorted(set(row["planes"]) | set(changed_planes(payload, piece.detail[0])), reverse=True)
