"""Bundles of many precisions: what is written, what comes back, and what a lower file has of a higher one."""

import json
import os
import zipfile

import numpy as np
import pytest

from edgekit.bundle import LoweredGraph, WeightTensor, open_bundle, write_bundle
from edgekit.contents import contents_of
from edgekit.delta.apply import apply_update
from edgekit.delta.write import write_update
from edgekit.errors import BundleError
from edgekit.layered import Part, cut_bundle, tensors_in_planes, write_layered
from edgekit.precision import bit_planes, container_codes, master_slices, midrise_codes, midrise_step, midrise_width

MANIFEST = {
    "model": {"name": "many", "task": "detect", "classes": ["car"], "source": {"file": "many.onnx", "sha256": "0"}},
    "preprocess": {"height": 64, "width": 64},
    "decode": {"family": "yolox"},
    "provenance": {},
}
BITS = (8, 6, 4, 2, 1)
SHAPES = {"a.weight": (5, 3, 3, 3), "b.weight": (7, 9, 1, 1)}


def masters(seed=0):
    rng = np.random.RandomState(seed)
    return {name: rng.randint(-127, 128, shape).astype(np.int8) for name, shape in SHAPES.items()}


def part(bits, codes, whole, top=8):
    """One precision: two layers in planes, one that keeps its 8 bits, a bias and a constant that all share."""
    rng = np.random.RandomState(bits)
    tensors = [
        WeightTensor(
            name,
            midrise_codes(master, bits),
            midrise_width(bits),
            0,
            rng.rand(len(master)).astype(np.float32) * midrise_step(bits),
        )
        for name, master in codes.items()
    ]
    tensors.insert(1, WeightTensor("first.weight", whole, 8, 0, np.float32([0.5] * len(whole))))
    tensors.append(WeightTensor("bias", rng.randn(33).astype(np.float32)))
    tensors.append(WeightTensor("constant", np.arange(40, dtype=np.float32)))
    encoding = "int8" if bits >= 7 else "raised-int8"
    graph = LoweredGraph(
        "graph of {}".format(bits).encode(),
        [("a.weight", encoding), ("b.weight", "dequant-float32"), ("first.weight", "int8"), ("bias", "float32")],
        13,
        {"cpu": "vnni"},
        {"passed": True},
    )
    golden = [
        {"image": "golden/0.png", "outputs": {"ort-x86": "golden/{}/0.ort-x86.npy".format(bits)}, "detections": []}
    ]
    return Part(bits, tensors, {"ort-x86": graph}, {"weights": {}, "activations": {}, "excluded": {}}, golden)


def write(path, precisions=BITS, codes=None):
    codes = codes or masters()
    whole = np.random.RandomState(9).randint(-127, 128, (4, 3, 1, 1)).astype(np.int8)
    parts = [part(bits, codes, whole) for bits in precisions]
    files = {"golden/{}/0.ort-x86.npy".format(bits): b"expected" for bits in precisions}
    files["golden/0.png"] = b"image"
    write_layered(path, manifest=MANIFEST, parts=parts, in_planes=tensors_in_planes(parts), files=files)
    return parts


@pytest.fixture()
def bundle(tmp_path):
    path = str(tmp_path / "many.ekb")
    write(path)
    return path


def content(path):
    with open(path, "rb") as stream:
        return stream.read()


def planes_region(path):
    """The bytes of the file from the first plane's own header to the end of the last plane."""
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if info.filename.startswith("planes/")]
        following = archive.infolist()[archive.infolist().index(infos[-1]) + 1]
    return content(path)[infos[0].header_offset : following.header_offset]


@pytest.mark.parametrize("bits", BITS)
def test_every_precision_comes_back_bit_for_bit(bundle, bits):
    opened = open_bundle(bundle, precision=bits)
    stored = opened.tensors()
    expected = part(bits, masters(), np.random.RandomState(9).randint(-127, 128, (4, 3, 1, 1)).astype(np.int8))
    assert (opened.precision, opened.precisions) == (bits, BITS)
    for tensor in expected.tensors:
        back = stored[tensor.name]
        np.testing.assert_array_equal(back.values, tensor.values)
        np.testing.assert_array_equal(back.dequantized(), tensor.dequantized())
        assert back.bits == tensor.bits
    assert opened.read(opened.manifest["lowerings"]["ort-x86"]["graph"]) == "graph of {}".format(bits).encode()


def test_weights_are_there_once(bundle):
    """All precisions together take the planes of the highest; the rest of each is its scales and biases."""
    count = sum((np.prod(shape) + 7) // 8 for shape in SHAPES.values())
    with zipfile.ZipFile(bundle) as archive:
        sizes = [info.file_size for info in archive.infolist() if info.filename.startswith("planes/")]
        names = [info.filename for info in archive.infolist()]
    assert sizes == [count] * 8
    assert names[:3] == ["manifest.json", "weights.bin", "planes/0.bin"]
    manifest = open_bundle(bundle).manifest
    places = {
        bits: {r["name"]: r["offset"] for r in open_bundle(bundle, precision=bits).manifest["weights"]} for bits in BITS
    }
    assert all(places[bits]["constant"] == places[8]["constant"] for bits in BITS)
    assert all(places[bits]["first.weight"] == places[8]["first.weight"] for bits in BITS)
    assert places[4]["bias"] != places[8]["bias"]
    assert manifest["version"] == 2


@pytest.mark.parametrize("bits", [6, 4, 2, 1])
def test_a_lower_file_begins_its_planes_as_the_higher_one(bundle, tmp_path, bits):
    cut = str(tmp_path / "cut.ekb")
    cut_bundle(bundle, cut, bits)
    lower, higher = planes_region(cut), planes_region(bundle)
    assert len(lower) < len(higher)
    assert higher[: len(lower)] == lower
    assert os.path.getsize(cut) < os.path.getsize(bundle)
    opened, before = open_bundle(cut), open_bundle(bundle, precision=bits)
    assert opened.precisions == tuple(b for b in BITS if b <= bits)
    for name, tensor in before.tensors().items():
        np.testing.assert_array_equal(opened.tensors()[name].values, tensor.values)
        np.testing.assert_array_equal(opened.tensors()[name].dequantized(), tensor.dequantized())
    again = str(tmp_path / "again.ekb")
    cut_bundle(cut, again, 1)
    assert planes_region(again) == higher[: len(planes_region(again))]
    for path in (bundle, cut, again):
        graph = open_bundle(path, precision=1).materialise("ort-x86", str(tmp_path / "cache"))
        assert content(graph) == b"graph of 1"


def test_planes_are_the_bits_of_all_layers(bundle):
    codes = masters()
    with zipfile.ZipFile(bundle) as archive:
        for index in range(8):
            expected = b"".join(bit_planes(codes[name], 8)[index].tobytes() for name in SHAPES)
            assert archive.read("planes/{}.bin".format(index)) == expected


def test_what_runs_is_the_container_of_the_precision(bundle, tmp_path):
    codes = masters()["a.weight"]
    for bits in BITS:
        opened = open_bundle(bundle, precision=bits)
        folder = os.path.dirname(opened.materialise("ort-x86", str(tmp_path)))
        with open(os.path.join(folder, "weights.data"), "rb") as stream:
            held = np.frombuffer(stream.read(codes.size), np.int8).reshape(codes.shape)
        np.testing.assert_array_equal(held * (2 if bits <= 6 else 1), container_codes(codes, bits))


def test_precisions_have_identities_and_caches_of_their_own(bundle, tmp_path):
    views = [open_bundle(bundle, precision=bits) for bits in BITS]
    assert len({view.sha256 for view in views}) == len(BITS)
    assert open_bundle(bundle).sha256 == views[0].sha256
    assert len({view.materialise("ort-x86", str(tmp_path)) for view in views}) == len(BITS)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    paths = [str(tmp_path / name) for name in ("1.ekb", "2.ekb")]
    for path in paths:
        write(path)
    first, second = (content(path) for path in paths)
    assert first == second


def test_a_file_without_the_highest_bits_has_fewer_planes(tmp_path):
    """A network that was trained for 6 bits at most; its planes are those of the 8-bit codes all the same."""
    high, low = str(tmp_path / "8.ekb"), str(tmp_path / "6.ekb")
    write(high)
    write(low, (6, 2))
    assert planes_region(high)[: len(planes_region(low))] == planes_region(low)
    np.testing.assert_array_equal(
        master_slices(open_bundle(low, precision=2).tensors()["a.weight"].values, 8),
        midrise_codes(masters()["a.weight"], 2),
    )


def test_codes_that_are_no_slices_stay_as_they_are(tmp_path):
    codes = masters()
    parts = [part(8, codes, np.ones((4, 3, 1, 1), np.int8)), part(4, masters(1), np.ones((4, 3, 1, 1), np.int8))]
    assert tensors_in_planes(parts) == []
    assert tensors_in_planes(parts[:1]) == ["a.weight", "first.weight", "b.weight"]


def test_contents_tell_the_precisions(bundle):
    rows = contents_of(open_bundle(bundle, precision=4))
    count = sum((np.prod(shape) + 7) // 8 for shape in SHAPES.values())
    assert rows["precision"] == 4
    assert [(row["bits"], row["plane_bytes"], row["layers"]) for row in rows["precisions"]] == [
        (bits, bits * count, 2) for bits in BITS
    ]
    assert {row["name"]: row["bits"] for row in rows["layers"]}["a.weight"] == 4
    assert rows["bytes_by_kind"]["planes"] == 8 * count


def test_an_update_of_one_is_an_update_like_any_other(bundle, tmp_path):
    codes = masters()
    codes["a.weight"][0, 0, 0, 0] ^= 1
    newer, update = str(tmp_path / "newer.ekb"), str(tmp_path / "update.ekd")
    write(newer, codes=codes)
    write_update(bundle, newer, update)
    apply_update(bundle, update)
    assert content(bundle) == content(newer)


def test_a_precision_that_is_not_there(bundle, tmp_path):
    with pytest.raises(BundleError, match="has the precisions 8, 6, 4, 2, 1, not 3 bits"):
        open_bundle(bundle, precision=3)
    with pytest.raises(BundleError, match="has the precisions 8, 6, 4, 2, 1, not 5 bits"):
        cut_bundle(bundle, str(tmp_path / "cut.ekb"), 5)
    assert not (tmp_path / "cut.ekb").exists()


def test_a_bundle_of_one_precision_opens_as_ever(tmp_path):
    path = str(tmp_path / "one.ekb")
    tensors = [WeightTensor("c", np.zeros(20, np.float32))]
    write_bundle(path, manifest=dict(MANIFEST, plan=None), tensors=tensors, lowerings={})
    opened = open_bundle(path)
    assert (opened.precision, opened.precisions, opened.manifest["version"]) == (None, (), 1)
    with pytest.raises(BundleError, match="has one precision alone, not 4 bits to choose"):
        open_bundle(path, precision=4)


def rewritten(path, change):
    """The bundle with another manifest."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    manifest = json.loads(entries[0][1].decode())
    change(manifest)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for info, data in entries[1:]:
            if info.filename in manifest["entries"]:
                archive.writestr(info, data)
    return path


def drop_plane(manifest):
    del manifest["entries"]["planes/3.bin"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: m["precisions"].reverse(), "its precisions .* are not 8 to 1 bits, descending"),
        (lambda m: m["precisions"][1].update(bits="6"), "are not 8 to 1 bits, descending"),
        (lambda m: m["precisions"][2].pop("lowerings"), "4 bits have no 'lowerings'"),
        (lambda m: m.pop("precisions"), "a bundle of version 2, and no other, lists its precisions"),
        (lambda m: m.update(version=1), "a bundle of version 2, and no other, lists its precisions"),
        (lambda m: m.update(version=3), "is bundle version 3, this edgekit reads versions 1 and 2"),
        (drop_plane, "8 bits need entry planes/3.bin, which it lacks"),
        (lambda m: m["precisions"][1]["lowerings"].update({"../x": {}}), "lowering name '../x' is not letters"),
    ],
)
def test_a_manifest_that_is_wrong(bundle, change, text):
    with pytest.raises(BundleError, match=text):
        open_bundle(rewritten(bundle, change))


def test_a_tensor_outside_its_planes(bundle):
    def move(manifest):
        next(r for r in manifest["weights"] if r["kind"] == "planes")["offset"] = 10**6

    with pytest.raises(BundleError, match="tensor a.weight lies outside its planes"):
        open_bundle(rewritten(bundle, move)).tensors()


def test_a_damaged_plane_is_found_before_it_is_used(bundle):
    region = planes_region(bundle)
    data = bytearray(content(bundle))
    data[data.find(region) + len(region) // 2] ^= 1
    with open(bundle, "wb") as stream:
        stream.write(data)
    with pytest.raises(BundleError, match=r"entry planes/\d.bin (is damaged|does not match its hash)"):
        open_bundle(bundle)
