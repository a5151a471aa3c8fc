"""Small canonical graphs and plans for the tests of Q/DQ: 32 channels, 16 x 16 pixels, so that every rule applies."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgekit.graph.load import load_canonical, model_bytes
from edgekit.graph.plan import PlanOptions, make_plan
from edgekit.graph.runner import Runner
from edgekit.precision import QuantPlan
from tests.graph.tiny import Net

SIZE = 16


def silu_net() -> Net:
    """images -> stem (SiLU) -> mix (SiLU) -> last: 32 channels between."""
    net = Net(size=SIZE)
    x = net.silu(net.conv("images", "stem", 3, 32))
    x = net.silu(net.conv(x, "mix", 32, 32))
    net.conv(x, "last", 32, 32, 1)
    return net


def relu_net() -> Net:
    """images -> stem, mix, last with ReLU behind the first two."""
    net = Net(size=SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    x = net.op("Relu", [net.conv(x, "mix", 32, 32)], "mix_relu")
    net.conv(x, "last", 32, 32, 1)
    return net


def residual_net(activation: bool) -> Net:
    """A block x + conv(conv(x)); with `activation`, SiLU stands between the second convolution and the Add."""
    net = Net(size=SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    y = net.conv(net.op("Relu", [net.conv(x, "first", 32, 32)], "first_relu"), "second", 32, 32)
    y = net.silu(y) if activation else y
    total = net.op("Relu", [net.op("Add", [y, x], "total")], "total_relu")
    net.conv(total, "last", 32, 32, 1)
    return net


def concat_net() -> Net:
    """Two branches of one tensor, joined and read by a convolution, with a nearest Resize and a MaxPool on the way."""
    net = Net(size=SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    left = net.op("Relu", [net.conv(x, "left", 32, 32, stride=2)], "left_relu")
    scales = net.constant("scales", np.array([1, 1, 2, 2], np.float32))
    left = net.op("Resize", [left, "", scales], "left_up", mode="nearest", nearest_mode="floor")
    right = net.op("MaxPool", [x], "right", kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1])
    net.conv(net.op("Concat", [left, right], "both", axis=1), "after", 64, 32, 1)
    net.conv(net.op("Relu", ["after"], "after_relu"), "last", 32, 32, 1)
    return net


def canonical(net: Net, outputs: Sequence[str] = ("last",)) -> ir.Model:
    return load_canonical(net.bytes(outputs))


def ranges_of(model: ir.Model, count: int = 3) -> dict[str, tuple[float, float]]:
    """Least and largest value of every float tensor over a few inputs."""
    names = [str(v.name) for n in model.graph for v in n.outputs if v.dtype == ir.DataType.FLOAT]
    runner = Runner(model, tensors=names, optimised=False)
    found = {str(model.graph.inputs[0].name): (0.0, 255.0)}
    for x in inputs(model, count):
        for name, array in zip(names, runner.run(x), strict=True):
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(array.min())), max(high, float(array.max()))
    return found


def inputs(model: ir.Model, count: int = 3) -> list[np.ndarray]:
    """Pictures (1, 3, H, W) float32 in 0..255."""
    rng = np.random.default_rng(5)
    shape = tuple(int(n) for n in model.graph.inputs[0].shape)
    return [np.rint(rng.uniform(0, 255, shape)).astype(np.float32) for _ in range(count)]


def plan_of(model: ir.Model, keep: Sequence[str] = ()) -> QuantPlan:
    """A min-max plan; the layers in `keep` stay in float."""
    options = PlanOptions("minmax", keep_float=dict.fromkeys(keep, "asked for"))
    return make_plan(model, ranges_of(model), options)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def pairs_on(model: ir.Model) -> set[str]:
    """Names of the activations that a Q reads."""
    return {
        str(node.inputs[0].name)
        for node in model.graph
        if node.op_type == "QuantizeLinear" and node.inputs[0].const_value is None
    }


def optimised_operators(model: ir.Model, folder: object) -> list[str]:
    """The operators that onnxruntime makes of `model`."""
    import onnx

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = f"{folder}/optimised.onnx"
    ort.InferenceSession(model_bytes(model), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
