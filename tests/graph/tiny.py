"""Networks of a few nodes with the outputs of each head family, written by hand."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
CLASSES = 3


class Net:
    """Nodes and initializers in the order in which they are added."""

    def __init__(self, seed: int = 0, size: int = SIZE, batch: int | str = 1) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(seed)
        self.input = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, size, size])

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(
        self, op_type: str, inputs: Sequence[str], name: str, outputs: Sequence[str] = (), **attributes: object
    ) -> str:
        names = list(outputs) or [name]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=f"{name}_node", **attributes))
        return names[0]

    def conv(self, x: str, name: str, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, group: int = 1) -> str:
        shape = (c_out, c_in // group, kernel, kernel)
        scale = 1.5 / np.sqrt(np.prod(shape[1:]))
        w = self.constant(f"{name}_w", self.rng.normal(0, scale, shape).astype(np.float32))
        b = self.constant(f"{name}_b", self.rng.normal(0, 0.2, c_out).astype(np.float32))
        pads = [kernel // 2] * 4
        return self.op("Conv", [x, w, b], name, strides=[stride] * 2, pads=pads, group=group)

    def silu(self, x: str) -> str:
        return self.op("Mul", [x, self.op("Sigmoid", [x], f"{x}_gate")], f"{x}_silu")

    def bytes(self, outputs: Sequence[str], opset: int = 13, metadata: dict[str, str] | None = None) -> bytes:
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "tiny", [self.input], values, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        helper.set_model_props(model, metadata or {})
        return model.SerializeToString()


def backbone(net: Net) -> list[str]:
    """Feature maps of 8 channels at strides 8, 16 and 32 of pixels in 0..255, through SiLU."""
    scale = net.constant("scale", np.array(1 / 128, np.float32))
    x = net.silu(net.conv(net.op("Mul", ["images", scale], "scaled"), "stem", 3, 8, stride=2))
    x = net.silu(net.conv(x, "down4", 8, 8, stride=2, group=8))
    maps = []
    for stride in (8, 16, 32):
        x = net.silu(net.conv(x, f"down{stride}", 8, 8, stride=2))
        maps.append(x)
    return maps


def yolox(seed: int = 0, classes: int = CLASSES, **arguments: object) -> bytes:
    """Output (1, 84, 5 + classes)."""
    net = Net(seed)
    flat = []
    for index, feature in enumerate(backbone(net)):
        parts = [net.conv(feature, f"reg{index}", 8, 4, 1)]
        for kind, width in (("obj", 1), ("cls", classes)):
            parts.append(net.op("Sigmoid", [net.conv(feature, f"{kind}{index}", 8, width, 1)], f"{kind}{index}_score"))
        joined = net.op("Concat", parts, f"joined{index}", axis=1)
        shape = net.constant(f"shape{index}", np.array([1, 5 + classes, -1], np.int64))
        flat.append(net.op("Reshape", [joined, shape], f"flat{index}"))
    net.op("Transpose", [net.op("Concat", flat, "all", axis=2)], "output", perm=[0, 2, 1])
    return net.bytes(["output"], **arguments)  # type: ignore[arg-type]


def yolov8(seed: int = 0, classes: int = CLASSES, **arguments: object) -> bytes:
    """Output (1, 4 + classes, 84), boxes in pixels and scores."""
    net = Net(seed)
    flat = []
    for index, feature in enumerate(backbone(net)):
        boxes = net.op("Exp", [net.conv(feature, f"box{index}", 8, 4, 1)], f"box{index}_exp")
        scores = net.op("Sigmoid", [net.conv(feature, f"cls{index}", 8, classes, 1)], f"cls{index}_score")
        shape = net.constant(f"shape{index}", np.array([1, 4 + classes, -1], np.int64))
        joined = net.op("Concat", [boxes, scores], f"joined{index}", axis=1)
        flat.append(net.op("Reshape", [joined, shape], f"flat{index}"))
    net.op("Concat", flat, "output0", axis=2)
    return net.bytes(["output0"], **arguments)  # type: ignore[arg-type]


def nanodet(seed: int = 0, classes: int = CLASSES, reg_max: int = 7, **arguments: object) -> bytes:
    """Outputs (n, classes) and (n, 4 * (reg_max + 1)) for n = 64, 16, 4."""
    net = Net(seed)
    outputs = []
    for index, feature in enumerate(backbone(net)):
        scores = net.op("Sigmoid", [net.conv(feature, f"cls{index}", 8, classes, 1)], f"cls{index}_score")
        bins = net.conv(feature, f"bins{index}", 8, 4 * (reg_max + 1), 1)
        for kind, value, width in (("scores", scores, classes), ("sides", bins, 4 * (reg_max + 1))):
            shape = net.constant(f"{kind}{index}_shape", np.array([width, -1], np.int64))
            flat = net.op("Reshape", [value, shape], f"{kind}{index}_flat")
            outputs.append(net.op("Transpose", [flat], f"{kind}{index}", perm=[1, 0]))
    return net.bytes(outputs, **arguments)  # type: ignore[arg-type]


def pictures(folder: object, count: int, size: int = SIZE) -> list[str]:
    """Write `count` PNGs of noise at several scales into a folder; their paths."""
    import os

    import cv2

    rng = np.random.default_rng(1)
    paths = []
    for index in range(count):
        layers = [cv2.resize(rng.uniform(0, 255, (n, n, 3)).astype(np.float32), (size, size)) for n in (3, 9, 40)]
        paths.append(os.path.join(str(folder), f"{index:02}.png"))
        cv2.imwrite(paths[-1], np.mean(layers, axis=0).astype(np.uint8))
    return paths
