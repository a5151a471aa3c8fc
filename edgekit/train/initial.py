"""The weights that a run starts from: a checkpoint's average, or a plain ONNX file of one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import ModelError
from edgekit.models import Fasterx
from edgekit.models.blocks import Focus
from edgekit.models.head import PixelEncoder
from edgekit.models.weights import load_weights, read_checkpoint


def load_initial(model: Fasterx, path: Path) -> None:
    """Put the float weights of `path` into `model`.

    Args:
        model: as `build` makes it.
        path: a checkpoint, or an ONNX file that `edgekit.models.export_onnx` wrote. The latter has its batch norms
            folded: each norm becomes the identity plus the bias, which is the same function as long as running
            statistics are used.

    Raises:
        ModelError: the file is missing, damaged, of another network, or of a network that was trained quantised.
    """
    if path.suffix == ".onnx":
        _load_folded(model, _initializers(path), path)
        return
    tensors, about = read_checkpoint(path)
    if "plan" in about:
        raise ModelError(f"{path} was trained quantised; start from the float checkpoint that it started from")
    load_weights(model, tensors, "ema.", path)


def _initializers(path: Path) -> dict[str, Tensor]:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import numpy_helper

    if not os.path.isfile(path):
        raise ModelError(f"no model at {path}; give a checkpoint or an ONNX file as init")
    try:
        graph = onnx.load(str(path)).graph
    except DecodeError as error:
        raise ModelError(f"{path} is not ONNX ({error}); give another init") from error
    return {item.name: torch.from_numpy(np.array(numpy_helper.to_array(item))) for item in graph.initializer}


@torch.no_grad()
def _load_folded(model: Fasterx, tensors: dict[str, Tensor], path: Path) -> None:
    blocks = {f"{name}.conv.conv": name for name, m in model.named_modules() if isinstance(m, Focus | PixelEncoder)}
    modules = dict(model.named_modules())
    for name, conv in modules.items():
        if not isinstance(conv, nn.Conv2d):
            continue
        stored = f"{blocks[name]}.0" if name in blocks else name
        weight, bias = tensors.get(f"{stored}.weight"), tensors.get(f"{stored}.bias")
        if weight is not None and name in blocks:
            weight = functional.pixel_unshuffle(weight, 2)  # `fold_space_to_depth` backwards
        if weight is None or bias is None or weight.shape != conv.weight.shape:
            found = "nothing" if weight is None or bias is None else f"weights {tuple(weight.shape)}"
            raise ModelError(
                f"{path} is of another network: it has {found} for {name}, expected weights "
                f"{tuple(conv.weight.shape)} and a bias; give the recipe that made it"
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
