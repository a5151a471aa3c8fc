"""Distillation in a run: the float network that a quantised one started from is its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.distill import DISTILLERS, Distiller, Stage, Step, start, views_of
from edgekit.distill import Progress as DistillProgress
from edgekit.errors import ConfigError
from edgekit.train.checkpoint import Progress
from edgekit.train.recipe import Distill


@dataclass(frozen=True, slots=True)
class Teaching:
    """Who teaches, and how.

    Attributes:
        distiller: built; its adapters are trained beside the student.
        stage: the method's one stage.
        teacher: the float network, frozen.
    """

    distiller: Distiller
    stage: Stage
    teacher: nn.Module

    def to(self, device: torch.device) -> None:
        """Move teacher and adapters."""
        self.distiller.to(device)
        self.teacher.to(device)

    def forward(
        self, student: nn.Module, x_nchw: Tensor, progress: Progress, seed: int, epochs: int
    ) -> tuple[Any, dict[str, Tensor]]:
        """One pass of both: (B, C, H, W) -> what the student returned, and the weighted losses by name."""
        # What a method draws is a function of (seed, step), as samples are: a resumed run draws the same.
        torch.manual_seed((seed << 32) + progress.step)
        models = {"student": student, "teacher": self.teacher}
        views = views_of(self.distiller, self.stage, models, {"image": x_nchw})
        losses = self.distiller(Step(views, progress=DistillProgress(progress.step, progress.epoch, epochs)))
        return views["student"].returned, losses


def start_teaching(
    distill: Distill, student: nn.Module, twin: nn.Module, example: Tensor
) -> tuple[Teaching, Sequence[nn.Parameter]]:
    """Build the distiller; also the parameters that the optimiser has to hold.

    Args:
        distill: the recipe's section.
        student: quantised and calibrated, or binary; it is trained.
        twin: the float network that it was made from; it becomes the teacher.
        example: two or more inputs, for the shapes.

    Raises:
        ConfigError: the method needs what a run does not have.
        ModelError: a layer of the recipe does not exist.
    """
    method, _ = DISTILLERS[distill.method]
    roles = sorted(role.name for role in method.roles)
    if roles != ["student", "teacher"] or len(method.stages) != 1 or method.needs:
        raise ConfigError(
            f"distill.method {distill.method!r} needs more than a teacher beside the student (roles "
            f"{', '.join(roles)}; {len(method.stages)} stages); run it from Python"
        )
    distiller, stage = method(distill.options()), method.stages[0]
    images = {"image": torch.rand_like(example)}
    parameters = start(distiller, stage, {"student": student, "teacher": twin}, images)
    return Teaching(distiller, stage, twin), parameters
