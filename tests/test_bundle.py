import json
import os
import zipfile

import numpy as np
import pytest

from edgekit.bundle import (
    ENCODINGS,
    LoweredGraph,
    WeightTensor,
    external_layout,
    open_bundle,
    write_bundle,
)
from edgekit.errors import BundleError, StorageError
from edgekit.precision import codes_from_planes

MANIFEST = {
    "model": {"name": "tiny", "task": "detect", "classes": ["car", "person"]},
    "preprocess": {},
    "decode": {},
    "plan": None,
}


def _tensors():
    rng = np.random.RandomState(0)
    return [
        WeightTensor("a", rng.randint(-7, 8, (5, 3, 3, 1)).astype(np.int8), 4, 0, rng.rand(5).astype(np.float32)),
        WeightTensor("b", rng.randn(65).astype(np.float32)),
        WeightTensor("c", rng.randint(-127, 128, (63,)).astype(np.int8), 8, 0, np.float32([0.5])),
    ]


def _write(path):
    graph = LoweredGraph(b"graph", [("a", "int8"), ("b", "float32"), ("c", "narrow-int8"), ("a", "float16")], 13)
    return write_bundle(
        path,
        manifest=MANIFEST,
        tensors=_tensors(),
        lowerings={"ort-x86": graph},
        files={"golden/0.png": b"image"},
    )


@pytest.fixture()
def bundle_path(tmp_path):
    path = str(tmp_path / "tiny.ekb")
    _write(path)
    return path


def test_tensors_come_back_bit_for_bit(bundle_path):
    stored = open_bundle(bundle_path).tensors()
    for tensor in _tensors():
        back = stored[tensor.name]
        np.testing.assert_array_equal(back.values, tensor.values)
        assert back.values.dtype == tensor.values.dtype
        np.testing.assert_array_equal(back.dequantized(), tensor.dequantized())


def test_four_bit_codes_take_half_a_byte(bundle_path):
    record = open_bundle(bundle_path).manifest["weights"][0]
    assert record["bytes"] == (5 * 9 * 4 + 7) // 8


def test_the_same_input_gives_the_same_bytes(tmp_path):
    first, second = str(tmp_path / "1.ekb"), str(tmp_path / "2.ekb")
    _write(first)
    _write(second)
    with open(first, "rb") as one, open(second, "rb") as two:
        assert one.read() == two.read()


def test_weights_are_stored_and_the_manifest_is_first(bundle_path):
    with zipfile.ZipFile(bundle_path) as archive:
        assert archive.infolist()[0].filename == "manifest.json"
        assert archive.getinfo("weights.bin").compress_type == zipfile.ZIP_STORED


def test_materialise_writes_what_the_graph_names(bundle_path, tmp_path):
    bundle = open_bundle(bundle_path)
    graph = bundle.materialise("ort-x86", str(tmp_path / "cache"))
    with open(os.path.join(os.path.dirname(graph), "weights.data"), "rb") as stream:
        data = stream.read()
    tensors = {tensor.name: tensor for tensor in _tensors()}
    layout = external_layout(
        [("a", "int8"), ("b", "float32"), ("c", "narrow-int8"), ("a", "float16")],
        {("a", "int8"): 45, ("b", "float32"): 260, ("c", "narrow-int8"): 63, ("a", "float16"): 90},
    )
    assert [offset for _, _, offset, _ in layout] == [0, 64, 384, 448]
    np.testing.assert_array_equal(np.frombuffer(data, np.int8, 45, 0), tensors["a"].values.reshape(-1))
    np.testing.assert_array_equal(np.frombuffer(data, np.float32, 65, 64), tensors["b"].values)
    assert np.abs(np.frombuffer(data, np.int8, 63, 384)).max() <= 63
    np.testing.assert_array_equal(
        np.frombuffer(data, np.float16, 45, 448), tensors["a"].dequantized().astype(np.float16).reshape(-1)
    )
    assert bundle.materialise("ort-x86", str(tmp_path / "cache")) == graph
    assert os.listdir(os.path.dirname(os.path.dirname(graph))) == ["ort-x86"]


def test_planes_are_written_from_the_packed_codes(tmp_path):
    path, tensors = str(tmp_path / "planes.ekb"), _tensors()
    graph = LoweredGraph(b"graph", [("a", "planes"), ("b", "float32"), ("c", "planes"), ("a", "raised-int8")], 13)
    written = write_bundle(path, manifest=MANIFEST, tensors=tensors, lowerings={"packed": graph})
    record = written["lowerings"]["packed"]
    assert [(item["offset"], item["bytes"]) for item in record["initializers"]] == [
        (0, 24),
        (64, 260),
        (384, 64),
        (448, 45),
    ]
    folder = os.path.dirname(open_bundle(path).materialise("packed", str(tmp_path / "cache")))
    with open(os.path.join(folder, "weights.data"), "rb") as stream:
        data = stream.read()
    assert len(data) == record["data_bytes"]
    planes = np.frombuffer(data, np.uint8, 24).reshape(4, 6)
    np.testing.assert_array_equal(codes_from_planes(planes, 45), tensors[0].values.reshape(-1))
    planes = np.frombuffer(data, np.uint8, 64, 384).reshape(8, 8)
    np.testing.assert_array_equal(codes_from_planes(planes, 63), tensors[2].values)
    np.testing.assert_array_equal(np.frombuffer(data, np.int8, 45, 448), 8 * tensors[0].values.reshape(-1))


def test_an_encoding_of_a_newer_version_is_refused(bundle_path, monkeypatch, tmp_path):
    monkeypatch.delitem(ENCODINGS, "narrow-int8")
    with pytest.raises(BundleError, match="encoding 'narrow-int8' is not known to this edgekit; update edgekit"):
        open_bundle(bundle_path).materialise("ort-x86", str(tmp_path / "cache"))
    assert not os.path.exists(str(tmp_path / "cache" / "ort-x86"))


def test_a_missing_lowering_names_those_that_are_there(bundle_path):
    with pytest.raises(BundleError, match="no lowering 'trt8'; it has ort-x86"):
        open_bundle(bundle_path).materialise("trt8")


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(BundleError, match="edgekit export"):
        open_bundle(str(tmp_path / "absent.ekb"))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(bundle_path, keep):
    with open(bundle_path, "rb") as stream:
        data = stream.read()
    with open(bundle_path, "wb") as stream:
        stream.write(data[: int(len(data) * keep)])
    with pytest.raises(BundleError, match="not a whole .ekb bundle"):
        open_bundle(bundle_path)


def test_every_flipped_byte_is_noticed_or_harmless(bundle_path):
    with open(bundle_path, "rb") as stream:
        data = stream.read()
    expected = {name: tensor.dequantized() for name, tensor in open_bundle(bundle_path).tensors().items()}
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with open(bundle_path, "wb") as stream:
            stream.write(bytes(damaged))
        try:
            tensors = open_bundle(bundle_path).tensors()
        except BundleError:
            continue
        for name, value in expected.items():
            np.testing.assert_array_equal(tensors[name].dequantized(), value)


def _rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in change(entries):
            archive.writestr(name, data)


def test_a_changed_entry_does_not_match_its_hash(bundle_path):
    _rewrite(bundle_path, lambda entries: [(n, b"Image" if n == "golden/0.png" else d) for n, d in entries])
    with pytest.raises(BundleError, match=r"golden/0\.png does not match its hash"):
        open_bundle(bundle_path)


def test_an_added_entry_is_refused(bundle_path):
    _rewrite(bundle_path, lambda entries: entries + [("run.py", b"print(1)")])
    with pytest.raises(BundleError, match=r"extra entry run\.py"):
        open_bundle(bundle_path)


def test_another_version_says_so(bundle_path):
    def bump(entries):
        manifest = json.loads(entries[0][1].decode())
        manifest["version"] = 99
        return [("manifest.json", json.dumps(manifest))] + entries[1:]

    _rewrite(bundle_path, bump)
    with pytest.raises(BundleError, match="version 99"):
        open_bundle(bundle_path)


@pytest.mark.parametrize("entry", ["../evil", "/etc/passwd", "a//b", "c:x"])
def test_a_path_outside_the_bundle_is_refused(bundle_path, entry):
    def add(entries):
        manifest = json.loads(entries[0][1].decode())
        manifest["entries"][entry] = {"sha256": "", "size": 0}
        return [("manifest.json", json.dumps(manifest))] + entries[1:] + [(entry, b"")]

    _rewrite(bundle_path, add)
    with pytest.raises(BundleError, match="points outside the bundle"):
        open_bundle(bundle_path)


def test_a_failed_write_leaves_the_old_file(bundle_path, monkeypatch):
    with open(bundle_path, "rb") as stream:
        before = stream.read()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        _write(bundle_path)
    with open(bundle_path, "rb") as stream:
        assert stream.read() == before
    assert os.listdir(os.path.dirname(bundle_path)) == ["tiny.ekb"]
