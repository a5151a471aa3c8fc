"""Bias correction: give back what rounding shifts the mean of each output channel by.

M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2.

"weights"     b' = b - sum over inputs i of (Wq - W)_i E[x_i]: the shift that rounded weights cause, from the mean of
              each input channel over the calibration pictures. One pass of the float network, no order of layers.
"sequential"  b' = b - (E[yq] - E[y]): all shift, of clipped activations and of earlier layers too, measured on the
              quantised network. Layers are corrected from the picture towards the head, those at the same depth
              together: all at once, every layer would also give back what the layers before it no longer take.

Differs from the paper: means come from pictures, not from batch normalisation statistics.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.insert import insert_qdq
from edgekit.graph.plan import quantized_weight, weighted_layers
from edgekit.graph.runner import Runner
from edgekit.precision import QuantPlan

MODES = ("none", "weights", "sequential")

Progress = Callable[[int, int, str], None]


def correct_bias(
    model: ir.Model,
    plan: QuantPlan,
    inputs: Sequence[np.ndarray],
    mode: str = "weights",
    threads: int = 0,
    progress: Progress | None = None,
) -> ir.Model:
    """A copy of the canonical `model` with corrected biases; `plan` stays valid for it.

    Args:
        model: canonical, float weights.
        plan: how it will be quantised.
        inputs: pictures (1, 3, H, W) float32; a dozen will do.
        mode: "weights", "sequential", or "none" for a plain copy.
        threads: of onnxruntime.
        progress: called for each depth of "sequential".
    """
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, got {mode!r}")
    corrected = model.clone()
    if mode == "weights":
        _shift(corrected, weight_shifts(model, plan, inputs, threads))
    if mode == "sequential":
        _sequentially(corrected, model, plan, inputs, threads, progress)
    return corrected


def weight_shifts(
    model: ir.Model, plan: QuantPlan, inputs: Sequence[np.ndarray], threads: int = 0
) -> dict[str, np.ndarray]:
    """Layer name -> shift (C_out,) of the mean output that rounding its weights causes."""
    layers = _layers(model, plan)
    names = sorted({str(x.name) for x in (n.inputs[0] for n in layers) if x is not None and x.producer() is not None})
    means = channel_means(Runner(model, names, threads), names, inputs) if names else {}
    means[str(model.graph.inputs[0].name)] = np.mean([x.mean(axis=(0, 2, 3)) for x in inputs], axis=0)
    shifts = {}
    for node in layers:
        mean = means.get(str(node.inputs[0].name)) if node.inputs[0] is not None else None
        weight = constant_value(node.inputs[1])
        if mean is None or weight is None:
            continue
        error = (quantized_weight(node, plan.weights[str(node.name)]) - weight).sum(axis=(2, 3), dtype=np.float64)
        shifts[str(node.name)] = _through(error, mean)
    return shifts


def channel_means(runner: Runner, names: Sequence[str], inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Tensor name -> mean (C,) over pictures and positions of the runner's outputs (1, C, H, W)."""
    sums = {name: np.zeros(()) for name in names}
    for x_nchw in inputs:
        for name, array in zip(names, runner.run(x_nchw), strict=True):
            sums[name] = sums[name] + array.mean(axis=(0, 2, 3), dtype=np.float64)
    return {name: total / len(inputs) for name, total in sums.items()}


def depths(model: ir.Model, layers: Sequence[ir.Node]) -> list[list[ir.Node]]:
    """`layers` by how many of them lie before each on the longest way from the picture."""
    chosen = set(layers)
    depth: dict[ir.Value, int] = {}
    levels: list[list[ir.Node]] = []
    for node in model.graph:
        level = max((depth.get(value, 0) for value in node.inputs if value is not None), default=0)
        if node in chosen:
            if level == len(levels):
                levels.append([])
            levels[level].append(node)
            level += 1
        depth.update(dict.fromkeys(node.outputs, level))
    return levels


def _sequentially(
    corrected: ir.Model,
    model: ir.Model,
    plan: QuantPlan,
    inputs: Sequence[np.ndarray],
    threads: int,
    progress: Progress | None,
) -> None:
    layers = _layers(model, plan)
    outputs = [str(node.outputs[0].name) for node in layers]
    wanted = channel_means(Runner(model, outputs, threads), outputs, inputs)
    levels = depths(model, layers)
    for done, level in enumerate(levels, start=1):
        names = [str(node.outputs[0].name) for node in level]
        lowered = insert_qdq(corrected, plan, "every-tensor")
        seen = channel_means(Runner(lowered, names, threads, integers=False), names, inputs)
        _shift(corrected, {str(n.name): seen[o] - wanted[o] for n, o in zip(level, names, strict=True)})
        if progress is not None:
            progress(done, len(levels), "bias correction")


def _layers(model: ir.Model, plan: QuantPlan) -> list[ir.Node]:
    return [n for n in weighted_layers(model) if n.op_type == "Conv" and n.name in plan.weights]


def _through(error: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Sum over the input channels of `error` (C_out, C_in / group) times their `mean` (C_in,)."""
    groups = len(mean) // error.shape[1]
    each = np.repeat(mean.reshape(groups, -1), len(error) // groups, axis=0)
    total: np.ndarray = (error * each).sum(axis=1)
    return total


def _shift(model: ir.Model, shifts: Mapping[str, np.ndarray]) -> None:
    """Take `shifts` off the biases of `model`, in place."""
    for node in model.graph:
        shift = shifts.get(str(node.name))
        if shift is None:
            continue
        bias = constant_value(node.inputs[2]) if len(node.inputs) > 2 else None
        values = (0.0 if bias is None else bias) - shift
        _set_bias(model.graph, node, values.astype(np.float32))


def _set_bias(graph: ir.Graph, node: ir.Node, values: np.ndarray) -> None:
    """Biases may be shared between layers, so each corrected layer gets one of its own."""
    name = f"{node.name}_corrected_bias"
    known = graph.initializers.get(name)
    if known is not None:
        known.const_value = ir.tensor(values, name=name)
        return
    value = ir.Value(name=name, const_value=ir.tensor(values, name=name))
    value.shape, value.dtype = ir.Shape(values.shape), ir.DataType.FLOAT
    graph.register_initializer(value)
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, value)
