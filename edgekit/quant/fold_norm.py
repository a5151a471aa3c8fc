"""Batch norms in quantisation-aware training: which one stands behind which convolution, and when they stand still."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

from torch import Tensor, nn

from edgekit.quant.modules import LayerBits, QuantConv2d, QuantLinear
from edgekit.quant.swap import dry_run, quant_layers, replace, share_inputs, swap


def prepare(model: nn.Module, example: Tensor, bits: Callable[[str, nn.Module], LayerBits | None]) -> nn.Module:
    """A copy of a float model that is ready for calibration and quantisation-aware training.

    Convolutions take over the batch norm behind them, and layers that read one tensor share its grid.

    Args:
        model: plain `nn`, or with binary layers, which stay as they are; it is not changed.
        example: an input, run twice in eval mode.
        bits: of each `nn.Conv2d` and `nn.Linear` by its name; None leaves the layer, and its batch norm, in float.

    Raises:
        ValueError: layers that read one tensor disagree about its grid.
    """
    ready = copy.deepcopy(model)
    norms = norm_pairs(ready, example)
    places = {module: name for name, module in ready.named_modules()}
    absorbed: list[str] = []

    def rule(name: str, module: nn.Module) -> nn.Module | None:
        wanted = bits(name, module) if type(module) in (nn.Conv2d, nn.Linear) else None  # not a binary one
        if wanted is None:
            return None
        if isinstance(module, nn.Linear):
            return QuantLinear.from_float(module, wanted)
        assert isinstance(module, nn.Conv2d)
        norm = norms.get(module)
        if norm is not None:
            absorbed.append(places[norm])
        return QuantConv2d.from_float(module, wanted, norm)

    ready = swap(ready, rule)
    for name in absorbed:
        replace(ready, name, nn.Identity())
    share_inputs(ready, example)
    return ready


def norm_pairs(model: nn.Module, example: Tensor) -> dict[nn.Module, nn.BatchNorm2d]:
    """Convolution -> the batch norm that reads its output, for each that was called once with `example`."""
    watched = tuple(m for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d))
    calls = dry_run(model, example, watched)
    times = Counter(call.module for call in calls)
    makers = {id(call.output): call.module for call in calls if isinstance(call.module, nn.Conv2d)}
    pairs: dict[nn.Module, nn.BatchNorm2d] = {}
    for call in calls:
        norm, conv = call.module, makers.get(id(call.input))
        if isinstance(norm, nn.BatchNorm2d) and conv is not None and times[norm] == times[conv] == 1:
            pairs[conv] = norm
    return pairs


def freeze_norms(model: nn.Module, frozen: bool = True) -> None:
    """From here on train with running statistics: the function that is deployed, down to the last bit."""
    for layer in quant_layers(model).values():
        if isinstance(layer, QuantConv2d):
            layer.frozen = frozen


def float_twin(model: nn.Module) -> nn.Module:
    """A copy with plain layers whose weights are folded and not rounded: what is exported beside the plan."""

    def rule(name: str, module: nn.Module) -> nn.Module | None:
        return module.to_float() if isinstance(module, QuantConv2d | QuantLinear) else None

    return swap(copy.deepcopy(model), rule)
