"""edgekit check: is this bundle whole, well formed, and does it find here what it found where it was made?"""

from typing import Any, Dict, List, Optional, Tuple

import typer

from edgekit.cli import options


def check(
    bundle: str = typer.Argument(
        ..., metavar="FILE", help="An .ekb bundle; or an .onnx graph, whose Q/DQ rules alone are checked."
    ),
    lowering: Optional[str] = typer.Option(
        None, "--lowering", metavar="NAME", help="Graph that runs the golden images; of an .onnx, what it is for."
    ),
    precision: Optional[int] = options.PRECISION,
    device: str = options.DEVICE,
    threads: Optional[int] = options.THREADS,
    as_json: bool = options.JSON,
) -> None:
    """Verify hashes, the Q/DQ rules of each lowering, and the golden images on this machine."""
    from edgekit.bundle import open_bundle
    from edgekit.cli import screen
    from edgekit.runtime.detector import open_detector
    from edgekit.runtime.golden import check_golden, entry_counts

    if bundle.endswith(".onnx"):
        _check_graph(bundle, lowering, as_json)
        return
    opened = open_bundle(bundle, precision=precision)
    entries, size = entry_counts(opened)
    lint = _lint(opened)
    with open_detector(bundle, lowering, threads, verify=False, device=device, precision=opened.precision) as detector:
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


def _check_graph(path: str, target: Optional[str], as_json: bool) -> None:
    """The linter alone, for a plain ONNX file."""
    from edgekit.cli import habits, screen
    from edgekit.errors import ConfigError

    with habits.workstation("check a graph", "export"):
        from edgekit.graph.lint import TARGETS
        from edgekit.graph.lint import lint as findings_of
    if target is None:
        raise ConfigError("say what {} is for with --lowering: {}".format(path, ", ".join(TARGETS)))
    found = [finding.to_json() for finding in findings_of(_read_graph(path), target)]
    lint = {"skipped": None, "lowerings": {target: found}}
    screen.show({"graph": path, "lint": lint}, lambda: _draw_lint(lint), as_json)
    _gate_lint(lint)


def _read_graph(path: str) -> Any:
    import onnx_ir

    from edgekit.errors import ModelError

    try:
        return onnx_ir.load(path)
    except Exception as error:  # protobuf's and the file system's faults have no common base
        text = "cannot read {} as ONNX ({}: {}); check the path, or export the file again"
        raise ModelError(text.format(path, type(error).__name__, error)) from error


def _lint(opened: Any) -> Dict[str, Any]:
    """Lowering -> its findings; or why there are none."""
    try:
        from edgekit.graph.lint import lint_bundle
    except (ImportError, SyntaxError) as error:
        return {"skipped": "needs pip install 'edgekit[export]' ({})".format(error), "lowerings": {}}
    return {"skipped": None, "lowerings": lint_bundle(opened)}


def _gate_lint(lint: Dict[str, Any]) -> None:
    from edgekit.errors import GateError

    found = [(name, row) for name, rows in lint["lowerings"].items() for row in rows]
    if found:
        name, first = min(found, key=lambda one: _rank(one[1]))
        raise GateError("{}: node {node} breaks rule {rule} ({severity}): {message}; {cure}".format(name, **first))


def _rank(finding: Dict[str, str]) -> int:
    """0 for what a backend refuses, more for what is less grave."""
    return ("refused", "accuracy", "slow").index(finding["severity"])


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    golden = value["golden"]
    hashes = "{count} entries, {size}, every hash matches".format(
        count=value["entries"]["count"], size=screen.size(value["entries"]["bytes"])
    )
    rows: List[Any] = [("hashes", Text.assemble(_verdict(True), "  ", hashes))]
    rows.append(("golden", Text.assemble(_verdict(golden["passed"]), "  ", _golden_line(golden))))
    if not golden["images"]:
        rows[-1] = ("golden", Text("none inside", style="yellow"))
    return Group(screen.facts(rows, value["bundle"]), _draw_lint(value["lint"]))


def _golden_line(golden: Dict[str, Any]) -> str:
    text = "{} images with {lowering} on {backend}: ".format(len(golden["images"]), **golden)
    counts = "{matched} boxes matched, {missing} missing, {extra} extra, score within {max_dscore:.4f}, "
    return text + (counts + "box within {max_dbox_px:.2f} px").format(**golden["total"])


def _draw_lint(lint: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    if lint["skipped"]:
        return screen.facts([("rules ", Text("skipped: " + lint["skipped"], style="yellow"))])
    clean = [name for name, found in lint["lowerings"].items() if not found]
    rows = [("rules ", Text.assemble(_verdict(True), "  ", ", ".join(clean)))] if clean else []
    parts: List[Any] = [screen.facts(rows)] if rows else []
    for name, found in lint["lowerings"].items():
        if found:
            title = "{}: {} findings, the first of each rule; --json lists all".format(name, len(found))
            columns = ("rule", "severity", "times", "node", "what it leads to", "cure")
            parts += [Text(""), screen.table(columns, _by_rule(found), title, left=6)]
    return Group(*parts)


def _by_rule(found: List[Dict[str, str]]) -> List[Tuple[str, ...]]:
    """One row a rule and severity, worst first: how often it is broken, and the first finding."""
    first: Dict[Tuple[str, str], Dict[str, str]] = {}
    for finding in sorted(found, key=_rank):
        first.setdefault((finding["rule"], finding["severity"]), finding)
    times = {key: sum((f["rule"], f["severity"]) == key for f in found) for key in first}
    return [key + (str(times[key]), f["node"], f["message"], f["cure"]) for key, f in first.items()]


def _verdict(good: bool) -> Any:
    from rich.text import Text

    return Text("good", style="green") if good else Text("bad", style="bold red")
