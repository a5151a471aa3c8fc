"""edgekit check: is this bundle whole, well formed, and does it find here what it found where it was made?"""

from typing import Any, Dict, Optional

from edgekit.cli import options


def check(
    bundle: str = options.BUNDLE,
    lowering: Optional[str] = options.LOWERING,
    threads: Optional[int] = options.THREADS,
    as_json: bool = options.JSON,
) -> None:
    """Verify hashes, the Q/DQ rules of each lowering, and the golden images on this machine."""
    from edgekit.bundle import open_bundle
    from edgekit.cli import screen
    from edgekit.runtime.detector import open_detector
    from edgekit.runtime.golden import check_golden, entry_counts

    opened = open_bundle(bundle)
    entries, size = entry_counts(opened)
    lint = _lint(opened)
    with open_detector(bundle, lowering=lowering, threads=threads, verify=False) as detector:
        with screen.progress("golden images") as progress:
            golden = check_golden(opened, detector, progress)
    value = {
        "bundle": bundle,
        "sha256": opened.sha256,
        "entries": {"count": entries, "bytes": size},
        "lint": lint,
        "golden": golden.to_json(),
    }
    screen.show(value, lambda: _draw(value), as_json)
    _gate_lint(lint)
    golden.gate()


def _lint(opened: Any) -> Dict[str, Any]:
    """Lowering -> its findings; or why there are none."""
    try:
        from edgekit.graph.lint import lint_bundle
    except (ImportError, SyntaxError) as error:
        return {"skipped": "needs pip install 'edgekit[export]' ({})".format(error), "lowerings": {}}
    return {"skipped": None, "lowerings": lint_bundle(opened)}


def _gate_lint(lint: Dict[str, Any]) -> None:
    from edgekit.errors import GateError

    found = [(name, rows[0]) for name, rows in lint["lowerings"].items() if rows]
    if found:
        name, first = found[0]
        raise GateError(
            "{}: node {} breaks rule {}: {}; {}".format(
                name, first["node"], first["rule"], first["message"], first["cure"]
            )
        )


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    golden = value["golden"]
    total = golden["total"]
    good, bad = Text("good", style="green"), Text("bad", style="red")
    entries = "{} entries, {}, every hash matches".format(
        value["entries"]["count"], screen.size(value["entries"]["bytes"])
    )
    rows = [("hashes", Text.assemble(good, "  ", entries))]
    if value["lint"]["skipped"]:
        rows.append(("Q/DQ rules", Text("skipped: " + value["lint"]["skipped"], style="yellow")))
    for name, found in value["lint"]["lowerings"].items():
        rows.append(("Q/DQ " + name, Text.assemble(bad, "  {} findings".format(len(found))) if found else good))
    if not golden["images"]:
        rows.append(("golden", Text("none inside", style="yellow")))
    else:
        text = (
            "{} images with {} on {}: {} boxes matched, {} missing, {} extra, score within {:.4f}, box within {:.2f} px"
        )
        shown = text.format(
            len(golden["images"]), golden["lowering"], golden["backend"], total["matched"], total["missing"],
            total["extra"], total["max_dscore"], total["max_dbox_px"],
        )  # fmt: skip
        rows.append(("golden", Text.assemble(good if golden["passed"] else bad, "  ", shown)))
    return Group(screen.facts(rows, value["bundle"]))
