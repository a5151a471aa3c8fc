"""The artefact: one `.ekb` file with weights packed at their planned width and a graph for each backend.

docs/bundle.md is the specification. In short: a zip whose first entry is `manifest.json`; `weights.bin` is stored, so
that it can be mapped, small entries may be deflated; the manifest hashes every other entry. No pickle, no code.
"""

import io
import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgekit.errors import BundleError
from edgekit.files import PathLike, atomic_write, sha256_bytes, storage_errors
from edgekit.precision import (
    QuantPlan,
    bit_planes,
    midrise_from_planes,
    midrise_width,
    narrow_codes,
    pack_bits,
    pack_signs,
    raised_codes,
    unpack_bits,
)

FORMAT = "edgekit-bundle"
VERSION = 1
LAYERED_VERSION = 2
MANIFEST = "manifest.json"
WEIGHTS = "weights.bin"
WEIGHTS_DATA = "weights.data"
ALIGNMENT = 64
PART_KEYS = ("weights", "lowerings", "plan", "golden")
"""What each precision of a bundle of many has for itself."""

_MAX_MANIFEST_BYTES = 64 << 20
_MAX_ENTRY_BYTES = 2 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class WeightTensor:
    """One tensor as it is stored.

    Attributes:
        name: unique in the bundle.
        values: int8 or uint8 codes, or float32 values, of the tensor's own shape.
        bits: width of a code in the file, or None for float32.
        axis: the axis of the scales.
        scale: (C,) or (1,) float32 steps of the codes, or None for float32 values.
    """

    name: str
    values: np.ndarray
    bits: Optional[int] = None
    axis: int = 0
    scale: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        coded = self.bits is not None
        if coded != (self.scale is not None) or coded == (self.values.dtype == np.float32):
            raise ValueError("{}: codes have bits and a scale, float32 values have neither".format(self.name))

    def dequantized(self) -> np.ndarray:
        """The float32 values that the codes stand for."""
        if self.scale is None:
            return self.values
        shape = [1] * self.values.ndim
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        return self.values.astype(np.float32) * self.scale.astype(np.float32).reshape(shape)


@dataclass(frozen=True)
class LoweredGraph:
    """One lowering, ready to be written.

    Attributes:
        onnx_bytes: the ONNX graph; its large initializers are external data in `weights.data`, at the offsets that
            `external_layout` gives for `initializers`.
        initializers: (tensor name, encoding) in file order.
        opset: the ONNX opset.
        requires: what a machine must have, for example {"cpu": "vnni"}.
        parity: the parity report.
        hints: what the graph alone would tell a builder: names of layers, bytes (docs/bundle.md).
    """

    onnx_bytes: bytes
    initializers: Sequence[Tuple[str, str]]
    opset: int
    requires: Dict[str, Any] = field(default_factory=dict)
    parity: Dict[str, Any] = field(default_factory=dict)
    hints: Dict[str, Any] = field(default_factory=dict)


def _encode_int8(tensor: WeightTensor) -> np.ndarray:
    return tensor.values


def _encode_raised_int8(tensor: WeightTensor) -> np.ndarray:
    assert tensor.bits is not None
    return raised_codes(tensor.values, tensor.bits)


def _encode_narrow_int8(tensor: WeightTensor) -> np.ndarray:
    return narrow_codes(tensor.values)


def _encode_planes(tensor: WeightTensor) -> np.ndarray:
    assert tensor.bits is not None
    return bit_planes(tensor.values, tensor.bits)


def _encode_sign_words(tensor: WeightTensor) -> np.ndarray:
    return pack_signs(np.moveaxis(tensor.values, 1, -1))


def _encode_scales(tensor: WeightTensor) -> np.ndarray:
    assert tensor.scale is not None
    return tensor.scale.astype(np.float32)


def _encode_float32(tensor: WeightTensor) -> np.ndarray:
    return tensor.dequantized().astype(np.float32)


def _encode_float16(tensor: WeightTensor) -> np.ndarray:
    return tensor.dequantized().astype(np.float16)


ENCODINGS = {
    "int8": _encode_int8,
    "raised-int8": _encode_raised_int8,
    "narrow-int8": _encode_narrow_int8,
    "planes": _encode_planes,
    "sign-words": _encode_sign_words,
    "scales": _encode_scales,
    "dequant-float32": _encode_float32,
    "dequant-float16": _encode_float16,
    "float32": _encode_float32,
    "float16": _encode_float16,
}
_ITEM_BYTES = {
    "int8": 1,
    "raised-int8": 1,
    "narrow-int8": 1,
    "dequant-float32": 4,
    "dequant-float16": 2,
    "float32": 4,
    "float16": 2,
}


def encoded_bytes(tensor: WeightTensor, encoding: str) -> int:
    """How many bytes `tensor` takes in `weights.data` in that encoding."""
    if encoding == "planes":
        assert tensor.bits is not None
        return tensor.bits * ((tensor.values.size + 7) // 8)
    if encoding == "sign-words":
        depth = tensor.values.shape[1]
        return 4 * (tensor.values.size // depth) * ((depth + 31) // 32)
    if encoding == "scales":
        assert tensor.scale is not None
        return 4 * tensor.scale.size
    return tensor.values.size * _ITEM_BYTES[encoding]


def external_layout(
    initializers: Sequence[Tuple[str, str]], sizes: Dict[Tuple[str, str], int]
) -> List[Tuple[str, str, int, int]]:
    """Where each initializer lies in `weights.data`: (tensor, encoding, offset, bytes), aligned to 64 bytes.

    Args:
        initializers: (tensor name, encoding) in file order.
        sizes: the same pairs -> bytes.
    """
    layout = []
    offset = 0
    for tensor, encoding in initializers:
        count = sizes[tensor, encoding]
        layout.append((tensor, encoding, offset, count))
        offset = _aligned(offset + count)
    return layout


def write_bundle(
    path: PathLike,
    *,
    manifest: Dict[str, Any],
    tensors: Sequence[WeightTensor],
    lowerings: Dict[str, LoweredGraph],
    files: Optional[Dict[str, bytes]] = None,
) -> Dict[str, Any]:
    """Write a bundle; the file appears whole or not at all.

    The same arguments give the same bytes.

    Args:
        path: the `.ekb` file.
        manifest: model, preprocess, decode, input, outputs, plan, calibration, golden, provenance (docs/bundle.md).
        tensors: every tensor that a lowering names.
        lowerings: lowering name -> graph.
        files: further entries by path, for example golden images.

    Returns:
        The manifest as written, with weights, lowerings and entries filled in.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    blob = Blob()
    records = [blob.add(tensor) for tensor in tensors]
    weights = blob.data()
    by_name = {tensor.name: tensor for tensor in tensors}
    entries = dict(files or {})
    entries[WEIGHTS] = weights
    described = {}
    for name, lowered in lowerings.items():
        graph = "graphs/{}.onnx".format(name)
        entries[graph] = lowered.onnx_bytes
        described[name] = describe_lowering(graph, lowered, by_name)
    whole = dict(manifest, format=FORMAT, version=VERSION, weights=records, lowerings=described)
    write_entries(path, whole, entries, [WEIGHTS])
    return whole


def write_entries(path: PathLike, manifest: Dict[str, Any], entries: Dict[str, bytes], stored: Sequence[str]) -> None:
    """Write a bundle's entries; the file appears whole or not at all.

    Args:
        path: the `.ekb` file.
        manifest: all of it but `entries`, which is filled in.
        entries: path -> content.
        stored: those that come first and as they are, in this order; the rest is deflated.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    manifest["entries"] = {
        name: {"sha256": sha256_bytes(data), "size": len(data)} for name, data in sorted(entries.items())
    }
    with atomic_write(path, "w+b") as stream:
        with zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
            _add(archive, MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode(), deflate=True)
            for name in stored:
                _add(archive, name, entries[name], deflate=False)
            for name, data in sorted(entries.items()):
                if name not in stored:
                    _add(archive, name, data, deflate=True)


class Blob:
    """The content of `weights.bin` while it grows.

    Args:
        once: the same bytes are kept once.
    """

    def __init__(self, once: bool = False) -> None:
        self._stream = io.BytesIO()
        self._places: Optional[Dict[bytes, int]] = {} if once else None

    def add(self, tensor: WeightTensor) -> Dict[str, Any]:
        """Append a tensor and its scales; its record."""
        record = record_of(tensor)
        if tensor.bits is None:
            values = _little(tensor.values, "<f4")
            record.update(kind="float32", offset=self.append(values), bytes=len(values))
        else:
            codes = pack_bits(tensor.values, tensor.bits)
            record.update(kind="codes", bits=tensor.bits, signed=tensor.values.dtype == np.int8)
            record.update(offset=self.append(codes), bytes=len(codes))
            record.update(self.add_scale(tensor))
        return record

    def add_scale(self, tensor: WeightTensor) -> Dict[str, int]:
        """Append the scales of a coded tensor; what its record says of them."""
        scale = _little(np.asarray(tensor.scale).reshape(-1), "<f4")
        return {"scale_offset": self.append(scale), "scale_count": len(scale) // 4}

    def append(self, data: bytes) -> int:
        """Append bytes at a multiple of 64; the offset."""
        if self._places is not None and data in self._places:
            return self._places[data]
        self._stream.write(b"\0" * (_aligned(self._stream.tell()) - self._stream.tell()))
        offset = self._stream.tell()
        self._stream.write(data)
        if self._places is not None:
            self._places[data] = offset
        return offset

    def data(self) -> bytes:
        """All of it."""
        return self._stream.getvalue()


def record_of(tensor: WeightTensor) -> Dict[str, Any]:
    """The part of a tensor's record that does not depend on how it is stored."""
    return {"name": tensor.name, "shape": list(tensor.values.shape), "axis": tensor.axis}


def _little(values: np.ndarray, dtype: str) -> bytes:
    return np.ascontiguousarray(values).astype(dtype).tobytes()


def _aligned(offset: int) -> int:
    return (offset + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def describe_lowering(graph: str, lowered: LoweredGraph, tensors: Dict[str, WeightTensor]) -> Dict[str, Any]:
    """What the manifest says of a lowering whose graph is the entry `graph`."""
    sizes = {(tensor, encoding): encoded_bytes(tensors[tensor], encoding) for tensor, encoding in lowered.initializers}
    layout = external_layout(lowered.initializers, sizes)
    record = {
        "graph": graph,
        "opset": lowered.opset,
        "requires": lowered.requires,
        "parity": lowered.parity,
        "data_bytes": layout[-1][2] + layout[-1][3] if layout else 0,
        "initializers": [
            {"tensor": tensor, "encoding": encoding, "offset": offset, "bytes": count}
            for tensor, encoding, offset, count in layout
        ],
    }
    if lowered.hints:
        record["hints"] = lowered.hints
    return record


def _add(archive: zipfile.ZipFile, name: str, data: bytes, deflate: bool) -> None:
    info = zipfile.ZipInfo(name, date_time=_EPOCH)
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    archive.writestr(info, data)


class Bundle:
    """An opened bundle: every hash has been checked.

    Attributes:
        path: the file.
        manifest: the parsed `manifest.json`; `weights`, `lowerings`, `plan` and `golden` are those of `precision`.
        sha256: of the manifest, and so of everything in it; the bundle's identity. Lower precisions of a file have
            identities of their own.
        precision: bits of the weights of a bundle of many precisions; None of all others.
        precisions: what the file can be opened at, descending; empty for all others.
    """

    def __init__(
        self,
        path: str,
        manifest: Dict[str, Any],
        sha256: str,
        precision: Optional[int] = None,
        precisions: Tuple[int, ...] = (),
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = sha256
        self.precision = precision
        self.precisions = precisions

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.manifest["model"]["name"])

    @property
    def classes(self) -> Tuple[str, ...]:
        """Class names by class id."""
        return tuple(self.manifest["model"]["classes"])

    @property
    def lowerings(self) -> Tuple[str, ...]:
        """The names of the graphs inside."""
        return tuple(self.manifest["lowerings"])

    @property
    def plan(self) -> Optional[QuantPlan]:
        """What was quantised and how, or None for a float bundle."""
        plan = self.manifest.get("plan")
        return None if plan is None else QuantPlan.from_json(plan)

    def read(self, entry: str) -> bytes:
        """The bytes of one entry, checked against its hash.

        Raises:
            BundleError: the entry is missing or damaged.
        """
        record = self.manifest["entries"].get(entry)
        if record is None:
            raise BundleError("{} has no entry {}".format(self.path, entry))
        with _opened(self.path) as archive:
            return _read_entry(archive, self.path, entry, record)

    def tensors(self) -> Dict[str, WeightTensor]:
        """Every stored tensor, unpacked; of planes only those that the precision needs are read."""
        blob = self.read(WEIGHTS)
        planes = [self.read(plane_entry(index)) for index in range(self.precision or 0)]
        return {record["name"]: _unpack(record, blob, planes, self.path) for record in self.manifest["weights"]}

    def materialise(self, lowering: str, cache_dir: Optional[str] = None) -> str:
        """Write a lowering as plain ONNX with its weights beside it, once; return the path of `model.onnx`.

        The folder is `<cache>/<bundle hash>/<lowering>`; it appears whole or not at all, and is reused.

        Args:
            lowering: one of `lowerings`.
            cache_dir: default $EDGEKIT_CACHE, else $XDG_CACHE_HOME/edgekit, else ~/.cache/edgekit.

        Raises:
            BundleError: there is no such lowering.
            StorageError: the cache cannot be written.
        """
        if lowering not in self.manifest["lowerings"]:
            raise BundleError(
                "{} has no lowering {!r}; it has {}".format(self.path, lowering, ", ".join(self.lowerings))
            )
        record = self.manifest["lowerings"][lowering]
        folder = os.path.join(cache_dir or default_cache_dir(), self.sha256[:16], lowering)
        graph = os.path.join(folder, "model.onnx")
        data = os.path.join(folder, WEIGHTS_DATA)
        if os.path.isfile(graph) and os.path.getsize(data) == record["data_bytes"]:
            return graph
        with storage_errors(folder):
            os.makedirs(os.path.dirname(folder), exist_ok=True)
            temporary = tempfile.mkdtemp(prefix="." + lowering + ".", dir=os.path.dirname(folder))
        try:
            with storage_errors(folder):
                self._write_lowering(record, temporary)
                if os.path.isdir(folder):
                    shutil.rmtree(folder)
                os.rename(temporary, folder)
        except OSError:
            if not os.path.isfile(graph):  # else another process was first: its folder is as good
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return graph

    def _write_lowering(self, record: Dict[str, Any], folder: str) -> None:
        tensors = self.tensors()
        with open(os.path.join(folder, WEIGHTS_DATA), "wb") as stream:
            for item in record["initializers"]:
                encode = ENCODINGS.get(item["encoding"])
                if encode is None:
                    raise BundleError(
                        "{}: encoding {!r} is not known to this edgekit; update edgekit, or export again".format(
                            self.path, item["encoding"]
                        )
                    )
                values = encode(tensors[item["tensor"]])
                stream.write(b"\0" * (item["offset"] - stream.tell()))
                stream.write(_little(values, values.dtype.newbyteorder("<").str))
        with open(os.path.join(folder, "model.onnx"), "wb") as stream:
            stream.write(self.read(record["graph"]))


def default_cache_dir() -> str:
    """Where materialised graphs go: $EDGEKIT_CACHE, else $XDG_CACHE_HOME/edgekit, else ~/.cache/edgekit."""
    named = os.environ.get("EDGEKIT_CACHE")
    if named:
        return named
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "edgekit")


def plane_entry(index: int) -> str:
    """Name of the entry with the bits of that significance of all layers; 0 is the most significant."""
    return "planes/{}.bin".format(index)


def open_bundle(path: PathLike, verify: bool = True, precision: Optional[int] = None) -> Bundle:
    """Open a bundle and check it before anything in it is used.

    Args:
        path: the `.ekb` file.
        verify: hash every entry now; False leaves each entry's check to its first reading.
        precision: which precision of a file that has many; the highest where None.

    Raises:
        BundleError: not a bundle, truncated, damaged, of another version, or with unsafe entries; it does not have the
            precision.
    """
    path = os.fspath(path)
    with _opened(path) as archive:
        manifest, digest = _read_manifest(archive, path)
        names = [info.filename for info in archive.infolist() if info.filename != MANIFEST]
        extra = sorted(set(names) - set(manifest["entries"]))
        missing = sorted(set(manifest["entries"]) - set(names))
        if extra or missing or len(names) != len(set(names)):
            raise BundleError(
                "{} is not the bundle that was written: {}; export it again".format(
                    path,
                    "extra entry " + extra[0] if extra else "entry " + str(missing[:1]) + " missing or double",
                )
            )
        if verify:
            for entry, record in manifest["entries"].items():
                _read_entry(archive, path, entry, record)
    return _at_precision(Bundle(path, manifest, digest), precision)


def _at_precision(bundle: Bundle, precision: Optional[int]) -> Bundle:
    """The view of one precision; a bundle that has but one as it is."""
    parts = bundle.manifest.get("precisions") or []
    known = tuple(part["bits"] for part in parts)
    if precision is not None and precision not in known:
        have = "the precisions " + ", ".join(str(bits) for bits in known) if known else "one precision alone"
        raise BundleError("{} has {}, not {} bits to choose; open it without".format(bundle.path, have, precision))
    if not known:
        return bundle
    bits = known[0] if precision is None else precision
    part = parts[known.index(bits)]
    manifest = dict(bundle.manifest, **{key: part[key] for key in PART_KEYS if key in part})
    identity = bundle.sha256 if bits == known[0] else sha256_bytes("{} {}".format(bundle.sha256, bits).encode())
    return Bundle(bundle.path, manifest, identity, bits, known)


def _opened(path: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise BundleError(
            "there is no bundle {}; make one with: edgekit export MODEL -o {}".format(path, path)
        ) from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BundleError("{} is not a whole .ekb bundle ({}); copy or export it again".format(path, error)) from error


def _read_manifest(archive: zipfile.ZipFile, path: str) -> Tuple[Dict[str, Any], str]:
    infos = archive.infolist()
    if not infos or infos[0].filename != MANIFEST or infos[0].file_size > _MAX_MANIFEST_BYTES:
        raise BundleError("{} does not start with {}; it is not an .ekb bundle".format(path, MANIFEST))
    try:
        data = archive.read(infos[0])
        manifest = json.loads(data.decode("utf-8"))
    except Exception as error:  # zlib, CRC, encoding and JSON faults have no common base
        raise BundleError("{}: the manifest is damaged ({}); copy it again".format(path, error)) from error
    _check_manifest(manifest, path)
    return manifest, sha256_bytes(data)


def _check_manifest(manifest: Any, path: str) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError("{} is a zip, but its manifest is not of an .ekb bundle".format(path))
    if manifest.get("version") not in (VERSION, LAYERED_VERSION):
        raise BundleError(
            "{} is bundle version {}, this edgekit reads versions {} and {}; export it again or update edgekit".format(
                path, manifest.get("version"), VERSION, LAYERED_VERSION
            )
        )
    for key in ("model", "preprocess", "decode", "weights", "lowerings", "entries"):
        if key not in manifest:
            raise BundleError("{}: the manifest has no {!r}; export it again".format(path, key))
    if manifest["version"] == LAYERED_VERSION or "precisions" in manifest:
        _check_precisions(manifest, path)
    for entry in manifest["entries"]:
        parts = entry.split("/")
        if entry.startswith("/") or "\\" in entry or ":" in entry or ".." in parts or "" in parts:
            raise BundleError("{}: entry {!r} points outside the bundle; do not use it".format(path, entry))
    for part in [manifest] + manifest.get("precisions", [])[1:]:
        for name in part["lowerings"]:
            if not name.replace("-", "").isalnum():
                raise BundleError("{}: lowering name {!r} is not letters, digits and '-'".format(path, name))


def _check_precisions(manifest: Dict[str, Any], path: str) -> None:
    """The first precision is what the manifest itself describes; each other one brings its own records."""
    parts = manifest.get("precisions")
    if manifest["version"] != LAYERED_VERSION or not isinstance(parts, list) or not parts:
        raise BundleError("{}: a bundle of version 2, and no other, lists its precisions; export it again".format(path))
    bits: List[Any] = [part.get("bits") if isinstance(part, dict) else None for part in parts]
    fine = all(type(each) is int and 1 <= each <= 8 for each in bits)
    if not fine or bits != sorted(set(bits), reverse=True):
        raise BundleError("{}: its precisions {} are not 8 to 1 bits, descending; export it again".format(path, bits))
    for part in parts[1:]:
        missing = [key for key in PART_KEYS if key not in part]
        if missing:
            raise BundleError("{}: {} bits have no {!r}; export it again".format(path, part["bits"], missing[0]))
    absent = [plane_entry(index) for index in range(bits[0]) if plane_entry(index) not in manifest["entries"]]
    if absent:
        raise BundleError("{}: {} bits need entry {}, which it lacks; copy it again".format(path, bits[0], absent[0]))


def _read_entry(archive: zipfile.ZipFile, path: str, entry: str, record: Dict[str, Any]) -> bytes:
    try:
        info = archive.getinfo(entry)
        if info.file_size != record["size"] or info.file_size > _MAX_ENTRY_BYTES:
            raise BundleError(
                "{}: entry {} has {} bytes, the manifest says {}; copy it again".format(
                    path, entry, info.file_size, record["size"]
                )
            )
        data = archive.read(info)
    except BundleError:
        raise
    except Exception as error:  # zlib, CRC and truncation faults have no common base
        raise BundleError("{}: entry {} is damaged ({}); copy it again".format(path, entry, error)) from error
    if sha256_bytes(data) != record["sha256"]:
        raise BundleError("{}: entry {} does not match its hash; copy or export it again".format(path, entry))
    return data


def _unpack(record: Dict[str, Any], blob: bytes, planes: Sequence[bytes], path: str) -> WeightTensor:
    shape = tuple(record["shape"])
    count = 1
    for size in shape:
        count *= size
    if record["kind"] == "planes":
        codes = _unpack_planes(record, count, planes, path).reshape(shape)
        scale = np.frombuffer(blob, "<f4", record["scale_count"], record["scale_offset"]).astype(np.float32)
        return WeightTensor(record["name"], codes, midrise_width(record["bits"]), record["axis"], scale)
    end = record["offset"] + record["bytes"]
    if record["offset"] < 0 or end > len(blob):
        raise BundleError("{}: tensor {} lies outside {}".format(path, record["name"], WEIGHTS))
    if record["kind"] == "float32":
        values = np.frombuffer(blob, "<f4", count, record["offset"]).astype(np.float32).reshape(shape)
        return WeightTensor(record["name"], values)
    codes = unpack_bits(blob[record["offset"] : end], record["bits"], count, record["signed"])
    scale = np.frombuffer(blob, "<f4", record["scale_count"], record["scale_offset"]).astype(np.float32)
    return WeightTensor(record["name"], codes.reshape(shape), record["bits"], record["axis"], scale)


def _unpack_planes(record: Dict[str, Any], count: int, planes: Sequence[bytes], path: str) -> np.ndarray:
    start, size = record["offset"], (count + 7) // 8
    if record["bits"] != len(planes) or start < 0 or any(start + size > len(plane) for plane in planes):
        raise BundleError("{}: tensor {} lies outside its planes".format(path, record["name"]))
    rows = [np.frombuffer(plane, np.uint8, size, start) for plane in planes]
    return midrise_from_planes(np.stack(rows), count)
