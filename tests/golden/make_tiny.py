"""Make tiny_yolox.onnx, tiny_signed.onnx and tiny.ekb: `python tests/golden/make_tiny.py` (needs the onnx package).

A YOLOX-shaped detector of bright squares without training. In a 32 x 32 image each cell of strides 8, 16 and 32 looks
at its mean colour: objectness = sigmoid((B + G + R) / 3 / 8 - 25), so a cell fires at a mean above 200; class "blue" or
"red" = sigmoid(+-(B - R) / 16 + 4); the box is the cell itself.
"""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE, STRIDES, CLASSES = 32, (8, 16, 32), ("blue", "red")


def _const(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def _head():
    """Weight (7, 3, 1, 1) and bias (7,) from a cell's mean B, G, R to tx, ty, tw, th and the logits."""
    weight = np.zeros((7, 3, 1, 1), np.float32)
    weight[4, :, 0, 0] = 1 / 24
    weight[5, :, 0, 0] = [1 / 16, 0, -1 / 16]
    weight[6, :, 0, 0] = [-1 / 16, 0, 1 / 16]
    return weight, np.array([0.5, 0.5, 0, 0, -25, 4, 4], np.float32)


def tiny(signed=False):
    """The model; with `signed` its input goes through int8 first, as in a TensorRT lowering."""
    weight, bias = _head()
    constants = [_const("weight", weight), _const("bias", bias), _const("split", np.array([4, 3], np.int64))]
    nodes, parts, image = [], [], "images"
    if signed:
        constants += [_const("scale", np.float32(2.0)), _const("zero", np.int8(0))]
        nodes.append(helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["codes"], "quantize"))
        nodes.append(helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["image"], "dequantize"))
        image = "image"
    for stride in STRIDES:
        cells = (SIZE // stride) ** 2
        constants.append(_const("shape%d" % stride, np.array([1, 7, cells], np.int64)))
        pool, conv, flat = ("%s%d" % (name, stride) for name in ("pool", "conv", "flat"))
        nodes += [
            helper.make_node("AveragePool", [image], [pool], pool, kernel_shape=[stride] * 2, strides=[stride] * 2),
            helper.make_node("Conv", [pool, "weight", "bias"], [conv], conv, kernel_shape=[1, 1]),
            helper.make_node("Reshape", [conv, "shape%d" % stride], [flat], flat),
        ]
        parts.append(flat)
    nodes += [
        helper.make_node("Concat", parts, ["all"], "concat", axis=2),
        helper.make_node("Transpose", ["all"], ["rows"], "transpose", perm=[0, 2, 1]),
        helper.make_node("Split", ["rows", "split"], ["box", "logit"], "split_scores", axis=2),
        helper.make_node("Sigmoid", ["logit"], ["score"], "sigmoid"),
        helper.make_node("Concat", ["box", "score"], ["output"], "join", axis=2),
    ]
    anchors = sum((SIZE // stride) ** 2 for stride in STRIDES)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, anchors, 7])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _bundle(path, fp32, signed):
    from edgekit.bundle import LoweredGraph, write_bundle
    from edgekit.process import DecodeSpec, Preprocess

    manifest = {
        "model": {"name": "tiny", "task": "detect", "classes": list(CLASSES), "licence": "Apache-2.0"},
        "preprocess": Preprocess(SIZE, SIZE).to_json(),
        "decode": DecodeSpec("yolox", len(CLASSES)).to_json(),
        "input": {"name": "images", "shape": [1, 3, SIZE, SIZE], "dtype": "float32"},
        "outputs": [{"name": "output", "shape": [1, 21, 7], "dtype": "float32"}],
        "plan": None,
        "calibration": None,
        "golden": [],
        "provenance": {"tool": "tests/golden/make_tiny.py"},
    }
    lowerings = {"fp32": LoweredGraph(fp32, [], 13), "trt8": LoweredGraph(signed, [], 13)}
    write_bundle(path, manifest=manifest, tensors=[], lowerings=lowerings)


def main():
    sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))
    fp32, signed = tiny().SerializeToString(), tiny(signed=True).SerializeToString()
    for name, data in (("tiny_yolox.onnx", fp32), ("tiny_signed.onnx", signed)):
        with open(os.path.join(HERE, name), "wb") as stream:
            stream.write(data)
    _bundle(os.path.join(HERE, "tiny.ekb"), fp32, signed)


if __name__ == "__main__":
    main()
