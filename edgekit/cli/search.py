"""edgekit search: widths of weights within a budget."""

import os
from typing import Any, Dict, List

import typer

from edgekit.cli import options


def search(
    recipe: str = typer.Argument(..., metavar="RECIPE", help="The TOML file that describes the search."),
    resume: bool = typer.Option(False, "--resume", help="Go on with this search; what is done is not done again."),
    as_json: bool = options.JSON,
) -> None:
    """Find bits for each layer within a budget of bytes, bits, operations or milliseconds."""
    from edgekit.cli import habits, screen

    with habits.workstation("search", "train"):
        from edgekit.search import search as find
    with screen.progress("search") as progress:
        result = find(recipe, resume=resume, progress=progress)
    value = result.to_json()
    screen.show(value, lambda: _draw(value), as_json)


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    rows = value["references"] + value["plans"]
    check = value["prediction"]
    report = os.path.join(value["out"], "report.html")
    facts: List[Any] = [
        ("budget", ", ".join("{} {:.10g}".format(name, limit) for name, limit in value["budget"].items())),
        ("layers", "{} searched".format(len(value["layers"]))),
        ("time", "{:.0f} s".format(sum(value["seconds"].values()))),
        ("report", report),
    ]
    if check["rank_correlation"] is not None:
        text = "rank correlation {:.2f} with {} random plans measured as a whole"
        facts.insert(2, ("prediction", text.format(check["rank_correlation"], len(check["measured"]))))
    parts: List[Any] = [screen.facts(facts, value["name"]), Text(""), _plans(rows), Text("")]
    if any(row["verified"] for row in rows):
        parts += [_verified(rows), Text("")]
    best = value["plans"][0]
    return Group(*(parts + [screen.next_step("edgekit train {}".format(best["recipe"]))]))


def _plans(rows: List[Dict[str, Any]]) -> Any:
    from edgekit.cli import screen

    cells = [
        (
            row["name"],
            "{:.3f}".format(row["costs"]["mean_bits"]),
            screen.size(row["costs"]["bytes"]),
            "{:.1f}".format(row["costs"]["gbops"]),
            _number(row["predicted"], "{:.4f}"),
            _number(row["measured"], "{:.4f}"),
            "yes" if row["within"] else "no",
        )
        for row in rows
    ]
    columns = ("plan", "mean bits", "weights", "GBOPs", "damage predicted", "measured", "within")
    return screen.table(columns, cells, "Plans, untrained")


def _verified(rows: List[Dict[str, Any]]) -> Any:
    from edgekit.cli import screen

    cells = []
    for row in rows:
        seen = row["verified"]
        if seen:
            scores, ms = seen["scores"], seen["ms"] or {}
            cells.append(
                (
                    row["name"],
                    _number(scores["AP"], "{:.4f}"),
                    _number(scores["AP50"], "{:.4f}"),
                    _number(scores["AP_small"], "{:.4f}"),
                    str(seen["epochs"]),
                    screen.size(seen["bundle_bytes"]),
                    _number(ms.get("p50"), "{:.2f}"),
                )
            )
    return screen.table(("plan", "AP", "AP50", "AP small", "epochs", "bundle", "ms p50"), cells, "Verified")


def _number(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)
