"""Layers are swapped in, not imported: a plain loop over a model's modules, and who reads what from one dry run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.quant.modules import QuantConv2d, QuantLayer, QuantLinear, input_quantizer_of, read_with

Rule = Callable[[str, nn.Module], nn.Module | None]


def swap(model: nn.Module, rule: Rule) -> nn.Module:
    """Replace every submodule for which `rule` gives another, in place, and return the model.

    What stands under a replaced module is not asked for. A module that is reachable by two names is asked for once, by
    the first, and replaced under both.
    """
    replaced: dict[nn.Module, nn.Module] = {}
    gone: set[nn.Module] = set()
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in gone:
            continue
        new = replaced[module] if module in replaced else rule(name, module)
        if new is None:
            continue
        if not name:
            return new
        replaced[module] = new
        gone.update(child for child in module.modules() if child is not module)
        replace(model, name, new)
    return model


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` where the submodule `name` was."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def quant_layers(model: nn.Module) -> dict[str, QuantLayer]:
    """Name -> layer of every quantised layer, in the order in which they were registered."""
    return {name: m for name, m in model.named_modules() if isinstance(m, QuantConv2d | QuantLinear)}


def share_inputs(model: nn.Module, example: Tensor) -> list[tuple[str, ...]]:
    """Let layers that read the same tensor read it through one quantiser, the first one's; in place.

    A tensor has one grid where it is deployed. The widths of such layers have to agree.

    Args:
        model: with quantised layers.
        example: an input, run once in eval mode.

    Returns:
        The names of the layers that share, a tuple for each tensor.

    Raises:
        ValueError: layers that read one tensor disagree about its grid.
    """
    names = {layer: name for name, layer in quant_layers(model).items()}
    readers: dict[int, list[QuantLayer]] = {}
    for call in dry_run(model, example, tuple(names)):
        layer = call.module
        assert isinstance(layer, QuantConv2d | QuantLinear)
        if input_quantizer_of(layer) is not None and layer not in readers.setdefault(id(call.input), []):
            readers[id(call.input)].append(layer)
    groups = [group for group in readers.values() if len(group) > 1]
    for group in groups:
        _share(group, names)
    return [tuple(names[layer] for layer in group) for group in groups]


def _share(group: list[QuantLayer], names: dict[QuantLayer, str]) -> None:
    first = input_quantizer_of(group[0])
    assert first is not None
    for layer in group[1:]:
        other = input_quantizer_of(layer)
        if other is first:
            continue
        if repr(other) != repr(first):
            raise ValueError(
                f"{names[group[0]]} and {names[layer]} read one tensor, as {first} and as {other}; give both the same"
            )
        read_with(layer, first)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module: tensors are the objects themselves, kept alive so that their ids stay theirs."""

    module: nn.Module
    input: Tensor
    output: Tensor


@dataclass(slots=True)
class _Recorder:
    calls: list[Call] = field(default_factory=list)

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.calls.append(Call(module, inputs[0], output))


def dry_run(model: nn.Module, example: Tensor, modules: tuple[nn.Module, ...]) -> list[Call]:
    """The calls of `modules` while `model` sees `example`, in order; modes, statistics and hooks are as before."""
    recorder = _Recorder()
    modes = {module: module.training for module in model.modules()}
    handles = [module.register_forward_hook(recorder) for module in modules]
    model.eval()
    try:
        with torch.no_grad():
            model(example)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    return recorder.calls
