import cv2
import pytest

from tests.cli import tiny
from tests.cli.conftest import write_float_bundle


@pytest.fixture(scope="module")
def found(edgekit, tiny_model, tmp_path_factory):
    """What the tiny detector finds in the golden picture, as a golden record has it."""
    from edgekit.runtime.detector import open_detector

    path = write_float_bundle(str(tmp_path_factory.mktemp("first") / "tiny.ekb"), tiny_model)
    with open_detector(path, cache_dir=str(tmp_path_factory.mktemp("cache"))) as detector:
        rows = detector(tiny.picture(seed=5)[0], conf=0.5).to_rows(tiny.CLASSES)
    assert len(rows) == 3
    return rows


def _bundle_of(rows, folder, tiny_model):
    _, encoded = cv2.imencode(".png", tiny.picture(seed=5)[0])
    golden = {"image": "golden/0.png", "detections": rows, "conf": 0.5, "iou": 0.65, "outputs": {}}
    return write_float_bundle(str(folder / "golden.ekb"), tiny_model, [golden], {"golden/0.png": encoded.tobytes()})


def test_a_good_bundle_passes(edgekit, found, tiny_model, tmp_path):
    path = _bundle_of(found, tmp_path, tiny_model)
    done = edgekit("check", path, "--json")
    assert done.status == 0, done.err
    golden = done.json["golden"]
    assert golden["passed"] is True and golden["lowering"] == "fp32"
    assert golden["total"]["matched"] == 3 and golden["total"]["missing"] == 0
    assert done.json["entries"]["count"] == 3
    assert "every hash matches" in edgekit("check", path).out


@pytest.mark.parametrize("change", ["missing", "moved", "weaker"])
def test_other_boxes_fail_the_gate(edgekit, found, tiny_model, tmp_path, change):
    rows = [dict(row) for row in found]
    if change == "missing":
        rows.append({"xyxy": [0, 0, 20, 20], "score": 0.9, "class_id": 0})
    elif change == "moved":
        x1, y1, x2, y2 = rows[0]["xyxy"]
        rows[0]["xyxy"] = [x1 + 4, y1, x2 + 4, y2]
    else:
        rows[0]["score"] -= 0.05
    done = edgekit("check", _bundle_of(rows, tmp_path, tiny_model), "--json")
    assert done.status == 3
    assert done.json["golden"]["passed"] is False
    assert done.err.splitlines()[-1].startswith("error: 1 of 1 golden images differ with fp32")


def test_a_bundle_without_golden_images_says_so(edgekit, float_bundle):
    done = edgekit("check", float_bundle)
    assert done.status == 0, done.err
    assert "none inside" in done.out


def test_a_truncated_bundle(edgekit, float_bundle, tmp_path):
    with open(float_bundle, "rb") as stream:
        data = stream.read()
    path = tmp_path / "cut.ekb"
    path.write_bytes(data[: len(data) // 2])
    for verb in ("check", "inspect"):
        done = edgekit(verb, path)
        assert done.status == 2
        assert "is not a whole .ekb bundle" in done.err and done.err.count("\n") == 1


def test_a_wrong_hash(edgekit, float_bundle, tmp_path):
    import zipfile

    path = str(tmp_path / "wrong.ekb")
    with zipfile.ZipFile(float_bundle) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info.filename, data[:-1] + b"\0" if info.filename.endswith(".onnx") else data)
    done = edgekit("check", path)
    assert done.status == 2
    assert "graphs/fp32.onnx does not match its hash" in done.err and done.err.count("\n") == 1


def test_signed_integers_for_x86_break_a_rule(edgekit, tiny_model, pictures, tmp_path):
    """The ARM graph under the name of the x86 one: hashes are right, the linter is not content."""
    pytest.importorskip("onnx")
    from edgekit.bundle import LoweredGraph, write_bundle

    plain = str(tmp_path / "arm.onnx")
    done = edgekit(
        "export", tiny_model, "--int8", "--calib", pictures[0], "--lowering", "ort-arm", "--float-layers", "none",
        "-o", plain,
    )  # fmt: skip
    assert done.status == 0, done.err
    _check_plain(edgekit, plain, tmp_path)
    manifest = dict(_manifest_of(write_float_bundle(str(tmp_path / "f.ekb"), tiny_model)))
    graphs = {"fp32": LoweredGraph(_bytes(tiny_model), [], 13), "ort-x86": LoweredGraph(_bytes(plain), [], 13)}
    path = str(tmp_path / "mixed.ekb")
    write_bundle(path, manifest=manifest, tensors=[], lowerings=graphs)
    done = edgekit("check", path, "--lowering", "fp32", "--json")
    assert done.status == 3
    assert done.json["lint"]["lowerings"]["ort-x86"] and not done.json["lint"]["lowerings"]["fp32"]
    assert done.err.splitlines()[-1].startswith("error: ort-x86: node ")


def _check_plain(edgekit, plain, folder):
    """A plain graph is held against the rules of what it is for."""
    assert edgekit("check", plain, "--lowering", "ort-arm").status == 0
    done = edgekit("check", plain, "--lowering", "ort-x86")
    assert done.status == 3 and "ort-x86: " in done.out and "cure" in done.out and "severity" in done.out
    done = edgekit("check", plain, "--lowering", "trt10", "--json")
    assert {row["severity"] for row in done.json["lint"]["lowerings"]["trt10"]} >= {"refused", "slow"}
    assert "(refused): " in done.err  # the worst comes first
    done = edgekit("check", plain)
    assert done.status == 2 and "say what" in done.err and "ort-arm" in done.err
    done = edgekit("check", folder / "absent.onnx", "--lowering", "trt8")
    assert done.status == 2 and "absent.onnx" in done.err and done.err.count("\n") == 1


def _manifest_of(path):
    from edgekit.bundle import open_bundle

    return open_bundle(path).manifest


def _bytes(path):
    with open(path, "rb") as stream:
        return stream.read()
