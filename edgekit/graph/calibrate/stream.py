"""One pass over the images: every image runs once, its tensors are counted and let go.

Which tensors are looked at: those that a computation makes. A tensor that only moves, selects or joins values
(`SHARES`) takes the counts of what it was made of, so that both ends of it have one scale, as TensorRT and
onnxruntime ask. A tensor that an activation function makes of one other takes the counts of that one through the
function: half of a network's traffic. A tensor whose range is known by definition (`BOUNDED`) is not looked at at all.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import onnx_ir as ir

from edgekit.errors import ModelError
from edgekit.graph.calibrate.histogram import Histogram
from edgekit.graph.calibrate.readers import activation_of
from edgekit.graph.runner import Runner

SHARES = frozenset(
    ["Concat", "DepthToSpace", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape", "Resize", "Slice"]
    + ["SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze", "Upsample"]
)
"""Operators whose output holds values of their inputs (a bilinear `Resize`: averages of them)."""

BOUNDED = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
"""Operators whose output range is known."""

Progress = Callable[[int, int, str], None]


def observed_tensors(model: ir.Model) -> list[str]:
    """Names of the float tensors that must be looked at, in graph order."""
    derived = {
        found[1] for node in model.graph for value in node.outputs if (found := activation_of(value)) is not None
    }
    names = [value.name for value in model.graph.inputs]
    for node in model.graph:
        if node.op_type not in SHARES and node.op_type not in BOUNDED:
            names += [v.name for v in node.outputs if v.dtype == ir.DataType.FLOAT and v not in derived]
    return [name for name in names if name is not None]


def stream(
    model: ir.Model,
    inputs: Iterable[tuple[str, np.ndarray]],
    count: int,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Histogram]:
    """Run `model` over `inputs` and count the values of each observed tensor.

    Args:
        model: canonical.
        inputs: (label, x_nchw) of each image; read one at a time.
        count: how many there are, for the progress.
        threads: of onnxruntime, 0 for its own choice.
        progress: called after every image.

    Raises:
        ModelError: a tensor is not finite.
    """
    names = observed_tensors(model)
    source = model.graph.inputs[0].name
    computed = [name for name in names if name != source]
    runner = Runner(model, computed, threads)
    histograms = {name: Histogram() for name in names}
    # one picture is counted while the next one runs: never more than two pictures' tensors are held
    with ThreadPoolExecutor(1) as counter:
        pending: Future[None] | None = None
        for done, (label, x_nchw) in enumerate(inputs):
            arrays = runner.run(x_nchw)
            _finish(pending, done, count, progress)
            pending = counter.submit(_count, histograms, label, [str(source), *computed], [x_nchw, *arrays])
            del arrays
        _finish(pending, count, count, progress)
    return histograms


def spread(model: ir.Model, histograms: Mapping[str, Histogram]) -> dict[str, Histogram]:
    """Histograms of all float tensors: the observed ones, those that share values, and those made by activations."""
    known = dict(histograms)
    for node in model.graph:
        parts = [known[v.name] for v in node.inputs if v is not None and v.name in known]
        if node.op_type in SHARES and parts:
            joined = parts[0]
            for part in parts[1:]:
                joined = joined.merged(part)
            known.update({str(v.name): joined for v in node.outputs if v.dtype == ir.DataType.FLOAT})
        for value in node.outputs:
            found = activation_of(value) if value.name in known else None
            if found is not None and found[1].producer().op_type not in BOUNDED:  # type: ignore[union-attr]
                known[str(found[1].name)] = known[str(value.name)].mapped(found[0])
    return known


def _finish(pending: "Future[None] | None", done: int, count: int, progress: Progress | None) -> None:
    """Wait until the picture before is counted; an error of its counting comes out here."""
    if pending is None:
        return
    pending.result()
    if progress is not None:
        progress(done, count, "calibrate")


def _count(histograms: dict[str, Histogram], label: str, names: list[str], arrays: list[np.ndarray]) -> None:
    for index, name in enumerate(names):
        try:
            histograms[name].add(arrays[index])
        except ValueError as error:
            raise ModelError(f"tensor {name} is not finite for {label}; check the network's weights") from error
