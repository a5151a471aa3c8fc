"""DIR-Net's representation-align, binarisation-aware distillation: a network of signs learns from its float twin.

DIR-Net (Qin et al., IJCV 2023, arXiv 2109.12338), of which only the abstract was to be had: this is a reconstruction.
For each pair of feature maps of layer l, student s and teacher t, (B, C, H, W):

    u = tanh(sharpness * F)            what the next binary convolution will see of F, softly; F itself if soft is off
    v = u / ||u||                      a unit vector over C, H and W for each picture
    loss    rbd = sum_l mean_b ||v_s - v_t||^2          0 where directions agree, at most 4 a layer
            kd  = T^2 mean_b KL( softmax(z_t / T) || softmax(z_s / T) )    of the logits z, where it has a weight

The unit vectors take out that features of a binary network have another range. The sharpness grows as the estimators'
does (`edgekit.quant.estimators.Schedule`), so that at first everything is compared and at last the sign. The weight of
rbd falls to 0, half a cosine long, over the last fifth of the epochs.

Differs from the paper: unknown. The sharpness is that of the schedule; a limit that "dte" sets for one layer is not
looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from edgekit.distill.base import Distiller, Progress, Stage, Step, View
from edgekit.errors import ConfigError, ModelError

_FALL = 0.2
"""The last share of the epochs, in which the weight falls."""


@dataclass(frozen=True, slots=True)
class RbdConfig:
    """What can be chosen.

    Attributes:
        layers: paths of the submodules that are paired; the same in student and teacher.
        weight: of the sum over the layers. A tenth to a third of the task's loss in the first epoch is a good start.
        soft: compare soft signs; else the maps as they are.
        t_min: sharpness in the first epoch.
        t_max: what it grows to.
        kd: weight of the logits' loss, for networks with one output (B, classes); 0 leaves it out.
        temperature: T of the logits' loss.
    """

    layers: tuple[str, ...]
    weight: float = 0.05
    soft: bool = True
    t_min: float = 0.1
    t_max: float = 10.0
    kd: float = 0.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("rbd.layers is empty; name at least one module")
        if min(self.weight, self.kd) < 0:
            raise ValueError(f"rbd.weight {self.weight} and rbd.kd {self.kd} must not be negative")
        if not 0 < self.t_min <= self.t_max:
            raise ValueError(f"rbd.t_min {self.t_min} and rbd.t_max {self.t_max}: expected 0 < t_min <= t_max")
        if self.temperature <= 0:
            raise ValueError(f"rbd.temperature {self.temperature} must be above 0")


class Rbd(Distiller):
    """Aligned representations, and logits where wanted; losses `rbd` and `kd`."""

    reconstructed = True

    def __init__(self, config: RbdConfig):
        super().__init__()
        self.config = config
        self._distances: dict[str, float] = {}

    def taps(self, stage: Stage) -> dict[str, tuple[str, ...]]:
        """The paired layers, in both."""
        return {"student": self.config.layers, "teacher": self.config.layers}

    def build(self, stage: Stage, views: Mapping[str, View]) -> None:
        """Nothing to make; what cannot be compared is found here."""
        for layer in self.config.layers:
            self._pair(layer, views)
        if self.config.kd:
            _logits(views)

    def losses(self, step: Step) -> dict[str, Tensor]:
        """`rbd`, and `kd` where it has a weight: scalars.

        Raises:
            ConfigError: logits are wanted of a network that has none.
            ModelError: the maps of a pair differ in shape.
        """
        sharpness = self.sharpness(step.progress) if self.config.soft else None
        total = step.views["student"].image.new_zeros(()).float()
        for layer in self.config.layers:
            student, teacher = (direction(feature, sharpness) for feature in self._pair(layer, step.views))
            distance = (student - teacher).square().sum(dim=1).mean()
            self._distances[layer] = float(distance.detach())
            total = total + distance
        if not self.config.kd:
            return {"rbd": total}
        return {"rbd": total, "kd": logits_loss(*_logits(step.views), self.config.temperature)}

    def weight(self, name: str, progress: Progress) -> float:
        """That of rbd falls in the end, that of kd does not."""
        if name == "kd":
            return self.config.kd
        left = min(1.0, (1.0 - progress.epoch / progress.epochs) / _FALL)
        return self.config.weight * 0.5 * (1.0 - math.cos(math.pi * left))

    def state(self) -> dict[str, float]:
        """How far apart the directions of each layer were in the last step, 0 to 4."""
        return {f"rbd_distance/{layer}": distance for layer, distance in self._distances.items()}

    def sharpness(self, progress: Progress) -> float:
        """Of the soft sign, now."""
        low, high = math.log10(self.config.t_min), math.log10(self.config.t_max)
        return 10 ** (low + (high - low) * progress.epoch / progress.epochs)

    def _pair(self, layer: str, views: Mapping[str, View]) -> tuple[Tensor, Tensor]:
        student, teacher = views["student"].features[layer][-1], views["teacher"].features[layer][-1]
        if student.shape != teacher.shape:
            raise ModelError(
                f"{layer} is {tuple(student.shape)} in the student and {tuple(teacher.shape)} in the teacher; "
                "expected two maps of one shape: the teacher is the student's float twin"
            )
        return student, teacher


def direction(feature: Tensor, sharpness: float | None) -> Tensor:
    """(B, ...) -> unit vectors (B, n), float32, of the soft sign of `feature`; zeros stay zeros."""
    values = feature.float().flatten(1)
    return functional.normalize(values if sharpness is None else (sharpness * values).tanh(), dim=1)


def logits_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of logits (B, classes), a mean over the batch (Hinton et al., arXiv 1503.02531)."""
    log_s = functional.log_softmax(student.float() / temperature, dim=1)
    log_t = functional.log_softmax(teacher.float() / temperature, dim=1)
    return temperature**2 * (log_t.exp() * (log_t - log_s)).sum(dim=1).mean()


def _logits(views: Mapping[str, View]) -> tuple[Tensor, Tensor]:
    found = []
    for role in ("student", "teacher"):
        out = list(views[role].out.values())
        if len(out) != 1 or out[0].ndim != 2:
            shapes = ", ".join(str(tuple(each.shape)) for each in out)
            raise ConfigError(f"rbd.kd wants one output (B, classes), and the {role} has {shapes}; set kd to 0")
        found.append(out[0])
    return found[0], found[1]
