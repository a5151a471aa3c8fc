"""The command line: a table from verb to function. Nothing heavy is imported until a verb runs."""

import logging
import signal
import sys
from typing import Any, List, Optional

import typer
from typer.core import TyperGroup

from edgekit.cli.apply import apply
from edgekit.cli.bench import bench
from edgekit.cli.build import build
from edgekit.cli.check import check
from edgekit.cli.delta import delta
from edgekit.cli.doctor import doctor
from edgekit.cli.export import export
from edgekit.cli.guard import INTERRUPTED, complain, guarded
from edgekit.cli.inspect import inspect
from edgekit.cli.quantize import quantize
from edgekit.cli.run import run
from edgekit.cli.search import search
from edgekit.cli.synth import synth
from edgekit.cli.train import train
from edgekit.cli.val import val

_START, _MAKE, _LOOK, _FLY = "Start", "Make a bundle", "Look at it", "Fly it"

# in the order in which they are used; each function is the verb
VERBS = (
    ("doctor", doctor, _START),
    ("synth", synth, _START),
    ("train", train, _MAKE),
    ("search", search, _MAKE),
    ("quantize", quantize, _MAKE),
    ("export", export, _MAKE),
    ("delta", delta, _MAKE),
    ("inspect", inspect, _LOOK),
    ("check", check, _LOOK),
    ("val", val, _LOOK),
    ("apply", apply, _FLY),
    ("build", build, _FLY),
    ("run", run, _FLY),
    ("bench", bench, _FLY),
)

_EXAMPLES = """Four commands from an ONNX detector to boxes on a video:

edgekit export yolox_nano_416.onnx --int8 --calib photos/ -o nano.ekb

edgekit val nano.ekb --images val/ --annotations val.json

edgekit run nano.ekb flight.mp4 --save boxes.mp4 --jsonl boxes.jsonl

edgekit bench nano.ekb --source flight.mp4"""


def main() -> None:
    """Run the command that `sys.argv` names; what `edgekit` and `python -m edgekit` call."""
    signal.signal(signal.SIGTERM, _terminate)
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr, level=logging.WARNING)
    try:
        app(prog_name="edgekit")
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(INTERRUPTED)


def _terminate(number: int, frame: Any) -> None:
    """Leave as an exception does, so that temporary files are cleaned up."""
    sys.exit(128 + number)


def _version(wanted: bool) -> None:
    if wanted:
        import edgekit

        print(edgekit.__version__)
        raise typer.Exit()


def _root(
    version: Optional[bool] = typer.Option(
        None, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Quantise a detector, ship it as one file, fly it in real time, account for every millisecond."""


class _Verbs(TyperGroup):
    """Lists the verbs as `VERBS` does; older libraries sort them by name."""

    def list_commands(self, ctx: Any) -> List[str]:
        return [name for name, _, _ in VERBS]


def _build() -> typer.Typer:
    built = typer.Typer(
        cls=_Verbs,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    built.callback(epilog=_EXAMPLES)(_root)
    for name, function, panel in VERBS:
        built.command(name, rich_help_panel=panel)(guarded(function))
    return built


app = _build()
