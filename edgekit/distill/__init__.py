"""Distillation: one interface, a method a file, all methods in one table."""

from edgekit.distill.base import Distiller, Progress, Role, Stage, Step, View
from edgekit.distill.ghost import Ghost, GhostConfig
from edgekit.distill.rbd import Rbd, RbdConfig
from edgekit.distill.taps import Taps
from edgekit.distill.views import Models, start, views_of

__all__ = [
    "DISTILLERS",
    "Distiller",
    "Ghost",
    "GhostConfig",
    "Models",
    "Progress",
    "Rbd",
    "RbdConfig",
    "Role",
    "Stage",
    "Step",
    "Taps",
    "View",
    "start",
    "views_of",
]

DISTILLERS: dict[str, tuple[type[Distiller], type]] = {
    "ghost": (Ghost, GhostConfig),
    "rbd": (Rbd, RbdConfig),
}
"""Name -> the method and its configuration."""
