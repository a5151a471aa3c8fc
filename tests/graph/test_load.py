import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgekit.errors import ModelError
from edgekit.graph.load import input_hw, load_canonical, model_bytes
from tests.graph import tiny


def run(data: bytes, x: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def picture(size: int = tiny.SIZE) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, 3, size, size)).astype(np.float32)


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 20])
@pytest.mark.parametrize("make", [tiny.yolox, tiny.yolov8, tiny.nanodet])
def test_every_opset_gives_the_same_network_at_opset_13(make, opset):
    data = make(opset=opset)
    model = load_canonical(data)
    canonical = model_bytes(model)
    assert (model.ir_version, model.opset_imports[""]) == (8, 13)
    for seen, expected in zip(run(canonical, picture()), run(data, picture()), strict=True):
        np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)


def test_is_idempotent_and_deterministic():
    once = model_bytes(load_canonical(tiny.yolox()))
    assert model_bytes(load_canonical(tiny.yolox())) == once
    assert model_bytes(load_canonical(once)) == once


def test_batch_normalisation_dropout_and_computed_shapes_go():
    net = tiny.Net(batch="n")
    x = net.conv("images", "stem", 3, 8, stride=8)
    rng = np.random.default_rng(3)
    parameters = [rng.uniform(0.5, 2, 8), rng.normal(size=8), rng.normal(size=8), rng.uniform(0.5, 2, 8)]
    names = [net.constant(f"bn{i}", p.astype(np.float32)) for i, p in enumerate(parameters)]
    x = net.op("BatchNormalization", [x, *names], "normal")
    x = net.op("Identity", [net.op("Dropout", [x], "dropped")], "same")
    first = net.op("Gather", [net.op("Shape", [x], "sizes"), net.constant("zero", np.array([0], np.int64))], "n")
    shape = net.op("Concat", [first, net.constant("rest", np.array([8, -1], np.int64))], "shape", axis=0)
    net.op("Reshape", [x, shape], "output")
    data = net.bytes(["output"])
    model = load_canonical(data)
    assert [node.op_type for node in model.graph] == ["Conv", "Reshape"]
    np.testing.assert_allclose(run(model_bytes(model), picture())[0], run(data, picture())[0], rtol=1e-4, atol=1e-4)


def test_hardswish_and_reductions_of_newer_opsets_are_rewritten():
    net = tiny.Net()
    x = net.op("HardSwish", [net.conv("images", "stem", 3, 9, stride=8)], "swish")
    axes = net.constant("axes", np.array([2, 3], np.int64))
    x = net.op("Sub", [x, net.op("ReduceMax", [x, axes], "largest")], "shifted")
    net.op("Split", [x], "parts", ["a", "b", "c"], axis=1, num_outputs=3)
    net.op("Concat", ["c", "b", "a"], "output", axis=1)
    data = net.bytes(["output"], opset=18)
    np.testing.assert_allclose(
        run(model_bytes(load_canonical(data)), picture())[0], run(data, picture())[0], rtol=1e-5, atol=1e-5
    )


def test_nodes_without_a_name_get_one_of_their_own():
    proto = onnx.load_model_from_string(tiny.yolox())
    for node in proto.graph.node:
        node.ClearField("name")
    names = [node.name for node in load_canonical(proto.SerializeToString()).graph]
    assert all(names)
    assert len(set(names)) == len(names)


def test_open_size_is_taken_from_the_caller():
    net = tiny.Net(size="side")  # type: ignore[arg-type]
    net.conv("images", "output", 3, 8)
    data = net.bytes(["output"])
    assert input_hw(load_canonical(data, (32, 96))) == (32, 96)
    with pytest.raises(ModelError, match="1x3xsidexside; give its size with imgsz"):
        load_canonical(data)


def broken(change) -> bytes:
    proto = onnx.load_model_from_string(tiny.yolox())
    change(proto)
    return proto.SerializeToString()


def two_inputs(proto):
    proto.graph.input.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [1]))


def bytes_in(proto):
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def batch_of_four(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


def custom(proto):
    proto.graph.node[0].domain = "my.ops"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_inputs, "2 inputs .images, second., expected one image"),
        (bytes_in, "uint8 1x3x64x64, expected float"),
        (batch_of_four, "4x3x64x64, expected 1x3xHxW"),
        (custom, "not standard ONNX .my.ops.Mul."),
    ],
)
def test_networks_that_are_something_else(change, message):
    with pytest.raises(ModelError, match=message):
        load_canonical(broken(change))


def test_quantised_networks_are_refused():
    net = tiny.Net()
    scale, zero = net.constant("s", np.array(0.1, np.float32)), net.constant("z", np.array(0, np.int8))
    x = net.op("QuantizeLinear", ["images", scale, zero], "q")
    net.conv(net.op("DequantizeLinear", [x, scale, zero], "dq"), "output", 3, 8)
    with pytest.raises(ModelError, match="quantised already"):
        load_canonical(net.bytes(["output"]))


def test_files_that_are_not_onnx(tmp_path):
    path = tmp_path / "notes.onnx"
    for content in (b"", b"hello, this is no network", b"\x00\xff" * 40):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not an ONNX file"):
            load_canonical(path)
    with pytest.raises(ModelError, match="cannot read"):
        load_canonical(tmp_path / "absent.onnx")


def test_a_network_without_convolution_is_refused():
    net = tiny.Net()
    net.op("Relu", ["images"], "output")
    with pytest.raises(ModelError, match="no convolution"):
        load_canonical(net.bytes(["output"]))


@pytest.mark.parametrize("name", ["yolox_nano_416", "nanodet_m_320"])
def test_published_detectors(reference_data, name):
    path = reference_data / "weights" / f"{name}.onnx"
    model = load_canonical(path)
    x = picture(input_hw(model)[0])
    for seen, expected in zip(run(model_bytes(model), x), run(path.read_bytes(), x), strict=True):
        np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert not {"Shape", "Constant", "Cast", "Gather", "Unsqueeze"} & {node.op_type for node in model.graph}
