"""The file that a verb calls MODEL: an ONNX detector as it is, a checkpoint of `edgekit train` as ONNX."""

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, Tuple

from edgekit.cli import habits

if TYPE_CHECKING:
    from edgekit.precision import QuantPlan

CHECKPOINT = ".safetensors"


@contextlib.contextmanager
def as_onnx(model: str) -> Iterator[str]:
    """The path of a float ONNX file for `model`; that of a checkpoint lives as long as the block.

    Raises:
        ConfigError: the checkpoint was trained quantised.
        ModelError: it is damaged or not of edgekit.
        BackendError: torch is not installed.
    """
    from edgekit.errors import ConfigError

    with with_plan(model) as (path, plan):
        if plan is not None:
            raise ConfigError(
                "{0} was trained quantised and has its plan already; write it as it is: edgekit export {0} "
                "--images DIR".format(model)
            )
        yield path


@contextlib.contextmanager
def with_plan(
    model: str, precision: Optional[int] = None
) -> Iterator[Tuple[str, "Optional[Tuple[QuantPlan, Dict[str, Any]]]"]]:
    """As `as_onnx`, and the plan and its record of a network that was trained quantised; None for all others.

    Args:
        model: what the user named.
        precision: which one of a checkpoint that was trained for many; the highest where None.

    Raises:
        ModelError: the checkpoint is damaged, not of edgekit, has no such precision, or cannot be deployed as it was
            trained.
        BackendError: torch is not installed.
    """
    if not model.endswith(CHECKPOINT):
        yield model, None
        return
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        with habits.workstation("read a checkpoint", "train"):
            from pathlib import Path

            from edgekit.train.trained import export_checkpoint
        path = os.path.join(folder, name_of(model) + ".onnx")
        plan = export_checkpoint(Path(model), Path(path), precision)
        yield path, plan


def name_of(checkpoint: str) -> str:
    """The run's folder: the checkpoint itself is always called last.safetensors."""
    stem = os.path.basename(checkpoint)[: -len(CHECKPOINT)]
    folder = os.path.basename(os.path.dirname(os.path.abspath(checkpoint)))
    return folder if stem == "last" and folder else stem
