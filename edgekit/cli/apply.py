"""edgekit apply: take an update over; the old bundle stays until the new one is whole."""

from typing import Any, Dict, Optional

import typer

from edgekit.cli import options


def apply(
    base: str = typer.Argument(..., metavar="BUNDLE", help="The .ekb file that the update was made for."),
    update: str = typer.Argument(..., metavar="UPDATE", help="The .ekd file."),
    output: Optional[str] = typer.Option(
        None, "-o", "--output", metavar="FILE", help="Where the new bundle goes; default: in the place of the old one."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Turn a bundle into the one that an update holds; after a cut the same command goes on."""
    from edgekit.cli import screen
    from edgekit.delta import apply_update

    with screen.progress("apply") as progress:
        applied = apply_update(base, update, output, progress)
    value = {
        "bundle": applied.path,
        "sha256": applied.identity,
        "bytes": applied.size,
        "resumed_bytes": applied.resumed,
        "already": applied.already,
    }
    screen.show(value, lambda: _draw(value), as_json)


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    rows = [
        ("identity", "sha256 " + value["sha256"]),
        ("size", screen.size(value["bytes"])),
        ("done", _told(value)),
    ]
    step = screen.next_step("edgekit check {}".format(value["bundle"]))
    return Group(screen.facts(rows, value["bundle"]), Text(""), step)


def _told(value: Dict[str, Any]) -> str:
    from edgekit.cli import screen

    if value["already"]:
        return "nothing: the update had been applied before"
    if value["resumed_bytes"]:
        return "went on after {} of an earlier try".format(screen.size(value["resumed_bytes"]))
    return "every piece and the whole file have the right hash"
