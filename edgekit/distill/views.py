"""Running the models of a method: once to build it, then once a step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.distill.base import Distiller, Role, Stage, View
from edgekit.distill.taps import Taps

Models = Mapping[str, nn.Module]


def start(distiller: Distiller, stage: Stage, models: Models, images: Mapping[str, Tensor]) -> list[nn.Parameter]:
    """Build `distiller` for `stage`; the parameters that the optimiser has to hold, adapters included.

    Freezes and thaws weights as the stage says, and switches in-place activations off in models that are tapped, which
    would overwrite what was captured.

    Args:
        distiller: not built yet.
        stage: one of its stages.
        models: role -> model, without wrappers.
        images: view -> (B, C, H, W), B of 2 or more, for one dry run; statistics of batch norms are as before.

    Raises:
        ModelError: a tapped module does not exist or did not run.
        ValueError: a role has no model.
    """
    for role in stage.trained + stage.frozen:
        if role not in models:
            raise ValueError(f"{type(distiller).__name__} needs a model for role {role!r} in stage {stage.name!r}")
        models[role].requires_grad_(role in stage.trained)
    for role in distiller.taps(stage):
        for module in models[_owner(distiller, role)].modules():
            if getattr(module, "inplace", False):
                setattr(module, "inplace", False)  # noqa: B010  # no class of torch's declares it
    before = {role: copy.deepcopy(model.state_dict()) for role, model in models.items()}
    with torch.no_grad():
        views = views_of(distiller, stage, models, images)
    for role, model in models.items():
        model.load_state_dict(before[role])
    distiller.build(stage, views)
    trained = [p for role in stage.trained for p in models[role].parameters()]
    return [p for p in [*trained, *distiller.parameters()] if p.requires_grad]


def views_of(distiller: Distiller, stage: Stage, models: Models, images: Mapping[str, Tensor]) -> dict[str, View]:
    """Run every model of `stage` on its picture: frozen ones in eval mode and without gradient, each time anew.

    Raises:
        ModelError: a tapped module does not exist or did not run.
    """
    paths = _paths(distiller, stage)
    views: dict[str, View] = {}
    for role in distiller.roles:
        if role.alias_of or role.name not in stage.trained + stage.frozen:
            continue
        views[role.name] = _run(role, stage, models[role.name], images[role.view], paths.get(role.name, ()))
    return views | {role.name: views[role.alias_of] for role in distiller.roles if role.alias_of}


def _run(role: Role, stage: Stage, model: nn.Module, image: Tensor, paths: Sequence[str]) -> View:
    frozen = role.name in stage.frozen
    if frozen:
        model.eval()
    taps = Taps(model, paths, role.name)
    with torch.no_grad() if frozen else nullcontext(), taps:
        out = model(image)
    return View(image, {path: list(seen) for path, seen in taps.features.items()}, _named(out), out)


def _paths(distiller: Distiller, stage: Stage) -> dict[str, tuple[str, ...]]:
    """Taps by the role that really runs."""
    paths: dict[str, tuple[str, ...]] = {}
    for role, wanted in distiller.taps(stage).items():
        owner = _owner(distiller, role)
        paths[owner] = tuple(dict.fromkeys((*paths.get(owner, ()), *wanted)))
    return paths


def _owner(distiller: Distiller, role: str) -> str:
    return next((r.alias_of or r.name for r in distiller.roles if r.name == role), role)


def _named(out: Any) -> dict[str, Tensor]:
    if isinstance(out, Tensor):
        return {"out": out}
    if isinstance(out, Mapping):
        return dict(out)
    named: dict[str, Tensor] = {}
    for index, each in enumerate(out):
        if each is not None:
            named |= {f"out/{index}{rest[len('out') :]}": value for rest, value in _named(each).items()}
    return named
