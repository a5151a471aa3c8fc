"""edgekit delta: the update that turns the bundle on a drone into a newer one, as few bytes as can be."""

from typing import Any, Dict, List

import typer

from edgekit.cli import options

_PARTS = (
    ("tensor", "codes and float tensors"),
    ("scale", "scales"),
    ("entry", "graphs, manifest, golden images"),
    ("container", "zip headers"),
    ("index", "hashes and places"),
)
_SHORT = 12


def delta(
    old: str = typer.Argument(..., metavar="OLD", help="The bundle that is out there."),
    new: str = typer.Argument(..., metavar="NEW", help="The bundle that shall be."),
    output: str = typer.Option(..., "-o", "--output", metavar="FILE", help="The .ekd file to write."),
    as_json: bool = options.JSON,
) -> None:
    """An update from one bundle to the next: changed bit-planes alone, for edgekit apply."""
    from edgekit.cli import screen
    from edgekit.delta import describe_update, write_update

    with screen.progress("delta") as progress:
        value = describe_update(write_update(old, new, output, progress))
    after = "edgekit apply {} {}".format(old, output)
    screen.show(value, lambda: _with_next(draw_update(value, every_tensor=False), after), as_json)


def inspect_update(path: str, every_tensor: bool, as_json: bool) -> None:
    """What `edgekit inspect` shows of an `.ekd` file."""
    from edgekit.cli import screen
    from edgekit.delta import describe_update, open_update

    value = describe_update(open_update(path))
    screen.show(value, lambda: draw_update(value, every_tensor), as_json)


def draw_update(value: Dict[str, Any], every_tensor: bool) -> Any:
    """Both bundles, bytes by part, changed tensors with their planes."""
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    parts: List[Any] = [screen.facts(_head(value), "{}  {}".format(value["model"], value["file"])), Text("")]
    cells = [(told, screen.size(value["by_part"].get(part, 0))) for part, told in _PARTS]
    parts.append(screen.table(("what it carries", "bytes"), cells))
    changed = sorted(value["tensors"], key=lambda row: -row["bytes"])
    rows = changed if every_tensor else changed[:_SHORT]
    if rows:
        title = "Changed tensors and scales: {}".format(len(changed))
        columns = ("tensor", "planes", "bits", "sends", "of")
        parts += [Text(""), screen.table(columns, [_cells(row) for row in rows], title, left=2)]
    if len(changed) > len(rows):
        left_out = "{} smaller ones: edgekit inspect --layers {}".format(len(changed) - len(rows), value["file"])
        parts.append(Text(left_out, "dim"))
    return Group(*parts)


def _head(value: Dict[str, Any]) -> List[Any]:
    from edgekit.cli import screen

    return [
        ("size", "{}, {:.1f} times smaller than the new bundle".format(screen.size(value["bytes"]), value["ratio"])),
        ("from", _file(value["base"])),
        ("to", _file(value["target"])),
        ("kept", "{} of the new file lie in the old one".format(screen.size(value["kept_bytes"]))),
    ]


def _file(one: Dict[str, Any]) -> str:
    from edgekit.cli import screen

    return "identity {}, {}".format(one["identity"], screen.size(one["size"]))


def _cells(row: Dict[str, Any]) -> Any:
    from edgekit.cli import screen

    name = row["name"] + (" (scale)" if row["part"] == "scale" else "")
    planes = " ".join(str(plane) for plane in row["planes"]) or ("whole" if row["whole"] else "-")
    bits = "-" if row["bits"] is None else str(row["bits"])
    return name, planes, bits, screen.size(row["bytes"]), screen.size(row["makes"])


def _with_next(drawn: Any, command: str) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    return Group(drawn, Text(""), screen.next_step(command))
