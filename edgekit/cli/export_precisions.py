"""edgekit export, where a network has many precisions: all of them to one bundle, and a bundle to a smaller one."""

import os
import tempfile
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from edgekit.cli.model_file import CHECKPOINT, name_of

if TYPE_CHECKING:
    from edgekit.export import ExportOptions


def is_checkpoint_of_many(model: str, precision: Optional[int]) -> bool:
    """Whether `model` is a checkpoint that was trained for many precisions.

    Raises:
        ConfigError: it is not, and one of them was asked for.
        ModelError: the checkpoint is damaged or not of edgekit.
        BackendError: torch is not installed.
    """
    from edgekit.cli import habits
    from edgekit.errors import ConfigError

    known: Sequence[int] = ()
    if model.endswith(CHECKPOINT):
        with habits.workstation("read a checkpoint", "train"):
            from pathlib import Path

            from edgekit.train.trained import checkpoint_precisions
        known = checkpoint_precisions(Path(model))
    if precision is not None and not known:
        raise ConfigError(
            "--precision {}: {} was not trained for many precisions; leave it out, or train it with "
            "quant.precisions".format(precision, model)
        )
    return bool(known)


def from_checkpoint(model: str, target: str, images: Optional[str], chosen: "ExportOptions") -> Dict[str, Any]:
    """Every precision of a checkpoint to one bundle; what `edgekit export` shows of it.

    Raises:
        ConfigError: the target is a plain ONNX file, which has one precision.
    """
    from pathlib import Path

    from edgekit.cli import habits, screen
    from edgekit.errors import ConfigError

    if not target.endswith(".ekb"):
        raise ConfigError("{} holds one precision of {}: name it with --precision".format(target, model))
    with habits.workstation("export", "export"):
        from edgekit.export import TrainedPrecision, bundle_of_precisions
        from edgekit.train.trained import export_precisions
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder, screen.progress("export") as progress:
        done = export_precisions(Path(model), Path(folder), name_of(model))
        trained = [TrainedPrecision(bits, str(path), plan, record) for bits, path, plan, record in done]
        report = bundle_of_precisions(trained, target, images=images, options=chosen, progress=progress)
    return report.to_json()


def draw(value: Dict[str, Any], above: Any) -> Any:
    """The table of precisions under what `edgekit export` shows of every bundle."""
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen
    from edgekit.cli.inspect import PARITY, parity_cells

    rows: List[Any] = []
    for bits, part in value["precisions"].items():
        for name, lowering in part["lowerings"].items():
            rows.append(
                ("{} bits".format(bits), screen.size(part["planes_bytes"]), name) + parity_cells(lowering["parity"])
            )
    columns = ("weights", "in planes", "lowering", *PARITY)
    return Group(above, Text(""), screen.table(columns, rows, "Precisions", left=3))


def from_bundle(
    bundle: str, output: Optional[str], precision: Optional[int], lowering: Optional[List[str]], as_json: bool
) -> None:
    """A bundle of many precisions to one without the higher ones, or one of its graphs to plain ONNX.

    Raises:
        ConfigError: no output, or what to write is not said.
        BundleError: the bundle lacks the precision or the lowering.
        StorageError: the file cannot be written.
    """
    from edgekit.bundle import open_bundle
    from edgekit.cli import screen
    from edgekit.errors import ConfigError

    if output is None or os.path.abspath(output) == os.path.abspath(bundle):
        raise ConfigError("name the file to write with -o, another one than {}".format(bundle))
    if output.endswith(".onnx"):
        written = _graph(bundle, output, precision, lowering)
    elif precision is None:
        raise ConfigError("{} is a bundle already; say with --precision what the new one keeps".format(bundle))
    else:
        from edgekit.layered import cut_bundle

        cut_bundle(bundle, output, precision)
        written = ""
    made = open_bundle(output) if not written else open_bundle(bundle, precision=precision)
    value = {
        "output": output,
        "bytes": os.path.getsize(output),
        "source": bundle,
        "source_bytes": os.path.getsize(bundle),
        "precisions": list(made.precisions) if not written else [made.precision],
        "lowering": written or None,
    }
    screen.show(value, lambda: _draw_written(value), as_json)


def _graph(bundle: str, output: str, precision: Optional[int], lowering: Optional[List[str]]) -> str:
    from edgekit.bundle import open_bundle
    from edgekit.cli import habits
    from edgekit.errors import ConfigError

    with habits.workstation("export", "export"):
        from edgekit.export import onnx_from_bundle
    opened = open_bundle(bundle, precision=precision)
    if not lowering or len(lowering) != 1:
        raise ConfigError(
            "{} holds one graph: name it with --lowering, once; {} has {}".format(
                output, bundle, ", ".join(opened.lowerings)
            )
        )
    onnx_from_bundle(opened, output, lowering[0])
    return lowering[0]


def _draw_written(value: Dict[str, Any]) -> Any:
    from edgekit.cli import screen

    bits = ", ".join(str(each) for each in value["precisions"] if each is not None)
    rows = [("size", "{}, from {}".format(screen.size(value["bytes"]), screen.size(value["source_bytes"])))]
    rows += [("precisions", bits + " bits")] * bool(bits)
    rows += [("lowering", value["lowering"])] * bool(value["lowering"])
    return screen.facts(rows, "{}  from {}".format(value["output"], value["source"]))
