"""A small convolutional network and its noisy twin, for the tests of distillation."""

import copy
import math

import torch
from torch import Tensor, nn

from edgekit.distill import Distiller, Ghost, GhostConfig, Models, Rbd, RbdConfig, Step, start, views_of

LAYERS = ("body.0", "body.1")


class Part(nn.Module):
    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class Net(nn.Module):
    """Two parts that are tapped, and a head behind them that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Part(3, 8), Part(8, 8))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.drop(self.body(x)))
        return y


def det(*shape: int, w: float, p: float) -> Tensor:
    """sin(w i + p) over the flat index i, float64: numbers that need no generator."""
    return torch.sin(w * torch.arange(math.prod(shape), dtype=torch.float64) + p).reshape(shape)


def images(count: int = 4) -> dict[str, Tensor]:
    return {"image": torch.rand(count, 3, 9, 7, generator=torch.Generator().manual_seed(3))}


def twins(noise: float = 0.0) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    teacher = Net()
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return {"student": student, "teacher": teacher}


def built(distiller: Distiller, models: Models) -> list[nn.Parameter]:
    return start(distiller, distiller.stages[0], models, images())


def step_of(distiller: Distiller, models: Models, count: int = 4) -> Step:
    return Step(views_of(distiller, distiller.stages[0], models, images(count)))


def ghost(gate: str = "learned", noise: str = "gumbel", width: int = 16) -> Ghost:
    return Ghost(GhostConfig(LAYERS, width=width, gate=gate, noise=noise))


def rbd(soft: bool = True) -> Rbd:
    return Rbd(RbdConfig(LAYERS, soft=soft))
