"""Weights on disk: safetensors with JSON metadata, as `edgekit.train` writes them. Opening one runs no code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from edgekit.errors import ModelError


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a checkpoint and its JSON values; raises `ModelError` when it is none."""
    if not os.path.isfile(path):
        raise ModelError(f"no checkpoint at {path}; start the run without resuming")
    try:
        with safe_open(path, framework="pt") as file:
            note = (file.metadata() or {}).get("edgekit")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ModelError(f"{path} is not a checkpoint ({error}); delete it and start again") from error
    if note is None:
        raise ModelError(f"{path} holds weights but no edgekit metadata; give a checkpoint that edgekit wrote")
    about: dict[str, Any] = json.loads(note)
    return tensors, about


def load_weights(model: nn.Module, tensors: dict[str, Tensor], prefix: str, path: Path) -> None:
    """Copy the tensors below `prefix` into `model`; raises `ModelError` unless names and shapes all agree."""
    state = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise ModelError(f"{path} is of another network: {detail}; give the recipe that made it") from error
