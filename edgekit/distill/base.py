"""What every distillation method is: extra losses that read what models computed, and never run one.

    models and images ─views_of─▶ Step ─distiller(step)─▶ named, weighted losses; the training loop adds them up

The loop decides who runs, on which picture, and whether gradient flows; the method says which features it wants
(`taps`), owns its adapters as submodules, and returns scalars. So a method cannot forget to detach its teacher.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgekit.errors import DataError


@dataclass(frozen=True, slots=True)
class Role:
    """A part that a model plays.

    Attributes:
        name: student, teacher, assistant, …
        alias_of: name of the role whose forward pass this one reads as well; "" runs a model of its own.
        view: key of the picture that the model sees.
    """

    name: str
    alias_of: str = ""
    view: str = "image"


@dataclass(frozen=True, slots=True)
class Stage:
    """One training run of a method.

    Attributes:
        name: for logs.
        trained: roles whose weights change.
        frozen: roles that run in eval mode, without gradient.
    """

    name: str = "train"
    trained: tuple[str, ...] = ("student",)
    frozen: tuple[str, ...] = ("teacher",)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands: steps done, the epoch under way, epochs in all."""

    step: int = 0
    epoch: int = 0
    epochs: int = 1


@dataclass(frozen=True, slots=True)
class View:
    """What one model saw and computed.

    Attributes:
        image: (B, C, H, W).
        features: tap -> its outputs, in the order of the calls.
        out: name -> output tensor.
        returned: what the model returned, as it is.
    """

    image: Tensor
    features: Mapping[str, list[Tensor]]
    out: Mapping[str, Tensor]
    returned: Any = None


@dataclass(frozen=True, slots=True)
class Step:
    """Everything that a method may read in one training step.

    Attributes:
        views: role -> what it computed; without gradient for frozen roles.
        target: labels by name, those that the method `needs`.
        progress: where training stands.
    """

    views: Mapping[str, View]
    target: Mapping[str, Tensor] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)


class Distiller(nn.Module, ABC):
    """Extra losses that pull a student towards a teacher; submodules are adapters, trained and never exported.

    Attributes:
        roles: who takes part.
        stages: training runs, in order.
        needs: names of the targets that `losses` reads.
        reconstructed: True where the paper does not say everything, and what is missing is ours.
    """

    roles: ClassVar[tuple[Role, ...]] = (Role("student"), Role("teacher"))
    stages: ClassVar[tuple[Stage, ...]] = (Stage(),)
    needs: ClassVar[frozenset[str]] = frozenset()
    reconstructed: ClassVar[bool] = False

    @abstractmethod
    def taps(self, stage: Stage) -> dict[str, tuple[str, ...]]:
        """Role -> paths of the submodules whose outputs the method reads."""

    @abstractmethod
    def losses(self, step: Step) -> dict[str, Tensor]:
        """Scalars by name, not weighted; a tensor of 0, not a number, where there is nothing to imitate."""

    @abstractmethod
    def weight(self, name: str, progress: Progress) -> float:
        """What multiplies the loss `name` now."""

    def build(self, stage: Stage, views: Mapping[str, View]) -> None:
        """Make the adapters, from the shapes of one dry run; the optimiser is made after this."""

    def task_scale(self, progress: Progress) -> dict[str, float]:
        """Factors of named parts of the task's own loss; a part that is not named keeps factor 1."""
        return {}

    def static(self) -> frozenset[str]:
        """Names of parameters of the method to which no gradient can flow, provably."""
        return frozenset()

    def state(self) -> dict[str, float]:
        """What the last step tells about the method itself, to be logged: rates, entropies, …"""
        return {}

    def forward(self, step: Step) -> dict[str, Tensor]:
        """The losses of a step by name, each multiplied by its weight.

        Raises:
            DataError: one of them is not finite.
            ValueError: a target that the method needs is missing, or a loss is not a scalar.
        """
        missing = sorted(self.needs - step.target.keys())
        if missing:
            raise ValueError(f"{type(self).__name__} needs the target {missing[0]!r}")
        weighted = {}
        for name, loss in self.losses(step).items():
            if loss.ndim:
                raise ValueError(f"loss {name!r} of {type(self).__name__} has shape {tuple(loss.shape)}, expected ()")
            if not torch.isfinite(loss.detach()):
                raise DataError(
                    f"loss {name!r} of {type(self).__name__} became {loss.detach().item()} "
                    f"at step {step.progress.step}; lower its weight or the learning rate"
                )
            weighted[name] = loss.float() * self.weight(name, step.progress)
        return weighted
