"""EngineInspector's JSON of each generation, in one form; and the profiler.

The documents are written by hand after NVIDIA's published samples (developer guide, "Engine Inspector"; "Migrating
IEngineInspector Usage from TensorRT 10.x to 11.x").
"""

import json

import pytest

from edgekit.nvidia.trt import open_tensorrt
from edgekit.nvidia.trt_engine import open_engine
from edgekit.nvidia.trt_layers import LayerClock, layers_from_json
from tests.nvidia.built import build_plan, use_gpu
from tests.nvidia.fake_cuda import FakeCuda

CONV_8 = {
    "Name": "/stem/Conv + /stem/Relu",
    "LayerType": "CaskConvolution",
    "Inputs": [
        {
            "Name": "x",
            "Location": "Device",
            "Dimensions": [1, 32, 28, 28],
            "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format.",
        }
    ],
    "Outputs": [{"Name": "y", "Dimensions": [1, 64, 28, 28], "Format/Datatype": "Row major linear FP32"}],
    "ParameterType": "Convolution",
    "Weights": {"Type": "Int8", "Count": 2048},
    "TacticName": "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32",
    "TacticValue": "0x11bde0e1d9f2f35d",
}


def read(*layers, **rest):
    return layers_from_json(json.dumps(dict(rest, Layers=layers)))


def test_a_convolution_of_8_x():
    (layer,) = read(CONV_8, Bindings=["x", "y"])
    assert layer == {
        "name": "/stem/Conv + /stem/Relu",
        "op": "Convolution",
        "precision": "int8",
        "inputs": [
            {
                "name": "x",
                "shape": [1, 32, 28, 28],
                "dtype": "int8",
                "format": "Thirty-two wide channel vectorized row major Int8 format.",
            }
        ],
        "outputs": [
            {"name": "y", "shape": [1, 64, 28, 28], "dtype": "fp32", "format": "Row major linear FP32"},
        ],
        "tactic": "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32",
        "origin": ["/stem/Conv", "/stem/Relu"],
    }


@pytest.mark.parametrize("separator", ["\x1e", "\x1f"])
def test_metadata_names_the_nodes_from_8_6_on(separator):
    metadata = separator.join("[ONNX Layer: {}]".format(name) for name in ("/a/Conv", "/b[0]/Mul"))
    (layer,) = read(dict(CONV_8, Name="__myl_Conv_0x1", Metadata=metadata))
    assert layer["origin"] == ["/a/Conv", "/b[0]/Mul"]


def test_11_splits_format_and_type():
    tensor = {"Name": "x", "Dimensions": [1, 8], "Format": "Row major linear", "Datatype": "Half"}
    (layer,) = read(
        {"Name": "gemm", "LayerType": "gemm", "Inputs": [tensor], "Outputs": [tensor], "Metadata": ""},
        **{"I/O Tensors": [{"Name": "x", "IOMode": "Input", "DataType": "Half"}]},
    )
    assert layer["inputs"] == [{"name": "x", "shape": [1, 8], "dtype": "fp16", "format": "Row major linear"}]
    assert (layer["op"], layer["precision"], layer["origin"], layer["tactic"]) == ("gemm", "fp16", [], "")


def test_names_alone_without_details():
    layers = read("conv_1 + relu_1", "Reformatting CopyNode for Input Tensor 0 to conv_1 + relu_1")
    assert [layer["origin"] for layer in layers] == [["conv_1", "relu_1"], []]
    assert layers[0] == {
        "name": "conv_1 + relu_1",
        "op": "",
        "precision": "",
        "inputs": [],
        "outputs": [],
        "tactic": "",
        "origin": ["conv_1", "relu_1"],
    }


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("Conv_0", ["Conv_0"]),
        ("PWN(Sigmoid_3)", ["Sigmoid_3"]),
        ("PWN(PWN(Sigmoid_3), Mul_4)", ["Sigmoid_3", "Mul_4"]),
        ("Conv_5 + PWN(PWN(Sigmoid_6), Mul_7)", ["Conv_5", "Sigmoid_6", "Mul_7"]),
        ("Conv_1 || Conv_2", ["Conv_1", "Conv_2"]),
        ("{ForeignNode[/a/Shape.../b/Gather]}", []),
        ("Reformatting CopyNode for Output Tensor 0 to Conv_9", []),
        ("weights(0) + Conv_3", ["weights(0)", "Conv_3"]),
        ("PWN(broken", ["broken"]),
    ],
)
def test_nodes_by_the_name_alone_before_8_6(name, origin):
    assert read(name)[0]["origin"] == origin


@pytest.mark.parametrize(
    ("said", "short"),
    [
        ("Row major linear FP16 format", "fp16"),
        ("Channel major FP16 format where channel % 8 == 0", "fp16"),
        ("Four wide channel vectorized row major Int8 format", "int8"),
        ("Float", "fp32"),
        ("BFloat16", "bf16"),
        ("Int32", "int32"),
        ("Unknown format", ""),
        ("", ""),
    ],
)
def test_types_in_all_their_spellings(said, short):
    tensor = {"Name": "x", "Format/Datatype": said}
    (layer,) = read({"Name": "n", "LayerType": "Shuffle", "Inputs": [tensor], "Outputs": []})
    assert (layer["precision"], layer["inputs"][0]["dtype"]) == (short, short)


def test_a_layer_without_inputs_has_the_type_of_its_output():
    (layer,) = read({"Name": "c", "LayerType": "Constant", "Outputs": [{"Name": "c", "Format/Datatype": "Half"}]})
    assert (layer["precision"], layer["inputs"]) == ("fp16", [])


def test_tactic_by_its_number_where_it_has_no_name():
    (layer,) = read({"Name": "c", "LayerType": "Reformat", "TacticValue": "0x3e8"})
    assert layer["tactic"] == "0x3e8"


def test_layers_of_each_version(trt, monkeypatch):
    use_gpu(monkeypatch, trt)
    layers = layers_from_json(open_engine(open_tensorrt(), build_plan(), []).inspect())
    conv = next(layer for layer in layers if layer["origin"] == ["conv8"])
    assert (conv["op"], conv["precision"]) == ("Convolution", "fp32")
    assert conv["inputs"][0]["dtype"] == "fp32"
    assert conv["outputs"][0]["format"].startswith("Row major linear")


def test_names_of_each_version_without_details(trt, monkeypatch):
    use_gpu(monkeypatch, trt)
    layers = layers_from_json(open_engine(open_tensorrt(), build_plan(details=False), []).inspect())
    assert "conv8" in [layer["name"] for layer in layers]
    assert {layer["precision"] for layer in layers} == {""}


def test_clock_collects_each_run_until_its_end(trt, monkeypatch):
    gpu = use_gpu(monkeypatch, trt)
    cuda, engine = FakeCuda(gpu), open_engine(open_tensorrt(), build_plan(), [])
    clock, stream = LayerClock(open_tensorrt()), cuda.stream()
    for tensor in engine.io:
        engine.bind(tensor.name, cuda.pinned(tensor.shape, tensor.dtype).device_pointer)
    engine.profile(clock.profiler)
    for _ in range(2):
        engine.enqueue(cuda.handle(stream))
    engine.end_profile()
    engine.enqueue(cuda.handle(stream))
    times = clock.times()
    assert [name for name, _ in times] == [layer["name"] for layer in layers_from_json(engine.inspect())]
    assert [len(ms) for _, ms in times] == [2] * len(times)
    assert times[1][1] == [pytest.approx(0.2)] * 2
