"""Small networks for the tests of quantisation in training."""

import io
import warnings

import onnx_ir as ir
import torch
from torch import Tensor, nn

from edgekit.graph.load import load_canonical
from edgekit.graph.tidy import tidy
from edgekit.quant import LayerBits

SIZE = (15, 13)


class Block(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class Forked(nn.Module):
    """Odd channels and sizes; two layers read one tensor, a sum behind activations, a join, a last layer with bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 17, stride=2)
        self.left = Block(17, 19, 1)
        self.right = nn.Sequential(Block(17, 17), Block(17, 17))
        self.last = nn.Conv2d(36, 21, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y: Tensor = self.last(torch.cat((self.left(x), x + self.right(x)), dim=1))
        return y


def trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and batch norms that do something, as after training."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.4, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            fan = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    return model.eval()


def images(count: int = 2, size: tuple[int, int] = SIZE, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def widths(weight: int = 8, read: int = 8, signed: bool = True):
    """A rule for `prepare` on `Forked`: the stem has too few channels for integers, so it reads float."""

    def rule(name: str, module: nn.Module) -> LayerBits:
        return LayerBits(weight, None if name.startswith("stem") else read, signed)

    return rule


def graph_of(model: nn.Module, size: tuple[int, int] = SIZE) -> ir.Model:
    """The canonical graph of a float network."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (torch.zeros(1, 3, *size),), buffer, opset_version=17, dynamo=False)
    graph = load_canonical(buffer.getvalue())
    tidy(graph)
    return graph
