import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.cli import tiny
from tests.cli.conftest import ROOT

onnx = pytest.importorskip("onnx")


def test_the_golden_model_is_what_its_script_writes():
    with open(tiny.GOLDEN, "rb") as stream:
        kept = onnx.load_from_string(stream.read())
    assert kept.graph == onnx.load_from_string(tiny.tiny_onnx()).graph


@pytest.fixture(scope="module")
def bundle(edgekit, tiny_model, pictures, tmp_path_factory):
    """The tiny detector quantised and exported in one go, and what export said."""
    path = str(tmp_path_factory.mktemp("export") / "tiny.ekb")
    done = edgekit(
        "export", tiny_model, "--int8", "--calib", pictures[0], "--float-layers", "none", "-o", path, "--json"
    )
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    return path, done.json


def test_export_says_what_it_wrote(bundle):
    path, value = bundle
    assert value["bytes"] == os.path.getsize(path)
    assert value["quantized_layers"] == 2 and value["weight_bits"] == 8
    assert {"fp32", "fp16", "trt8", "trt10", "ort-x86", "ort-arm"} <= set(value["lowerings"])
    assert all(row["parity"]["passed"] for row in value["lowerings"].values())
    assert value["overflow"]["images"] == 8 and value["overflow"]["tensors"] == {}


def test_the_bundle_is_checked_scored_and_looked_into(edgekit, bundle, pictures):
    path, _ = bundle
    checked = edgekit("check", path, "--json")
    assert checked.status == 0, checked.err
    assert checked.json["golden"]["total"]["matched"] > 0
    for lowering in ("fp32", "ort-x86-narrow"):
        done = edgekit(
            "val", path, "--images", pictures[0], "--annotations", pictures[1], "--lowering", lowering, "--json"
        )
        assert done.status == 0, done.err
        assert done.json["lowering"] == lowering and done.json["AP50"] > 0.95
    inspected = edgekit("inspect", path, "--json").json
    assert {row["bits"] for row in inspected["layers"] if row["coded"]} == {8}
    assert inspected["calibration"]["images"] == 8
    assert "ort-arm" in edgekit("inspect", path).out


def test_a_float_bundle_has_no_integers(edgekit, tiny_model, pictures, tmp_path):
    path = tmp_path / "float.ekb"
    done = edgekit("export", tiny_model, "--fp32", "-o", path, "--json")
    assert done.status == 0, done.err
    assert set(done.json["lowerings"]) == {"fp32", "fp16"} and done.json["weight_bits"] is None
    assert edgekit("run", path, os.path.join(pictures[0], "01.png"), "--json").json["frames"] == 1


def test_what_float16_may_not_hold_is_named(edgekit, pictures, tmp_path):
    """The network sees pixels up to 255; a thousand times that, there and back, and float16 has no room for it."""
    model = onnx.load_from_string(tiny.tiny_onnx())
    nodes = list(model.graph.node)
    gain, less = (onnx.numpy_helper.from_array(np.float32(v), n) for v, n in ((1e3, "gain"), (1e-3, "less")))
    up = onnx.helper.make_node("Mul", ["images", "gain"], ["loud"], "up")
    down = onnx.helper.make_node("Mul", ["loud", "less"], ["calm"], "down")
    for node in nodes:
        node.input[:] = ["calm" if name == "images" else name for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend([up, down, *nodes])
    model.graph.initializer.extend([gain, less])
    path = str(tmp_path / "loud.onnx")
    onnx.save(model, path)
    done = edgekit("export", path, "--fp32", "--images", pictures[0], "-o", tmp_path / "loud.ekb")
    assert done.status == 0, done.err
    assert "kept in float32" in done.out and "writes loud, up to 2.55e+05" in done.out
    inspected = edgekit("inspect", tmp_path / "loud.ekb")
    assert "may not hold 1 of its tensors (beyond 16376 on 8 images; loud reaches 255000)" in " ".join(
        inspected.out.split()
    )


def test_one_lowering_as_plain_onnx(edgekit, tiny_model, pictures, tmp_path):
    path = tmp_path / "tiny_int8.onnx"
    done = edgekit(
        "export", tiny_model, "--int8", "--calib", pictures[0], "-o", path, "--lowering", "ort-x86", "--json"
    )
    assert done.status == 0, done.err
    written = onnx.load(str(path))
    assert any(node.op_type == "QuantizeLinear" for node in written.graph.node)
    assert os.listdir(str(tmp_path)) == ["tiny_int8.onnx"]


def test_quantize_then_export_its_plan(edgekit, tiny_model, pictures, tmp_path):
    plan, path = tmp_path / "plan.json", tmp_path / "tiny.ekb"
    done = edgekit("quantize", tiny_model, "--calib", pictures[0], "-o", plan, "--method", "minmax", "--json")
    assert done.status == 0, done.err
    assert done.json["layers"] == 2 and done.json["method"] == "minmax"
    assert json.loads(plan.read_text())["format"] == "edgekit-plan"
    done = edgekit("export", tiny_model, "--plan", plan, "--images", pictures[0], "-o", path, "--json")
    assert done.status == 0, done.err
    assert done.json["calibration"]["method"] == "minmax" and done.json["weight_bits"] == 8


def test_adjusted_weights_are_written_beside_the_plan(edgekit, tiny_model, pictures, tmp_path):
    plan, path = tmp_path / "a.plan.json", tmp_path / "a.ekb"
    arguments = ["--equalize", "--float-layers", "none", "-o", plan, "--json"]
    done = edgekit("quantize", tiny_model, "--calib", pictures[0], *arguments)
    assert done.status == 0, done.err
    assert done.json["model"] == str(tmp_path / "a.adjusted.onnx")
    done = edgekit("export", done.json["model"], "--plan", plan, "--images", pictures[0], "-o", path, "--json")
    assert done.status == 0, done.err
    assert done.json["quantized_layers"] == 2
    done = edgekit("val", path, "--images", pictures[0], "--annotations", pictures[1], "--json")
    assert done.json["AP50"] > 0.95


def test_narrow_weights_end_to_end(edgekit, tiny_model, pictures, tmp_path):
    """A bundle of 4-bit weights, a plan of them, and one packed file that onnxruntime runs alone."""
    import onnxruntime as ort

    narrow = ["--weight-bits", "4", "--layer-bits", "conv8=6", "--float-layers", "none"]
    plan, path = tmp_path / "plan.json", tmp_path / "tiny.ekb"
    done = edgekit("quantize", tiny_model, "--calib", pictures[0], "-o", plan, *narrow, "--json")
    assert done.status == 0, done.err
    assert done.json["layers_by_bits"] == {"8": 1, "6": 1}
    done = edgekit(
        "export",
        tiny_model,
        "--int8",
        "--calib",
        pictures[0],
        "-o",
        path,
        "--lowering",
        "packed",
        "--lowering",
        "trt10",
        *narrow,
    )
    assert done.status == 0, done.err
    assert "2 of 2 quantised, 1 with 8-bit weights, 1 with 6-bit" in " ".join(done.out.split())
    assert "1 layer of 2 to 7 bits: fewer bytes to store" in " ".join(done.out.split())
    assert "not faster" in " ".join(edgekit("inspect", path).out.split())
    for_orin = edgekit("build", path, "--device", "orin-nx", "-o", tmp_path / "orin")
    assert for_orin.status == 0, for_orin.err
    assert "every engine runs them as int8" in " ".join(for_orin.out.split())
    assert edgekit("check", path).status == 0
    assert {row["bits"] for row in edgekit("inspect", path, "--json").json["layers"] if row["coded"]} == {6, 8}
    single = tmp_path / "tiny.packed.onnx"
    done = edgekit("export", tiny_model, "--plan", plan, "-o", single, "--lowering", "packed")
    assert done.status == 0, done.err
    ort.InferenceSession(str(single), providers=["CPUExecutionProvider"])


def test_without_golden_images_a_bundle_is_smaller(edgekit, tiny_model, pictures, tmp_path):
    sizes = {}
    for count in (0, 2):
        path = tmp_path / "{}.ekb".format(count)
        done = edgekit("export", tiny_model, "--fp32", "--images", pictures[0], "--golden", count, "-o", path, "--json")
        assert done.status == 0, done.err
        assert done.json["golden_images"] == count
        sizes[count] = path.stat().st_size
    assert sizes[0] < sizes[2]
    assert edgekit("check", tmp_path / "0.ekb").status == 0


def test_a_plan_is_for_its_own_model(edgekit, tiny_model, pictures, tmp_path):
    plan, other = tmp_path / "plan.json", tmp_path / "other.onnx"
    assert edgekit("quantize", tiny_model, "--calib", pictures[0], "-o", plan, "--float-layers", "none").status == 0
    changed = onnx.load(tiny_model)
    changed.producer_name = "somebody else"
    onnx.save(changed, str(other))
    done = edgekit("export", other, "--plan", plan, "-o", tmp_path / "x.ekb")
    assert done.status == 2 and "is another file; quantize it anew" in done.err
    plan.write_text("{}")
    done = edgekit("export", other, "--plan", plan, "-o", tmp_path / "x.ekb")
    assert done.status == 2 and "is not a plan" in done.err
    assert not (tmp_path / "x.ekb").exists()


def _classifier(path):
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((10, 3, 8, 8), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[8, 8]),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [weight],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


@pytest.fixture(scope="module")
def files(tiny_model, pictures, tmp_path_factory):
    """Names that the mistakes below use."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "noise.onnx").write_bytes(b"\x08\x99 no protobuf" * 50)
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "a.jpg").write_bytes(b"not a picture")
    _classifier(str(folder / "classifier.onnx"))
    names = {name: str(folder / name) for name in ("noise.onnx", "empty", "broken", "classifier.onnx")}
    return dict(names, MODEL=tiny_model, CALIB=pictures[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.onnx", "--fp32"], "absent.onnx"),
        (["noise.onnx", "--fp32"], "noise.onnx"),
        (["classifier.onnx", "--fp32"], "detector"),
        (["MODEL", "--int8"], "--int8 needs --calib"),
        (["MODEL", "--int8", "--fp32"], "exclude each other"),
        (["MODEL", "--int8", "--calib", "empty"], "no images"),
        (["MODEL", "--int8", "--calib", "absent"], "absent"),
        (["MODEL", "--int8", "--calib", "broken"], "a.jpg"),
        (["MODEL", "--int8", "--calib", "CALIB", "--lowering", "ort-x68"], "did you mean 'ort-x86'?"),
        (["MODEL", "--int8", "--calib", "CALIB", "--method", "max"], "unknown method 'max'"),
        (["MODEL", "--int8", "--calib", "CALIB", "--keep-float", "Conv_9"], "no layer 'Conv_9'"),
        (["MODEL", "--int8", "--calib", "CALIB", "--weight-bits", "0"], "weight_bits is 0 bits, expected 2 to 8"),
        (["MODEL", "--int8", "--calib", "CALIB", "--weight-bits", "9"], "weight_bits is 9 bits, expected 2 to 8"),
        (["MODEL", "--int8", "--calib", "CALIB", "--layer-bits", "conf8=4"], "did you mean 'conv8'?"),
        (["MODEL", "--int8", "--calib", "CALIB", "--layer-bits", "stem"], "--layer-bits is LAYER=N"),
        (["MODEL", "--int8", "--calib", "CALIB", "--layer-bits", "a=4", "--layer-bits", "a=5"], "names a twice"),
        (["MODEL", "--fp32", "--weight-bits", "4"], "need --calib DIR, and no --plan or --fp32"),
        (["MODEL", "--plan", "absent.json", "--layer-bits", "a=4"], "need --calib DIR, and no --plan or --fp32"),
        (["MODEL", "--fp32", "--lowering", "ort-x86"], "is INT8 and this network is not quantised"),
        (["MODEL", "--fp32", "-o", "no/folder/x.ekb"], "cannot write no/folder/x.ekb"),
        (["MODEL", "--fp32", "-o", "x.onnx"], "name it with --lowering"),
        (["MODEL", "--plan", "absent.json"], "cannot read the plan absent.json"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(edgekit, files, tmp_path, arguments, message):
    named = [files.get(argument, argument) for argument in arguments]
    extra = [] if "-o" in arguments else ["-o", "x.ekb"]
    done = edgekit("export", *(named + extra), cwd=str(tmp_path))
    assert done.status == 2
    last = done.err.splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert "Traceback" not in done.err and not done.out
    assert os.listdir(str(tmp_path)) == []


@pytest.fixture()
def small_disk(tmp_path):
    """A file system of 64 KiB, for those who may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if mount is None or subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
        pytest.skip("only root can mount a small tmpfs")
    yield folder
    subprocess.call(["umount", str(folder)])


def test_a_full_disk_leaves_nothing(edgekit, tiny_model, pictures, small_disk):
    (small_disk / "ballast").write_bytes(b"\0" * 48000)
    done = edgekit("export", tiny_model, "--int8", "--calib", pictures[0], "-o", small_disk / "x.ekb")
    assert done.status == 2
    assert done.err.splitlines()[-1].startswith("error: cannot write") and "the disk is full" in done.err
    assert os.listdir(str(small_disk)) == ["ballast"]


def test_ctrl_c_leaves_nothing(tiny_model, pictures, tmp_path):
    command = [sys.executable, "-m", "edgekit", "export", tiny_model, "--int8", "--calib", pictures[0]]
    command += ["-o", str(tmp_path / "x.ekb")]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    assert running.stderr is not None
    running.stderr.readline()  # the first line of its progress
    time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    err = running.communicate(timeout=60)[1].decode()
    assert running.returncode == 130, err
    assert err.splitlines()[-1] == "interrupted: nothing is half written"
    assert os.listdir(str(tmp_path)) == []
