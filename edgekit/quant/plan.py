"""Between a quantised model and its `QuantPlan`, the value that a checkpoint stores and an exporter reads.

In a plan of a model, `weights` and `activations` are keyed by the names of layers; the activation of a layer is the
tensor that it reads. A plan of a *graph*, which is what a lowering takes, names nodes and tensors of an ONNX file. A
binary convolution has weights of one bit; the signs that it reads are no grid, and nothing is said of them.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Set
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.graph.binary import with_sign_grids
from edgekit.graph.constants import constant_value
from edgekit.graph.placement import place_trt
from edgekit.graph.plan import weight_axis, weighted_layers
from edgekit.precision import QuantPlan, QuantSpec
from edgekit.quant.backwards import grids_behind
from edgekit.quant.binary import BinaryConfig, BinaryConv2d, binarize, binary_layers
from edgekit.quant.fold_norm import prepare
from edgekit.quant.lsq import LsqQuantizer
from edgekit.quant.modules import LayerBits, QuantLayer, input_quantizer_of
from edgekit.quant.swap import quant_layers

FLOAT = "not quantised in training"


def plan_of(model: nn.Module) -> QuantPlan:
    """What is quantised in `model`, and how, by the names of its layers.

    Raises:
        ModelError: a quantiser has no step yet, or is not on a grid that can be deployed (DoReFa).
    """
    layers = quant_layers(model)
    binary = {name: layer.spec() for name, layer in binary_layers(model).items()}
    weights = {name: _spec(name, layer.weight_quantizer) for name, layer in layers.items()} | binary
    inputs = {name: input_quantizer_of(layer) for name, layer in layers.items()}
    activations = {name: _spec(name, quantizer) for name, quantizer in inputs.items() if quantizer is not None}
    others = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and name not in weights]
    return QuantPlan(weights=weights, activations=activations, excluded=dict.fromkeys(others, FLOAT))


def apply_plan(model: nn.Module, plan: QuantPlan, example: Tensor, binary: BinaryConfig | None = None) -> nn.Module:
    """A copy of a float model, quantised as `plan` says, with its steps; then load weights into it.

    Args:
        model: plain `nn`, as it was when it was prepared; it is not changed.
        plan: of a model, from `plan_of`.
        example: an input, see `prepare`.
        binary: how layers of one bit were trained; a plan does not know what stands outside an image.

    Raises:
        ModelError: the plan is of another model, or has layers of one bit and `binary` is None.
    """
    names = {name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    unknown = sorted((set(plan.weights) | set(plan.activations)) - names)
    if unknown:
        raise ModelError(f"the plan quantises layer {unknown[0]!r}, which this model does not have; give its own plan")

    signs = {name for name, spec in plan.weights.items() if spec.bits == 1}
    if signs and binary is None:
        raise ModelError(
            f"the plan has binary layers ({min(signs)}); give the BinaryConfig that they were trained with"
        )
    if signs and binary is not None:
        model = binarize(model, example, binary, lambda name, _: name in signs)

    def bits(name: str, module: nn.Module) -> LayerBits | None:
        if name not in plan.weights or name in signs:
            return None
        read = plan.activations.get(name)
        signed = read is None or read.signed
        return LayerBits(plan.weights[name].bits, None if read is None else read.bits, signed, method="minmax")

    ready = prepare(model, example, bits)
    for name, layer in quant_layers(ready).items():
        _set(name, layer.weight_quantizer, plan.weights[name])
        if name in plan.activations:
            _set(name, input_quantizer_of(layer), plan.activations[name])
    return ready


def plan_for_graph(graph: ir.Model, model: nn.Module) -> QuantPlan:
    """The plan of a canonical graph that was exported from `float_twin(model)`, or `deployed_twin` of a binary one.

    With it the TensorRT lowerings give the codes that the model was trained with. (Lowerings for onnxruntime may start
    the grid of a tensor at its floor, which is finer.)

    Args:
        graph: from `load_canonical`.
        model: the quantised model; nodes are found by the path of their module, and a convolution that `deploy()`
            rewrote by the block that it stands in.

    Raises:
        ModelError: a layer is not in the graph or has other weights there, or the lowering would use another grid than
            training did.
    """
    layers: dict[str, QuantLayer | BinaryConv2d] = {**quant_layers(model), **binary_layers(model)}
    trained = plan_of(model)
    modules = {name for name, _ in model.named_modules()}
    weights: dict[str, QuantSpec] = {}
    activations: dict[str, QuantSpec] = {}
    excluded: dict[str, str] = {}
    found: set[str] = set()
    for node in weighted_layers(graph):
        name = layer_of_node(str(node.name), modules, layers)
        if name is None:
            excluded[str(node.name)] = FLOAT
            continue
        found.add(name)
        weights[str(node.name)] = _for_node(node, trained.weights[name], layers[name])
        if name in trained.activations:
            _add(activations, str(node.inputs[0].name), trained.activations[name])  # type: ignore[union-attr]
    missing = [name for name in layers if name not in found]
    if missing:
        raise ModelError(f"layer {missing[0]!r} of the model is not in the graph; export float_twin or deployed_twin")
    plan = QuantPlan(weights=weights, activations=grids_behind(graph.graph, activations), excluded=excluded)
    _check_same_grids(graph, plan)
    return plan


def _spec(name: str, quantizer: nn.Module) -> QuantSpec:
    if not isinstance(quantizer, LsqQuantizer):
        raise ModelError(
            f"{name} is quantised by {type(quantizer).__name__}, whose levels are not whole steps from 0; "
            "train with LsqQuantizer to deploy it"
        )
    try:
        return quantizer.spec()
    except ValueError as error:
        raise ModelError(f"{name} has no step yet ({error}); calibrate the model first") from error


def _set(name: str, quantizer: nn.Module | None, spec: QuantSpec) -> None:
    assert isinstance(quantizer, LsqQuantizer)
    if len(spec.scale) != max(1, quantizer.channels):
        raise ModelError(
            f"the plan has {len(spec.scale)} steps for {name}, which has {quantizer.channels} channels; "
            "give the model its own plan"
        )
    quantizer.set_step(spec.scale if quantizer.channels else spec.scale[0])


def layer_of_node(node: str, modules: Set[str], layers: Collection[str]) -> str | None:
    """The layer that became `node`, a name such as /backbone/dark2/dark2.0/conv/Conv; None where it is none of them.

    Args:
        node: of an exported graph.
        modules: names of all modules.
        layers: names of the layers.
    """
    path, last = "", ""
    for part in node.strip("/").split("/")[:-1]:
        # inside a container that is called as a whole, a child's name repeats what the container was called
        inside, nested = f"{path}.{part}".strip("."), f"{path}{part.removeprefix(last)}"
        if inside in modules:
            path, last = inside, part
        elif nested in modules:
            path, last = nested, part
        else:
            within = [name for name in layers if name.startswith(f"{path}.")] if path else []
            return within[0] if len(within) == 1 else None
    return path if path in layers else None


def _for_node(node: ir.Node, spec: QuantSpec, layer: QuantLayer | BinaryConv2d) -> QuantSpec:
    axis, found = weight_axis(node), constant_value(node.inputs[1])
    twin = layer.to_deployed() if isinstance(layer, BinaryConv2d) else layer.to_float()
    trained = twin.weight.detach().cpu().numpy()
    if axis is None or found is None or found.shape[axis] != len(trained):
        shape = None if found is None else found.shape
        raise ModelError(f"{node.name} has weights {shape}, expected {len(trained)} output channels")
    # deploy() may move the weights of a channel about, but not change them
    largest = np.abs(np.moveaxis(found, axis, 0)).reshape(len(trained), -1).max(axis=1)
    if not np.allclose(largest, np.abs(trained).reshape(len(trained), -1).max(axis=1), rtol=1e-6):
        raise ModelError(
            f"{node.name} has other weights than the layer that was trained; export float_twin(model), and quantise no "
            "convolution that runs twice before a batch norm"
        )
    return replace(spec, axis=axis)


def _add(activations: dict[str, QuantSpec], tensor: str, spec: QuantSpec) -> None:
    if activations.setdefault(tensor, copy.copy(spec)) != spec:
        raise ModelError(f"two layers read {tensor} on different grids; call share_inputs before training")


def _check_same_grids(graph: ir.Model, plan: QuantPlan) -> None:
    """Refuse what TensorRT's placement would compute otherwise than training did."""
    plan = with_sign_grids(graph.graph, plan)  # TensorRT reads signs as int8, exactly
    placed = place_trt(graph.graph, plan)
    kept = {name: why for name, why in placed.kept_float.items() if plan.weights[name].bits > 1}  # signs are no grid
    for name, reason in kept.items():
        raise ModelError(f"{name} runs in float where it is deployed ({reason}); train it with LayerBits(input=None)")
    for tensor, spec in placed.grids.specs.items():
        if spec != plan.activations[tensor]:
            raise ModelError(
                f"{tensor} shares the step {spec.scale[0]:.6g} of its neighbours where it is deployed and was trained "
                f"with {plan.activations[tensor].scale[0]:.6g}; read both through one quantiser"
            )
    nodes = {str(node.name): node for node in graph.graph}
    for tensor, uses in placed.uses.items():
        for name, _ in uses:
            if nodes[name].op_type == "Add":
                raise ModelError(
                    f"the sum {name} reads {tensor} in integers where it is deployed and in float in training; "
                    "put an activation between the convolution and the sum"
                )
