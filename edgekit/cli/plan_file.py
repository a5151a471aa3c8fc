"""A plan as a file between `edgekit quantize` and `edgekit export`: JSON, readable, for one model file alone."""

import json
import os
from typing import Any, Dict, Tuple

from edgekit.errors import ConfigError, StorageError
from edgekit.files import PathLike, atomic_write, sha256_file
from edgekit.precision import QuantPlan

FORMAT = "edgekit-plan"
VERSION = 1


def check_folder(path: PathLike) -> None:
    """Refuse early, before minutes of work, what could not be written in the end.

    Raises:
        StorageError: the folder is missing or cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(os.fspath(path)))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise StorageError("cannot write {}: {} is no folder that can be written; make it first".format(path, folder))


def write_plan(path: PathLike, model: str, plan: QuantPlan, calibration: Dict[str, Any]) -> None:
    """Write a plan and what it was got from.

    Args:
        path: the JSON file.
        model: the model file that it speaks about.
        plan: the plan.
        calibration: plain values: method, images, seed, …

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "model": {"file": os.path.basename(model), "sha256": sha256_file(model)},
        "calibration": calibration,
        "plan": plan.to_json(),
    }
    with atomic_write(path, "w") as stream:
        json.dump(content, stream, indent=1)
        stream.write("\n")


def read_plan(path: PathLike, model: str) -> Tuple[QuantPlan, Dict[str, Any]]:
    """The plan in a file, and its calibration record.

    Raises:
        ConfigError: the file cannot be read, is no plan, or was made for another model file than `model`.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise ValueError("format {} {}".format(content["format"], content["version"]))
        made_for, plan = content["model"], QuantPlan.from_json(content["plan"])
    except OSError as error:
        raise ConfigError("cannot read the plan {}: {}".format(path, error.strerror)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "{} is not a plan ({}: {}); make one with: edgekit quantize {} --calib IMAGES -o {}".format(
                path, type(error).__name__, error, model, path
            )
        ) from error
    if made_for["sha256"] != sha256_file(model):
        raise ConfigError(
            "{} was made for {} (sha256 {}…), and {} is another file; quantize it anew".format(
                path, made_for["file"], made_for["sha256"][:12], model
            )
        )
    return plan, dict(content["calibration"])
