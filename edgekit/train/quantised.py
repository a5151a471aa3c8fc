"""Quantisation in a run: which layer has how many bits, and the first steps from pictures of the training set."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.errors import ConfigError
from edgekit.graph.load import load_canonical
from edgekit.graph.tidy import tidy
from edgekit.models import DetectorModule, export_onnx
from edgekit.models.anchor_head import AnchorHead
from edgekit.models.blocks import Focus
from edgekit.models.head import PixelEncoder, Predictors
from edgekit.precision import QuantPlan
from edgekit.quant import (
    LayerBits,
    LsqQuantizer,
    QuantConv2d,
    calibrate,
    deployed_twin,
    plan_for_graph,
    prepare,
    uniform_bits,
)
from edgekit.quant.layered import at_precision, calibration_pass, layered, precisions_of
from edgekit.quant.modules import input_quantizer_of, read_with
from edgekit.quant.swap import dry_run, quant_layers
from edgekit.train.binarised import Binary, binarised
from edgekit.train.loader import Loader, full_frames
from edgekit.train.recipe import IN_FLOAT, Quant, Recipe

_SIDE = 64


def example_of(model: DetectorModule, batch: int = 1) -> Tensor:
    """Zeros for the dry runs that find out who reads what, of the smallest size that every model takes."""
    return torch.zeros(batch, model.in_channels, _SIDE, _SIDE)


def quantised(model: DetectorModule, recipe: Recipe, quant: Quant, loader: Loader) -> DetectorModule:
    """A copy of a float model with quantised layers and their first steps, which can be deployed as it is trained.

    Raises:
        ConfigError: `quant.layers` names no layer, or many precisions are asked of a head that has but one.
        ModelError: a layer would be deployed otherwise than it is trained.
    """
    if quant.precisions and model.decode_spec.family != "yolox":
        raise ConfigError(
            f"quant.precisions trains networks with a YOLOX head, this one has {model.decode_spec.family}; "
            "give it one width with quant.weight"
        )
    if not quant.precisions:
        return quantised_on(model, quant, full_frames(loader, recipe, quant.images))
    many = with_precisions(swapped(model, quant), model, quant)
    calibrate(many, full_frames(loader, recipe, quant.images), quant.method, run=partial(calibration_pass, many))
    check_deployable(_detector(at_precision(many, quant.precisions[0])))
    return many


def quantised_on(model: DetectorModule, quant: Quant, batches: Iterable[Tensor]) -> DetectorModule:
    """The same, of one width a layer, with first steps from these pictures, (B, C, H, W) each."""
    ready = swapped(model, quant)
    calibrate(ready, batches, quant.method)
    check_deployable(ready)
    return ready


def swapped(model: DetectorModule, quant: Quant) -> DetectorModule:
    """A copy with quantised layers, whose inputs have no steps yet.

    Raises:
        ConfigError: `quant.layers` names no layer.
    """
    ready = _detector(prepare(model, example_of(model), bits_rule(model, quant)))
    share_through_encoders(ready)
    return ready


def with_precisions(ready: DetectorModule, model: DetectorModule, quant: Quant) -> DetectorModule:
    """A copy of the quantised network `ready`, made of `model`, with all precisions of the recipe."""
    return _detector(layered(ready, quant.precisions, whole_layers(model, quant)))


def one_precision(model: DetectorModule, bits: int | None = None) -> DetectorModule:
    """A network of many precisions at one of them, the highest where None; every other network as it is."""
    precisions = precisions_of(model)
    return _detector(at_precision(model, bits or precisions[0])) if precisions else model


def narrower(model: DetectorModule) -> Iterator[tuple[int, DetectorModule]]:
    """A network of many precisions at each but the highest; nothing of every other network."""
    return ((bits, one_precision(model, bits)) for bits in precisions_of(model)[1:])


def whole_layers(model: DetectorModule, quant: Quant) -> list[str]:
    """Names of the layers that keep 8 bits beside `quant.precisions`: first, last, and those that `layers` names.

    Raises:
        ConfigError: `quant.layers` names no layer.
    """
    fixed = fixed_bits(model, quant)
    return [n for n, module in model.named_modules() if isinstance(module, nn.Conv2d) and fixed.get(n) == 8]


def _detector(model: nn.Module) -> DetectorModule:
    assert isinstance(model, DetectorModule)
    return model


def binarised_detector(model: DetectorModule, binary: Binary) -> DetectorModule:
    """A copy of a float model with the binary layers of a recipe.

    Raises:
        ConfigError: a pattern fits no convolution.
        ModelError: a layer cannot be binary.
    """
    return _detector(binarised(model, binary, example_of(model)))


def bits_rule(model: DetectorModule, quant: Quant) -> Callable[[str, nn.Module], LayerBits | None]:
    """Widths by the name of a layer, for `edgekit.quant.prepare`; None leaves it in float.

    Raises:
        ConfigError: `quant.layers` names no layer.
    """
    fixed = fixed_bits(model, quant)
    everywhere = uniform_bits(quant.weight, quant.input)

    def rule(name: str, module: nn.Module) -> LayerBits | None:
        weight = fixed.get(name, quant.weight)
        return None if weight == IN_FLOAT else replace(everywhere(name, module), weight=weight)

    return rule


def fixed_bits(model: DetectorModule, quant: Quant, outer: bool = True) -> dict[str, int]:
    """Layer -> bits, of those to which `quant` gives a width of their own.

    Args:
        model: in float.
        quant: `layers` in any case.
        outer: the first and the last ones too.

    Raises:
        ConfigError: `quant.layers` names no layer.
    """
    convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    predictors = [name for name, module in model.named_modules() if isinstance(module, Predictors | AnchorHead)]
    for name in quant.layers:
        if not any(_within(layer, name) for layer in convolutions):
            raise ConfigError(f"quant.layers names {name!r}, which is no layer of this model; one is {convolutions[0]}")
    fixed: dict[str, int] = {}
    for name in [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]:
        named = [above for above in quant.layers if _within(name, above)]
        if named:
            fixed[name] = quant.layers[max(named, key=len)]
        elif outer and name == convolutions[0]:
            fixed[name] = quant.first
        elif outer and any(_within(name, above) for above in predictors):
            fixed[name] = quant.last
    return fixed


def _within(name: str, above: str) -> bool:
    return name == above or name.startswith(f"{above}.")


def export_quantised(
    model: DetectorModule,
    path: Path,
    size_hw: tuple[int, int],
    classes: Sequence[str],
    preprocess: Mapping[str, object] | None = None,
) -> QuantPlan:
    """Write the twin of a quantised or binary model as `edgekit.models.export_onnx` does; its plan, by names of nodes.

    Raises:
        ModelError: a layer would be deployed otherwise than it was trained.
    """
    twin = deployed_twin(model)
    assert isinstance(twin, DetectorModule)
    export_onnx(twin, path, size_hw, classes, preprocess)
    graph = load_canonical(path)
    tidy(graph)
    return plan_for_graph(graph, model)


def share_through_encoders(model: DetectorModule) -> None:
    """Let a convolution behind a space-to-depth read through the quantiser of those that read the tensor itself.

    In training the rearranged tensor is another one. Deployed, the encoder is a strided convolution over the same
    tensor, which has one grid.
    """
    encoders = {block: block.conv.conv for block in model.modules() if isinstance(block, Focus | PixelEncoder)}
    readers = tuple(quant_layers(model).values())
    calls = dry_run(model, example_of(model), (*encoders, *readers))
    owners: dict[int, nn.Module] = {}
    for call in calls:
        if isinstance(call.module, QuantConv2d) and (quantizer := input_quantizer_of(call.module)) is not None:
            owners.setdefault(id(call.input), quantizer)
    for call in calls:
        layer = encoders.get(call.module) if isinstance(call.module, Focus | PixelEncoder) else None
        if isinstance(layer, QuantConv2d) and layer.input_quantizer is not None and id(call.input) in owners:
            read_with(layer, owners[id(call.input)])


def check_deployable(model: DetectorModule) -> None:
    """Seconds now, instead of an error after hours of training; raises `ModelError`.

    Steps that are equal after calibration go their own ways in training, so that each is given a value of its own.
    """
    apart = copy.deepcopy(model)
    quantizers = [module for module in apart.modules() if isinstance(module, LsqQuantizer) and not module.channels]
    for index, quantizer in enumerate(quantizers):
        quantizer.set_step(quantizer.scale.detach() * (1 + index / 1024))
    names = [str(index) for index in range(model.num_classes)]
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        export_quantised(apart, Path(folder) / "network.onnx", (_SIDE, _SIDE), names)
