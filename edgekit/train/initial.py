"""The weights that a run starts from: a checkpoint's average, or a plain ONNX file of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import ModelError
from edgekit.models import DetectorModule
from edgekit.models.blocks import Focus
from edgekit.models.head import PixelEncoder
from edgekit.models.weights import load_weights, read_checkpoint


def load_initial(model: DetectorModule, path: Path) -> None:
    """Put the float weights of `path` into `model`.

    Args:
        model: as `build` makes it.
        path: a checkpoint, or an ONNX file that `edgekit.models.export_onnx` wrote. The latter has its batch norms
            folded: each norm becomes the identity plus the bias, which is the same function as long as running
            statistics are used; see `measure_norms`.

    Raises:
        ModelError: the file is missing, damaged, of another network, or of a network that was trained quantised.
    """
    if path.suffix == ".onnx":
        _load_folded(model, _convolutions(path), path)
        return
    tensors, about = read_checkpoint(path)
    if "plan" in about:
        raise ModelError(f"{path} was trained quantised; start from the float checkpoint that it started from")
    load_weights(model, tensors, "ema.", path, model.training_only)


@torch.no_grad()
def measure_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give each batch norm the statistics of what it reads, and the gain and bias with which its function stays.

    A network whose norms had been folded can learn with them again: what a batch's own statistics make of a tensor is
    what the network gave before, but for the batch.

    Args:
        model: float, on the device of the batches; in the same mode afterwards.
        batches: network input, (B, C, H, W) each, one at least.
    """
    norms = {module: _Moments() for module in model.modules() if isinstance(module, nn.BatchNorm2d)}
    hooks = [norm.register_forward_pre_hook(moments) for norm, moments in norms.items()]
    is_training = model.training
    model.eval()
    for x_nchw in batches:
        model(x_nchw)
    model.train(is_training)
    for hook in hooks:
        hook.remove()
    for norm, moments in norms.items():
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_(scale * (moments.mean - norm.running_mean))
        norm.running_mean.copy_(moments.mean)
        norm.running_var.copy_(moments.variance)
        norm.weight.copy_(scale * (norm.running_var + norm.eps).sqrt())


class _Moments:
    """Of each channel of all tensors that a module has read."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = self._squares = torch.zeros(())

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].double()
        self._count += x.numel() // x.shape[1]
        self._sum = self._sum + x.sum((0, 2, 3))
        self._squares = self._squares + x.square().sum((0, 2, 3))

    @property
    def mean(self) -> Tensor:
        return self._sum / self._count

    @property
    def variance(self) -> Tensor:
        return (self._squares / self._count - self.mean.square()).clamp_min(0.0)


def _convolutions(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution by the name of its module; equal biases are one tensor in the file."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import numpy_helper

    if not os.path.isfile(path):
        raise ModelError(f"no model at {path}; give a checkpoint or an ONNX file as init")
    try:
        graph = onnx.load(str(path)).graph
    except DecodeError as error:
        raise ModelError(f"{path} is not ONNX ({error}); give another init") from error
    stored = {item.name: torch.from_numpy(np.array(numpy_helper.to_array(item))) for item in graph.initializer}
    stored |= {n.output[0]: stored[n.input[0]] for n in graph.node if n.op_type == "Identity" and n.input[0] in stored}
    nodes = [node for node in graph.node if node.op_type == "Conv" and set(node.input[1:3]) <= stored.keys()]
    return {n.input[1].removesuffix(".weight"): (stored[n.input[1]], stored[n.input[2]]) for n in nodes if n.input[2:]}


@torch.no_grad()
def _load_folded(model: DetectorModule, stored: dict[str, tuple[Tensor, Tensor]], path: Path) -> None:
    blocks = {f"{name}.conv.conv": name for name, m in model.named_modules() if isinstance(m, Focus | PixelEncoder)}
    modules = dict(model.named_modules())
    for name, conv in modules.items():
        if not isinstance(conv, nn.Conv2d):
            continue
        weight, bias = stored.get(f"{blocks[name]}.0" if name in blocks else name, (torch.empty(0), torch.empty(0)))
        if name in blocks and weight.ndim == 4:
            weight = functional.pixel_unshuffle(weight, 2)  # `fold_space_to_depth` backwards
        if weight.shape != conv.weight.shape:
            raise ModelError(
                f"{path} is of another network: it has weights {tuple(weight.shape)} for {name}, expected "
                f"{tuple(conv.weight.shape)}; give the recipe that made it"
            )
        conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.copy_(bias)
        else:
            _identity(modules[f"{name.rpartition('.')[0]}.bn"], bias)


def _identity(norm: nn.Module, bias: Tensor) -> None:
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0)
    norm.weight.fill_((1.0 + norm.eps) ** 0.5)
    norm.bias.copy_(bias)
