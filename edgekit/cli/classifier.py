"""What `edgekit export` does with a classifier's checkpoint: a plain ONNX file, and its plan beside it."""

import os
from typing import Any, Dict, Optional, Sequence

from edgekit.cli.model_file import CHECKPOINT


def is_classifier(model: str) -> bool:
    """Whether `model` is the checkpoint of a classifier; any other file, and one that cannot be read, is not.

    Raises:
        BackendError: safetensors is not installed.
    """
    from edgekit.cli import habits

    if not model.endswith(CHECKPOINT):
        return False
    with habits.workstation("read a checkpoint", "train"):
        from edgekit.models.weights import task_of
    return task_of(model) == "classify"


def export(model: str, output: Optional[str], given: Sequence[str], as_json: bool) -> None:
    """Write the ONNX file, and the plan where the network was trained with one, and say so.

    Args:
        model: the checkpoint.
        output: ends with .onnx; the checkpoint's name where None.
        given: options that were given and that a classifier does not have.
        as_json: print the value alone.

    Raises:
        ConfigError: a bundle is asked for, or one of `given`.
    """
    from pathlib import Path

    from edgekit.cli import plan_file, screen
    from edgekit.errors import ConfigError
    from edgekit.train.trained_classifier import export_classifier_checkpoint

    target = output or model[: -len(CHECKPOINT)] + ".onnx"
    if not target.endswith(".onnx"):
        raise ConfigError("{} is of a classifier, and bundles hold detectors; write it with: -o x.onnx".format(model))
    if given:
        raise ConfigError(
            "{} is of a classifier and is written as it was trained; leave {} out".format(model, given[0])
        )
    plan_file.check_folder(target)
    plan, about = export_classifier_checkpoint(Path(model), Path(target))
    beside = None
    if plan is not None:
        beside = target[: -len(".onnx")] + ".plan.json"
        plan_file.write_plan(beside, target, plan, {"method": "qat", "seed": about["recipe"]["seed"]})
    value = {
        "output": target,
        "bytes": os.path.getsize(target),
        "source": model,
        "task": "classify",
        "classes": len(about["classes"]),
        "input_hw": about["size_hw"],
        "plan": beside,
        "layers_by_bits": {} if plan is None else plan.layers_by_bits(),
        "float_layers": {} if plan is None else dict(plan.excluded),
    }
    screen.show(value, lambda: _draw(value), as_json)


def _draw(value: Dict[str, Any]) -> Any:
    from edgekit.cli import screen, widths

    rows = [("classes", "{classes}, input {}x{}".format(value["input_hw"][1], value["input_hw"][0], **value))]
    rows.append(("size", screen.size(value["bytes"])))
    if value["plan"]:
        rows.append(("layers", widths.as_text(value["layers_by_bits"])))
        rows.append(("plan", value["plan"]))
    return screen.facts(rows, "{output}  from {source}".format(**value))
