"""edgekit train: what a recipe says."""

import glob
import json
import os
from typing import Any, Dict, Optional

import typer

from edgekit.cli import options


def train(
    recipe: str = typer.Argument(..., metavar="RECIPE", help="The TOML file that describes the run."),
    resume: bool = typer.Option(False, "--resume", help="Go on from the last checkpoint of this run."),
    as_json: bool = options.JSON,
) -> None:
    """Train a detector or a classifier; detectors under torchrun for several processes."""
    from edgekit.cli import habits, screen

    with habits.workstation("train", "train"):
        from edgekit.train import train as fit
    if os.environ.get("RANK", "0") != "0":  # torchrun: the first process speaks for all
        fit(recipe, resume=resume)
        return
    with screen.progress("train") as progress:
        checkpoint = str(fit(recipe, resume=resume, progress=progress))
    folder = os.path.dirname(checkpoint)
    value = {
        "recipe": recipe,
        "checkpoint": checkpoint,
        "onnx": next(iter(sorted(glob.glob(os.path.join(glob.escape(folder), "*.onnx")))), None),
        "scores": _last_scores(folder),
    }
    screen.show(value, lambda: _draw(value), as_json)


def _last_scores(folder: str) -> Optional[Dict[str, Any]]:
    """The last line of the run's metrics that has a score, or None."""
    try:
        with open(os.path.join(folder, "metrics.jsonl")) as stream:
            rows = [json.loads(line) for line in stream]
    except OSError:
        return None
    scored = [row for row in rows if "AP" in row or "top1" in row]
    return scored[-1] if scored else None


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    if value["scores"] and "top1" in value["scores"]:
        return _draw_classifier(value)
    # No ONNX file is left of a run that quantises: the checkpoint has the grids.
    quantised = "edgekit export {checkpoint} --images IMAGES -o student.ekb".format(**value)
    following = "edgekit export {} --int8 --calib IMAGES -o student.ekb".format(value["onnx"])
    rows = [("recipe", value["recipe"]), ("checkpoint", value["checkpoint"])]
    if value["onnx"]:
        rows.append(("onnx", value["onnx"]))
    if value["scores"]:
        rows.append(
            ("scores", "AP {AP}, AP50 {AP50}, AP small {AP_small} after epoch {epoch}".format(**value["scores"]))
        )
    return Group(
        screen.facts(rows),
        Text(""),
        screen.next_step(following if value["onnx"] else quantised),
    )


def _draw_classifier(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    rows = [("recipe", value["recipe"]), ("checkpoint", value["checkpoint"])]
    rows.append(("scores", "top-1 {top1} after epoch {epoch}".format(**value["scores"])))
    return Group(
        screen.facts(rows), Text(""), screen.next_step("edgekit export {checkpoint} -o network.onnx".format(**value))
    )
