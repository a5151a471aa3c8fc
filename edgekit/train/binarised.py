"""Binary layers in a run: which convolutions become signs, and what a run does with them each epoch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from edgekit.config import dataclass_from_dict
from edgekit.errors import ConfigError
from edgekit.quant import BinaryConfig, binarize
from edgekit.quant.binary import measure_weights, sharpen


@dataclass(frozen=True, slots=True)
class Binary:
    """Which convolutions are trained with signs for weights and inputs.

    Attributes:
        layers: patterns of names, as `*.conv`; each has to fit a convolution.
        config: how.
    """

    layers: tuple[str, ...]
    config: BinaryConfig = field(default_factory=BinaryConfig)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("binary.layers is empty; name convolutions, such as stages.*.conv")


def binarised(model: nn.Module, binary: Binary, example: Tensor) -> nn.Module:
    """A copy of a float model with the layers that `binary` names, see `edgekit.quant.binarize`.

    Raises:
        ConfigError: a pattern fits no convolution.
        ModelError: a layer cannot be binary.
    """
    chosen = matching((name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)), binary.layers)
    return binarize(model, example, binary.config, lambda name, _: name in chosen)


def matching(names: Iterable[str], patterns: Iterable[str]) -> set[str]:
    """Those of the names that a pattern fits; raises `ConfigError` for a pattern that fits none."""
    known = list(names)
    chosen: set[str] = set()
    for pattern in patterns:
        fitting = [name for name in known if fnmatchcase(name, pattern)]
        if not fitting:
            raise ConfigError(f"binary.layers {pattern!r} fits no convolution of this model; one is {known[-1]}")
        chosen.update(fitting)
    return chosen


def binary_config(about: dict[str, Any]) -> BinaryConfig | None:
    """How the binary layers of a checkpoint, of which this is kept, were trained; None where it has none."""
    section = about.get("recipe", {}).get("binary")
    return None if section is None else dataclass_from_dict(section["config"], BinaryConfig, "the checkpoint's recipe")


def begin_epoch(model: nn.Module, epoch: int, epochs: int, step_in_epoch: int) -> None:
    """Sharpen the estimators; weights are measured where the epoch begins, not where a resumed run goes on."""
    sharpen(model, epoch, epochs)
    if step_in_epoch == 0:
        measure_weights(model)
