"""GHOST's one-to-one self-teaching: each layer of a quantised network learns from the same layer of its float twin.

GHOST (Zhang, Lei, Xie, Li, Yang, Jia, IEEE TGRS 2023, arXiv 2301.00131), guided quantisation self-distillation. For
each pair of feature maps (B, C, H, W) of layer l, student s and teacher t:

    value    v = normalise( mean_c F^2 ), a unit vector over the H W positions of each image
    key      k = relu( BN( W_s GAP(F_s) ) ),  query q = BN( W_t GAP(F_t) ),  of `width` numbers each
    switch   y = sigmoid( <k, q> / sqrt(width) + noise ),  gate g = 1 if y > 1/2 else 0, gradient of y   (the "switch
             control machine": may the teacher speak about this layer of this image?)
    loss     ost = sum_l mean_b( g_b mean_hw (v_s - v_t)^2 )

The value has unit norm, so a term is at most 4 / (H W) and the weight of the sum is large (400).

Differs from the paper: by default the projections W are trained, as the paper says; the authors' released script never
gives them to its optimiser, which is gate "random_fixed" here. Trained gates can close, because closing is the
cheapest way to a small loss: watch `open_rate`. The released script also adds its detection loss twice; here it counts
once, so weight 200 has the script's proportions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.distill.base import Distiller, Progress, Stage, Step, View
from edgekit.errors import ConfigError, ModelError

GATES = ("learned", "random_fixed", "open")
NOISES = ("gumbel", "logistic", "none")


@dataclass(frozen=True, slots=True)
class GhostConfig:
    """What can be chosen.

    Attributes:
        layers: paths of the submodules that are paired; the same in student and teacher.
        weight: of the loss.
        width: of keys and queries.
        gate: learned | random_fixed (as released) | open (no switch: every layer is taught).
        noise: gumbel (one-sided, as released: a logit of 0 opens 63 % of the time) | logistic (50 %) | none.
    """

    layers: tuple[str, ...]
    weight: float = 400.0
    width: int = 128
    gate: str = "learned"
    noise: str = "gumbel"

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("ghost.layers is empty; name at least one module")
        if self.gate not in GATES:
            raise ValueError(f"ghost.gate {self.gate!r} is unknown; choose one of {', '.join(GATES)}")
        if self.noise not in NOISES:
            raise ValueError(f"ghost.noise {self.noise!r} is unknown; choose one of {', '.join(NOISES)}")


class Ghost(Distiller):
    """Self-teaching with switches; one loss, `ost`."""

    def __init__(self, config: GhostConfig):
        super().__init__()
        self.config = config
        self.gates = nn.ModuleList()
        self._open: dict[str, Tensor] = {}

    def taps(self, stage: Stage) -> dict[str, tuple[str, ...]]:
        """The paired layers, in both."""
        return {"student": self.config.layers, "teacher": self.config.layers}

    def build(self, stage: Stage, views: Mapping[str, View]) -> None:
        """One gate a layer, unless all are open."""
        pairs = _pairs(self.config, views)
        if self.config.gate == "open":
            return
        device = pairs[0][0].device
        self.gates = nn.ModuleList(Gate(student.shape[1], self.config.width, self.config.noise) for student, _ in pairs)
        self.gates.to(device).requires_grad_(self.config.gate == "learned")

    def losses(self, step: Step) -> dict[str, Tensor]:
        """`ost`, a scalar.

        Raises:
            ConfigError: a step of one image, over which the gates cannot normalise.
            ModelError: the maps of a pair differ in shape.
        """
        total = step.views["student"].image.new_zeros((), dtype=torch.float32)
        for index, (student, teacher) in enumerate(_pairs(self.config, step.views)):
            gap = ((spatial_value(student) - spatial_value(teacher)) ** 2).mean(dim=1)
            gate = self._gate(index, student, teacher)
            self._open[self.config.layers[index]] = gate.detach().mean()
            total = total + (gate * gap).mean()
        return {"ost": total}

    def weight(self, name: str, progress: Progress) -> float:
        """The same all the time."""
        return self.config.weight

    def static(self) -> frozenset[str]:
        """Biases before a batch norm, which takes them out again."""
        return frozenset(name for name, _ in self.named_parameters() if name.endswith(("key.0.bias", "query.0.bias")))

    def state(self) -> dict[str, float]:
        """The share of images for which each layer was taught in the last step."""
        return {f"open_rate/{layer}": float(rate) for layer, rate in self._open.items()}

    def _gate(self, index: int, student: Tensor, teacher: Tensor) -> Tensor:
        if self.config.gate == "open":
            return torch.ones(len(student), device=student.device)
        if len(student) < 2:
            raise ConfigError("GHOST's gates normalise over the images of a step and need 2 or more; raise the batch")
        gate: Tensor = self.gates[index](student, teacher)
        return gate


class Gate(nn.Module):
    """The switch of one layer."""

    def __init__(self, channels: int, width: int, noise: str):
        super().__init__()
        self.key = nn.Sequential(nn.Linear(channels, width), nn.BatchNorm1d(width), nn.ReLU())
        self.query = nn.Sequential(nn.Linear(channels, width), nn.BatchNorm1d(width))
        self.noise = noise

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Two maps (B, C, H, W) -> (B,), each 0 or 1, with the gradient of the sigmoid."""
        key, query = self.key(_pooled(student)), self.query(_pooled(teacher))
        logit = (key.float() * query.float()).sum(dim=1) / math.sqrt(key.shape[1])
        return hard_switch(logit + sample_noise(logit, self.noise))


def spatial_value(feature: Tensor) -> Tensor:
    """Where the energy of a map is: (B, C, H, W) -> (B, H W) of unit norm, float32; zeros stay zeros."""
    return functional.normalize(feature.float().pow(2).mean(dim=1).flatten(1), dim=1)


def hard_switch(logit: Tensor) -> Tensor:
    """1 where logit > 0, else 0, exactly; backward it is sigmoid(logit)."""
    soft = logit.sigmoid()
    return (logit > 0).to(soft.dtype) + (soft - soft.detach())


def sample_noise(logit: Tensor, kind: str) -> Tensor:
    """Noise of the shape of `logit`; P(open) is 1 - exp(-e^logit) with gumbel, sigmoid(logit) with logistic."""
    if kind == "none":
        return torch.zeros_like(logit)
    # Exponential draws are > 0 in exact arithmetic; the floor keeps a rounded 0 out of the logarithm.
    first, second = (torch.empty_like(logit).exponential_().clamp(min=1e-20).log() for _ in range(2))
    return -first if kind == "gumbel" else second - first


def _pooled(feature: Tensor) -> Tensor:
    return feature.float().mean(dim=(2, 3))


def _pairs(config: GhostConfig, views: Mapping[str, View]) -> list[tuple[Tensor, Tensor]]:
    pairs = []
    for layer in config.layers:
        student, teacher = views["student"].features[layer][-1], views["teacher"].features[layer][-1]
        if student.shape != teacher.shape or student.ndim != 4:
            raise ModelError(
                f"{layer} is {tuple(student.shape)} in the student and {tuple(teacher.shape)} in the teacher; "
                "expected two maps of one shape: the teacher is the student's float twin"
            )
        pairs.append((student, teacher))
    return pairs
