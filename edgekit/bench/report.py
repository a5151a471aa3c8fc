"""A bench result as one HTML file to read: no scripts, nothing loaded from elsewhere."""

import os
from typing import Any, Dict, List, Sequence, Tuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edgekit.bench import svg
from edgekit.bench.layers import by_operator
from edgekit.bench.record import LABELS, STAGES, BenchResult
from edgekit.files import PathLike, atomic_write

_TEMPLATE = "report.html.j2"
_TOP_LAYERS = 15
_TOP_OPERATORS = 10
_NOT_KEPT = "not in this result"
# what a supply line feeds, or whose clock it is -> colour
_PART_CSS = {"total": "end_to_end", "gpu": "infer", "cpu+gpu": "infer", "cpu": "postprocess", "soc": "memory"}
_CLOCKS = {"gpu_mhz": ("GPU", "infer"), "memory_mhz": ("memory", "memory"), "cpu_mhz": ("processor", "postprocess")}


def write_report(result: BenchResult, path: PathLike) -> None:
    """Write `result` as one HTML file.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with atomic_write(path, "w") as stream:
        stream.write(render(result.to_json()))


def render(value: Dict[str, Any]) -> str:
    """The HTML of a result as `BenchResult.to_json` gives it, raw samples included."""
    environment = Environment(
        loader=FileSystemLoader(os.path.dirname(os.path.abspath(__file__))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = _ms
    environment.filters["size"] = _size
    environment.filters["joules"] = _joules
    text: str = environment.get_template(_TEMPLATE).render(
        result=value,
        vs=value["vs"],
        stages=STAGES,
        labels=LABELS,
        top_layers=_top_layers(value),
        operators=by_operator(value["layers"])[:_TOP_OPERATORS] if value["layers"] else [],
        plots=_plots(value),
        legends={"power": _rails(value), "clocks": _clocks(value)},
        missed=_worst_frames(value),
        # a result that an older edgekit has saved lacks them
        power=value.get("power", {"missing": _NOT_KEPT}),
        thermal=value.get("thermal", {"missing": _NOT_KEPT}),
        clocks=value.get("clocks", {}),
        footprint=value["memory_mb"].get("total", {"missing": _NOT_KEPT}),
        warnings=value.get("warnings", []),
        gate=value.get("gate"),
    )
    return text


def _ms(value: float) -> str:
    """Milliseconds with about three digits."""
    if value >= 100:
        return "{:.0f}".format(value)
    return "{:.1f}".format(value) if value >= 10 else "{:.2f}".format(value)


def _size(count: float) -> str:
    """Bytes for people."""
    return "{:.2f} MB".format(count / 1e6) if count >= 1e6 else "{:.0f} kB".format(count / 1e3)


def _joules(value: float) -> str:
    """Energy for people."""
    return "{:.2f} J".format(value) if abs(value) >= 1 else "{:.1f} mJ".format(1e3 * value)


def _plots(value: Dict[str, Any]) -> Dict[str, Markup]:
    samples = value["samples"]
    plots = {
        "share": svg.share_bar(
            [(LABELS[stage], stage, value["stages"][stage]["mean"]) for stage in STAGES[:-1] if _used(value, stage)]
        ),
        "timeline": svg.timeline(_timeline(value), _rules(value), "seconds", "end to end, ms"),
        "cumulative": svg.cumulative(
            [svg.Series(LABELS[stage], stage, (), samples["stages"][stage]) for stage in STAGES if _used(value, stage)],
            "milliseconds, logarithmic",
        ),
    }
    if samples["memory_mb"]:
        frame, rss = zip(*samples["memory_mb"])
        plots["memory"] = svg.curves(
            [svg.Series("resident memory", "memory", frame, rss)], "frame, warm-up included", "MB", height=180
        )
    for name, series, unit in (("power", _rails(value), "watts"), ("clocks", _clocks(value), "MHz")):
        if series:
            plots[name] = svg.curves(series, "seconds", unit, height=190)
    return {name: Markup(text) for name, text in plots.items()}


def _rails(value: Dict[str, Any]) -> List[svg.Series]:
    """Power of each supply line over the run, the whole board's first; none where it is not known."""
    rails = value.get("power", {}).get("rails", {})
    points = value["samples"].get("power_w", {})
    return [
        svg.Series(label, _PART_CSS.get(rails[label]["part"], "track"), *zip(*points[label]))
        for label in rails
        if len(points.get(label, [])) > 1
    ]


def _clocks(value: Dict[str, Any]) -> List[svg.Series]:
    points = value["samples"].get("clocks_mhz", {})
    return [
        svg.Series(label, css, *zip(*points[key]))
        for key, (label, css) in _CLOCKS.items()
        if len(points.get(key, [])) > 1
    ]


def _used(value: Dict[str, Any], stage: str) -> bool:
    return bool(value["stages"][stage]["max"] > 0)


def _timeline(value: Dict[str, Any]) -> List[svg.Series]:
    series = [_end_to_end(value, "this", value["artifact"]["file"])]
    if value["vs"]:
        series.append(_end_to_end(value["vs"], "other", value["vs"]["artifact"]["file"]))
    return series


def _end_to_end(lane: Dict[str, Any], css: str, label: str) -> svg.Series:
    return svg.Series(label, css, lane["samples"]["t_s"], lane["samples"]["stages"]["end_to_end"])


def _rules(value: Dict[str, Any]) -> Sequence[svg.Rule]:
    found = value["stages"]["end_to_end"]
    return [svg.Rule("p50 " + _ms(found["p50"]), found["p50"]), svg.Rule("p99 " + _ms(found["p99"]), found["p99"])]


def _top_layers(value: Dict[str, Any]) -> List[Dict[str, Any]]:
    rows: List[Dict[str, Any]] = value["layers"][1 : 1 + _TOP_LAYERS]
    return rows


def _worst_frames(value: Dict[str, Any]) -> List[Tuple[float, float, str, float]]:
    """The three slowest frames: (seconds, milliseconds, the stage that was longest over its median, by how much)."""
    samples = value["samples"]
    whole = samples["stages"]["end_to_end"]
    worst = sorted(range(len(whole)), key=lambda index: -whole[index])[:3]
    out = []
    for index in worst:
        excess = {stage: samples["stages"][stage][index] - value["stages"][stage]["p50"] for stage in STAGES[:-1]}
        stage = max(excess, key=lambda name: excess[name])
        out.append((samples["t_s"][index], whole[index], LABELS[stage], excess[stage]))
    return out
