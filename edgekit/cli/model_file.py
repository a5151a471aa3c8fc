"""The file that a verb calls MODEL: an ONNX detector as it is, a checkpoint of `edgekit train` as ONNX."""

import contextlib
import os
import tempfile
from typing import Iterator

from edgekit.cli import habits

CHECKPOINT = ".safetensors"


@contextlib.contextmanager
def as_onnx(model: str) -> Iterator[str]:
    """The path of an ONNX file for `model`; that of a checkpoint lives as long as the block.

    Raises:
        ModelError: the checkpoint is damaged or not of edgekit.
        BackendError: torch is not installed.
    """
    if not model.endswith(CHECKPOINT):
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        with habits.workstation("read a checkpoint", "train"):
            from pathlib import Path

            from edgekit.models import onnx_from_checkpoint
        path = os.path.join(folder, _name_of(model) + ".onnx")
        onnx_from_checkpoint(Path(model), Path(path))
        yield path


def _name_of(checkpoint: str) -> str:
    """The run's folder: the checkpoint itself is always called last.safetensors."""
    stem = os.path.basename(checkpoint)[: -len(CHECKPOINT)]
    folder = os.path.basename(os.path.dirname(os.path.abspath(checkpoint)))
    return folder if stem == "last" and folder else stem
