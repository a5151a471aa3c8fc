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


def task_of(path: str | os.PathLike[str]) -> str | None:
    """What the network of a checkpoint does: detect or classify; None where the file is no checkpoint of edgekit."""
    try:
        with safe_open(path, framework="pt") as file:
            note = (file.metadata() or {}).get("edgekit")
    except (SafetensorError, OSError):
        return None
    return None if note is None else str(json.loads(note).get("task", "detect"))


def load_weights(
    model: nn.Module, tensors: dict[str, Tensor], prefix: str, path: Path, optional: tuple[str, ...] = ()
) -> None:
    """Copy the tensors below `prefix` into `model`.

    Args:
        model: what is filled.
        tensors: of the file.
        prefix: in front of the names.
        path: the file, for the error.
        optional: submodules whose tensors are left alone where the model does not have them.

    Raises:
        ModelError: names and shapes do not all agree.
    """
    present = {name.partition(".")[0] for name in model.state_dict()}
    skipped = tuple(f"{prefix}{name}." for name in optional if name not in present)
    state = {
        name[len(prefix) :]: value
        for name, value in tensors.items()
        if name.startswith(prefix) and not name.startswith(skipped)
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise ModelError(f"{path} is of another network: {detail}; give the recipe that made it") from error
