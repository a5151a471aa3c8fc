"""Published networks as ONNX graphs of their shapes, with zeros for weights: what they cost, not what they see.

Built from their papers and model cards: ResNet (He 2016), SqueezeNet (Iandola 2016),
MobileNetV2 (Sandler 2018), YOLOX (Ge 2021), YOLOv8 and YOLO11 (block diagrams and model
tables of their documentation). Their multiply-accumulates agree with the published ones: `GFLOPS`, checked by
tests/benchmarks/test_published.py. YOLO26n is taken as YOLO11n without the distribution in its box branch.
"""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.precision import QuantPlan, QuantSpec

# network at its published size -> GFLOP as published, a multiply-accumulate counted as two
GFLOPS = {
    "resnet18": 3.63,
    "resnet34": 7.33,
    "resnet50": 8.18,
    "resnet101": 15.6,
    "mobilenet_v2": 0.6,
    "squeezenet_1_1": 0.70,
    "yolox_s_leaky": 26.8,
    "yolov8n": 8.7,
    "yolov8s": 28.6,
    "yolov8m": 78.9,
    "yolov8s_seg": 40.1,  # published as 42.6, with the transposed convolution counted by its four times larger output
    "yolo11n": 6.5,
    "yolo11s": 21.5,
    "yolo26n": 5.4,
}


class Sketch:
    """A graph that is written down layer by layer; tensors are names, `channels` and `size` say what they are."""

    def __init__(self, size: int, activation: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.channels = {"images": 3}
        self.size = {"images": size}
        self.activation = activation
        self._input = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])

    def op(self, kind: str, inputs: list[str], channels: int = 0, size: int = 0, **attributes: object) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.channels[name] = channels or self.channels.get(inputs[0], 0)
        self.size[name] = size or self.size.get(inputs[0], 0)
        return name

    def constant(self, array: np.ndarray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def conv(
        self,
        x: str,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        act: bool = True,
        depthwise: bool = False,
        padded: bool = True,
    ) -> str:
        inner = 1 if depthwise else self.channels[x]
        weight = self.constant(np.zeros((out, inner, kernel, kernel), np.float32))
        bias = self.constant(np.zeros(out, np.float32))
        y = self.op(
            "Conv",
            [x, weight, bias],
            out,
            -(-self.size[x] // stride) if padded else (self.size[x] - kernel) // stride + 1,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2 if padded else 0] * 4,
            group=self.channels[x] if depthwise else 1,
        )
        return self.act(y) if act else y

    def act(self, x: str) -> str:
        if self.activation == "silu":
            return self.op("Mul", [x, self.op("Sigmoid", [x])])
        return self.op("LeakyRelu", [x], alpha=0.1) if self.activation == "leaky" else self.op("Relu", [x])

    def concat(self, parts: list[str], axis: int = 1) -> str:
        return self.op("Concat", parts, sum(self.channels[p] for p in parts), axis=axis)

    def add(self, x: str, y: str) -> str:
        return self.op("Add", [x, y])

    def up(self, x: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.op("Resize", [x, "", scales], 0, 2 * self.size[x], mode="nearest", nearest_mode="floor")

    def pool(self, x: str, kernel: int, stride: int = 1, padded: bool = True) -> str:
        size = -(-self.size[x] // stride) if padded else -(-(self.size[x] - kernel) // stride) + 1
        pads = [kernel // 2 if padded else 0] * 4
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads}
        return self.op("MaxPool", [x], 0, size, ceil_mode=int(not padded), **shape)

    def part(self, x: str, first: int, last: int, axis: int = 1, step: int = 1) -> str:
        bounds = [self.constant(np.array([v], np.int64)) for v in (first, last, axis, step)]
        return self.op("Slice", [x, *bounds], last - first if axis == 1 else 0)

    def reshape(self, x: str, *shape: int) -> str:
        return self.op("Reshape", [x, self.constant(np.array(shape, np.int64))], shape[1])

    def model(self, outputs: list[str]) -> bytes:
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "network", [self._input], values, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        data: bytes = model.SerializeToString()
        return data


def resnet(blocks: tuple[int, ...], bottleneck: bool, size: int) -> bytes:
    net = Sketch(size, "relu")
    x = net.pool(net.conv("images", 64, 7, 2), 3, 2)
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for index in range(count):
            stride = 2 if stage and index == 0 else 1
            out = 4 * width if bottleneck else width
            if bottleneck:
                y = net.conv(net.conv(net.conv(x, width), width, 3, stride), out, act=False)
            else:
                y = net.conv(net.conv(x, width, 3, stride), width, 3, act=False)
            x = net.conv(x, out, 1, stride, act=False) if index == 0 and net.channels[x] != out else x
            x = net.act(net.add(y, x))
    net.conv(net.op("GlobalAveragePool", [x], 0, 1), 1000, act=False)
    return net.model([net.nodes[-1].output[0]])


def mobilenet_v2(size: int) -> bytes:
    net = Sketch(size, "relu")
    x = net.conv("images", 32, 3, 2)
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for widen, out, count, stride in stages:
        for index in range(count):
            inner = widen * net.channels[x]
            y = net.conv(x, inner) if widen > 1 else x
            y = net.conv(y, inner, 3, stride if index == 0 else 1, depthwise=True)
            y = net.conv(y, out, act=False)
            x = net.add(x, y) if index else y
    net.conv(net.op("GlobalAveragePool", [net.conv(x, 1280)], 0, 1), 1000, act=False)
    return net.model([net.nodes[-1].output[0]])


def squeezenet_1_1(size: int) -> bytes:
    net = Sketch(size, "relu")
    x = net.pool(net.conv("images", 64, 3, 2, padded=False), 3, 2, padded=False)
    for index, (squeeze, expand) in enumerate(((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192))):
        x = net.pool(x, 3, 2, padded=False) if index in (2, 4) else x
        y = net.conv(x, squeeze)
        x = net.concat([net.conv(y, expand), net.conv(y, expand, 3)])
    for _ in range(2):
        y = net.conv(x, 64)
        x = net.concat([net.conv(y, 256), net.conv(y, 256, 3)])
    net.op("GlobalAveragePool", [net.conv(x, 1000)], 0, 1)
    return net.model([net.nodes[-1].output[0]])


def yolox(width: float, depthwise: bool, activation: str, size: int) -> bytes:
    """YOLOX of depth 0.33, decoded heads left out."""
    net = Sketch(size, activation)

    def c(channels: int) -> int:
        return int(channels * width)

    def spread(x: str, out: int, stride: int = 1) -> str:
        """A 3x3 convolution, or depthwise 3x3 and pointwise."""
        if not depthwise:
            return net.conv(x, out, 3, stride)
        return net.conv(net.conv(x, net.channels[x], 3, stride, depthwise=True), out)

    def csp(x: str, out: int, count: int, shortcut: bool) -> str:
        left, right = net.conv(x, out // 2), net.conv(x, out // 2)
        for _ in range(count):
            y = spread(net.conv(left, out // 2), out // 2)
            left = net.add(y, left) if shortcut else y
        return net.conv(net.concat([left, right]), out)

    rows = [net.part("images", y, 1 << 30, 2, 2) for y in (0, 1)]
    focus = [net.part(row, x, 1 << 30, 3, 2) for x in (0, 1) for row in rows]
    for name in focus:
        net.channels[name], net.size[name] = 3, size // 2
    x = net.conv(net.concat(focus), c(64), 3)
    maps = []
    for stage, count in enumerate((1, 3, 3, 1)):
        out = c(128 << stage)
        x = spread(x, out, 2)
        if stage == 3:
            y = net.conv(x, out // 2)
            x = net.conv(net.concat([y, net.pool(y, 5), net.pool(y, 9), net.pool(y, 13)]), out)
        x = csp(x, out, count, stage != 3)
        maps.append(x)
    top = net.conv(maps[3], c(512))
    middle = net.conv(csp(net.concat([net.up(top), maps[2]]), c(512), 1, False), c(256))
    p3 = csp(net.concat([net.up(middle), maps[1]]), c(256), 1, False)
    p4 = csp(net.concat([spread(p3, c(256), 2), middle]), c(512), 1, False)
    p5 = csp(net.concat([spread(p4, c(512), 2), top]), c(1024), 1, False)
    outputs = []
    for feature in (p3, p4, p5):
        stem = net.conv(feature, c(256))
        cls = spread(spread(stem, c(256)), c(256))
        reg = spread(spread(stem, c(256)), c(256))
        box, obj = net.conv(reg, 4, act=False), net.op("Sigmoid", [net.conv(reg, 1, act=False)])
        joined = net.concat([box, obj, net.op("Sigmoid", [net.conv(cls, 80, act=False)])])
        outputs.append(net.reshape(joined, 1, 85, -1))
    net.op("Transpose", [net.concat(outputs, 2)], perm=[0, 2, 1])
    return net.model([net.nodes[-1].output[0]])


Block = Callable[[Sketch, str], str]


def _split_block(net: Sketch, x: str, out: int, hidden: int, blocks: list[Block]) -> str:
    """The frame of C2f, C3k2 and C2PSA: half goes on, every step is kept."""
    y = net.conv(x, 2 * hidden)
    kept = [net.part(y, 0, hidden), net.part(y, hidden, 2 * hidden)]
    for block in blocks:
        kept.append(block(net, kept[-1]))
    return net.conv(net.concat(kept), out)


def _bottleneck(hidden: int, shortcut: bool) -> Block:
    def block(net: Sketch, x: str) -> str:
        y = net.conv(net.conv(x, hidden, 3), net.channels[x], 3)
        return net.add(x, y) if shortcut else y

    return block


def _c3k(net: Sketch, x: str) -> str:
    half = net.channels[x] // 2
    y = net.conv(x, half)
    for _ in range(2):
        y = _bottleneck(half, True)(net, y)
    return net.conv(net.concat([y, net.conv(x, half)]), net.channels[x])


def _attention(net: Sketch, x: str) -> str:
    channels, size = net.channels[x], net.size[x]
    heads, tokens = max(channels // 64, 1), size * size
    width = channels // heads
    qkv = net.reshape(net.conv(x, 2 * channels, act=False), 1, heads, 2 * width, tokens)
    parts = [net.part(qkv, a, b, 2) for a, b in ((0, width // 2), (width // 2, width), (width, 2 * width))]
    scores = net.op("MatMul", [net.op("Transpose", [parts[0]], perm=[0, 1, 3, 2]), parts[1]])
    weights = net.op("Softmax", [net.op("Mul", [scores, net.constant(np.float32(0.125))])], axis=-1)
    mixed = net.op("MatMul", [parts[2], net.op("Transpose", [weights], perm=[0, 1, 3, 2])])
    mixed = net.reshape(mixed, 1, channels, size, size)
    value = net.reshape(parts[2], 1, channels, size, size)
    for name in (mixed, value):
        net.channels[name], net.size[name] = channels, size
    where = net.conv(value, channels, 3, act=False, depthwise=True)
    x = net.add(x, net.conv(net.add(mixed, where), channels, act=False))
    return net.add(x, net.conv(net.conv(x, 2 * channels), channels, act=False))


def _sppf(net: Sketch, x: str) -> str:
    y = [net.conv(x, net.channels[x] // 2)]
    for _ in range(3):
        y.append(net.pool(y[-1], 5))
    return net.conv(net.concat(y), net.channels[x])


def yolov8(width: float, depth: float, most: int, size: int, masks: bool = False) -> bytes:
    net = Sketch(size, "silu")

    def c(channels: int) -> int:
        return int(min(channels, most) * width)

    def c2f(x: str, channels: int, repeats: int, shortcut: bool) -> str:
        hidden, count = c(channels) // 2, max(round(repeats * depth), 1)
        return _split_block(net, x, c(channels), hidden, [_bottleneck(hidden, shortcut)] * count)

    x = c2f(net.conv(net.conv("images", c(64), 3, 2), c(128), 3, 2), 128, 3, True)
    b3 = c2f(net.conv(x, c(256), 3, 2), 256, 6, True)
    b4 = c2f(net.conv(b3, c(512), 3, 2), 512, 6, True)
    b5 = _sppf(net, c2f(net.conv(b4, c(1024), 3, 2), 1024, 3, True))
    n4 = c2f(net.concat([net.up(b5), b4]), 512, 3, False)
    p3 = c2f(net.concat([net.up(n4), b3]), 256, 3, False)
    p4 = c2f(net.concat([net.conv(p3, c(256), 3, 2), n4]), 512, 3, False)
    p5 = c2f(net.concat([net.conv(p4, c(512), 3, 2), b5]), 1024, 3, False)
    outputs = _masks(net, [p3, p4, p5], c(256)) if masks else []
    return net.model([_detect(net, [p3, p4, p5], 16, False), *outputs])


def yolo11(width: float, depth: float, bins: int, size: int) -> bytes:
    net = Sketch(size, "silu")

    def c(channels: int) -> int:
        return int(channels * width)

    def c3k2(x: str, channels: int, nested: bool, share: float = 0.5) -> str:
        hidden = int(c(channels) * share)
        count = max(round(2 * depth), 1)
        return _split_block(net, x, c(channels), hidden, [_c3k if nested else _bottleneck(hidden // 2, True)] * count)

    x = c3k2(net.conv(net.conv("images", c(64), 3, 2), c(128), 3, 2), 256, False, 0.25)
    b3 = c3k2(net.conv(x, c(256), 3, 2), 512, False, 0.25)
    b4 = c3k2(net.conv(b3, c(512), 3, 2), 512, True)
    x = _sppf(net, c3k2(net.conv(b4, c(1024), 3, 2), 1024, True))
    half = c(1024) // 2
    y = net.conv(x, 2 * half)
    kept, attended = net.part(y, 0, half), net.part(y, half, 2 * half)
    for name in (kept, attended):
        net.size[name] = net.size[y]
    for _ in range(max(round(2 * depth), 1)):
        attended = _attention(net, attended)
    b5 = net.conv(net.concat([kept, attended]), c(1024))
    n4 = c3k2(net.concat([net.up(b5), b4]), 512, False)
    p3 = c3k2(net.concat([net.up(n4), b3]), 256, False)
    p4 = c3k2(net.concat([net.conv(p3, c(256), 3, 2), n4]), 512, False)
    p5 = c3k2(net.concat([net.conv(p4, c(512), 3, 2), b5]), 1024, True)
    return net.model([_detect(net, [p3, p4, p5], bins, True)])


def _masks(net: Sketch, features: list[str], width: int) -> list[str]:
    """The prototypes of masks (1, 32, 160, 160) and their coefficients of each candidate."""
    y = net.conv(features[0], width, 3)
    weight = net.constant(np.zeros((width, width, 2, 2), np.float32))
    y = net.op("ConvTranspose", [y, weight], width, 2 * net.size[y], kernel_shape=[2, 2], strides=[2, 2])
    prototypes = net.conv(net.conv(y, width, 3), 32)
    inner = max(net.channels[features[0]] // 4, 32)
    rows = [net.conv(net.conv(net.conv(x, inner, 3), inner, 3), 32, act=False) for x in features]
    return [prototypes, net.concat([net.reshape(row, 1, 32, -1) for row in rows], 2)]


def _detect(net: Sketch, features: list[str], bins: int, light: bool) -> str:
    """The decoupled head with its decoding: (1, 84, candidates)."""
    first = net.channels[features[0]]
    box_width, class_width = max(16, first // 4, 4 * bins), max(first, 80)
    levels = []
    for x in features:
        box = net.conv(net.conv(net.conv(x, box_width, 3), box_width, 3), 4 * bins, act=False)
        if light:
            y = net.conv(net.conv(x, net.channels[x], 3, depthwise=True), class_width)
            y = net.conv(net.conv(y, class_width, 3, depthwise=True), class_width)
        else:
            y = net.conv(net.conv(x, class_width, 3), class_width, 3)
        levels.append(net.reshape(net.concat([box, net.conv(y, 80, act=False)]), 1, 4 * bins + 80, -1))
    joined = net.concat(levels, 2)
    sides = net.part(joined, 0, 4 * bins)
    if bins > 1:
        spread = net.op("Transpose", [net.reshape(sides, 1, 4, bins, -1)], perm=[0, 2, 1, 3])
        net.channels[spread] = bins
        mean = net.conv(net.op("Softmax", [spread], axis=1), 1, act=False)
        sides = net.reshape(mean, 1, 4, -1)
    corner = net.op("Sub", [net.constant(np.float32(0.5)), net.part(sides, 0, 2)])
    other = net.op("Add", [net.part(sides, 2, 4), net.constant(np.float32(0.5))])
    centre = net.op("Mul", [net.op("Add", [corner, other]), net.constant(np.float32(0.5))])
    extent = net.op("Sub", [other, corner])
    boxes = net.op("Mul", [net.op("Concat", [centre, extent], axis=1), net.constant(np.float32(8))])
    scores = net.op("Sigmoid", [net.part(joined, 4 * bins, 4 * bins + 80)])
    return net.op("Concat", [boxes, scores], axis=1)


NETWORKS: dict[str, Callable[[int], bytes]] = {
    "resnet18": lambda size: resnet((2, 2, 2, 2), False, size),
    "resnet34": lambda size: resnet((3, 4, 6, 3), False, size),
    "resnet50": lambda size: resnet((3, 4, 6, 3), True, size),
    "resnet101": lambda size: resnet((3, 4, 23, 3), True, size),
    "mobilenet_v2": mobilenet_v2,
    "squeezenet_1_1": squeezenet_1_1,
    "yolox_nano": lambda size: yolox(0.25, True, "silu", size),
    "yolox_tiny": lambda size: yolox(0.375, False, "silu", size),
    "yolox_s_leaky": lambda size: yolox(0.5, False, "leaky", size),
    "yolov8n": lambda size: yolov8(0.25, 0.33, 1024, size),
    "yolov8s": lambda size: yolov8(0.50, 0.33, 1024, size),
    "yolov8m": lambda size: yolov8(0.75, 0.67, 768, size),
    "yolov8s_seg": lambda size: yolov8(0.50, 0.33, 1024, size, masks=True),
    "yolo11n": lambda size: yolo11(0.25, 0.5, 16, size),
    "yolo11s": lambda size: yolo11(0.50, 0.5, 16, size),
    "yolo26n": lambda size: yolo11(0.25, 0.5, 1, size),
}


def graph_of(name: str, size: int, precision: str) -> ir.Model:
    """The network's canonical graph; for "int8" with Q/DQ where edgekit places them for TensorRT, all scales alike."""
    model = load_canonical(NETWORKS[name](size))
    return lower("trt8", model, _one_scale(model.graph)).model if precision == "int8" else model


def _one_scale(graph: ir.Graph) -> QuantPlan:
    activation = QuantSpec(bits=8, scale=(0.1,))
    weights = {}
    for node in graph:
        weight = node.inputs[1] if node.op_type == "Conv" else None
        if weight is not None and weight.shape is not None:
            scale = (0.1,) * int(weight.shape[0])
            weights[str(node.name)] = QuantSpec(bits=8, granularity="channel", scale=scale)
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    return QuantPlan(weights=weights, activations={str(value.name): activation for value in values})
