"""What `edgekit bench` draws on the terminal."""

from typing import Any, Dict, List

_SLOWEST = 8


def draw(result: Any, value: Dict[str, Any], bundle: str) -> Any:
    """The tables of a run.

    Args:
        result: a `BenchResult`.
        value: its `to_json`, with `written` (files) and `against` (a comparison or None).
        bundle: as it was named on the command line.
    """
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen
    from edgekit.cli.gate import gate_facts

    columns = ("milliseconds", "p50", "p90", "p99", "max", "share")
    parts: List[Any] = [
        Text(_machine_line(value), style="dim"),
        Text(""),
        screen.table(columns, result.rows(), _title(value)),
        Text(""),
        screen.facts(_summary(value)),
    ]
    if value["gate"]:
        title = "Woken by {file} ({lowering}, {input})".format(**value["gate"]["artifact"])
        parts += [Text(""), screen.facts(gate_facts(value["gate"]), title)]
    parts += [Text.assemble(("doubtful   ", "yellow"), warning) for warning in value["warnings"]]
    if value["layers"]:
        parts += [Text(""), _layer_table(value["layers"])]
    if value["vs"]:
        parts += [Text(""), _beside(value)]
    if value["against"]:
        parts += [Text(""), _against(value)]
    parts.append(Text(""))
    for name in value["written"]:
        parts.append(Text.assemble(("written  ", "dim"), name))
    if not value["written"]:
        parts += [screen.next_step("edgekit bench {} --html report.html -o bench.json".format(bundle))]
    return Group(*parts)


def _title(value: Dict[str, Any]) -> str:
    method = value["method"]
    return "{file} ({lowering}, {input}) on {source}, {policy}".format(
        source=method["source"], policy=method["policy"], **value["artifact"]
    )


def _machine_line(value: Dict[str, Any]) -> str:
    machine = value["machine"]
    mode, locked = machine.get("power_mode"), value["method"]["clocks_locked"]
    parts = [
        "edgekit {}".format(value["libraries"]["edgekit"]),
        machine["board"] or machine["cpu"],
        "{} cores".format(machine["cores"]),
        value["artifact"]["backend"],
        "{} threads".format(value["artifact"]["threads"]),
        "" if mode is None else "mode {}".format(mode["name"]),
        "clocks locked" if locked else "",
    ]
    return " · ".join(part for part in parts if part)


def _summary(value: Dict[str, Any]) -> List[Any]:
    memory, start, steady = value["memory_mb"], value["start"], value["steady"]
    drift = (
        ""
        if steady["drift"] is None
        else "; p50 later is {:.2f} times that of the first {:g} s".format(steady["drift"], steady["first_s"])
    )
    return [
        ("rate", "{:.1f} frames/s over {} frames, {} dropped{}".format(
            value["fps"], value["frames"], value["dropped"], drift)),
        ("frame age", "p50 {p50:.2f}, p99 {p99:.2f} ms".format(**value["frame_age_ms"])),
        ("start", "{open_ms:.0f} ms to open, {first_frame_ms:.1f} ms for the first frame".format(**start)),
        ("memory", _memory(memory, value["machine"]["memory_mib"])),
        ("power", _power(value["power"])),
        ("clocks", _clocks(value["clocks"])),
        ("heat", _heat(value["thermal"])),
    ]  # fmt: skip


def _memory(memory: Dict[str, Any], fitted_mib: int) -> str:
    growth, total = memory.get("growth_per_1000_frames"), memory["total"]
    parts = ["{:.0f} MB resident, {:.0f} MB at most".format(memory.get("end", 0), memory.get("peak", 0))]
    if "missing" not in total and total["method"] != "pss":
        board = " of {:.1f} GB".format(fitted_mib * 1.048576e-3) if fitted_mib else ""
        gpu = "" if not total["gpu"] else ", GPU {:.0f} MB".format(total["gpu"])
        parts.append("in all {:.0f} MB at most{} ({}{})".format(total["peak"], board, total["method"], gpu))
    if "device" in memory:
        parts.append("{:.0f} MB on the GPU".format(memory["device"]))
    if growth is not None:
        parts.append("{:+.2f} MB in 1000 frames".format(growth))
    return "; ".join(parts)


def _power(power: Dict[str, Any]) -> str:
    if "missing" in power:
        return "no power sensor: {}".format(power["missing"])
    parts = ["{} {:.2f} W mean".format(power["rail"], power["mean_w"])]
    if power["p99_w"] is not None:
        parts.append("{:.2f} W p99".format(power["p99_w"]))
    if power["j_per_frame"] is not None:
        parts.append("{} a frame".format(_energy(power["j_per_frame"])))
    if power["j_per_frame_above_idle"] is not None:
        parts.append("{} of it above idle ({:.2f} W)".format(_energy(power["j_per_frame_above_idle"]), power["idle_w"]))
    return ", ".join(parts)


def _energy(joules: float) -> str:
    return "{:.2f} J".format(joules) if abs(joules) >= 1 else "{:.1f} mJ".format(1e3 * joules)


def _clocks(clocks: Dict[str, Any]) -> str:
    parts = []
    for name, key in (("GPU", "gpu_mhz"), ("memory", "memory_mhz"), ("processor", "cpu_mhz")):
        clock = clocks.get(key, {"missing": ""})
        if "missing" in clock:
            continue
        steady = clock["min"] == clock["max"]
        spread = "" if steady else " ({:.0f} to {:.0f})".format(clock["min"], clock["max"])
        parts.append("{} {:.0f} MHz{}".format(name, clock["mean"], spread))
    load = clocks.get("gpu_load_percent")
    if load is not None:
        parts.append("GPU busy {:.0f} %".format(load["mean"]))
    return ", ".join(parts) or "not known: {}".format(clocks.get("cpu_mhz", {}).get("missing", "they were not read"))


def _heat(thermal: Dict[str, Any]) -> str:
    if "throttle" not in thermal:
        return "not known: {}".format(thermal["missing"])
    parts = ["not known: {}".format(thermal["missing"])] if "missing" in thermal else []
    if "hottest" in thermal:
        zone = thermal["zones_c"][thermal["hottest"]]
        parts.append("{} {:.0f} to {:.0f} C, {:.0f} C at most".format(
            thermal["hottest"], zone["start"], zone["end"], zone["max"]))  # fmt: skip
    for key, words in (("throttle", "throttle events"), ("over_current", "over-current events")):
        if "missing" not in thermal[key]:
            parts.append("{} {}".format(thermal[key]["events"], words))
    return ", ".join(parts)


def _layer_table(rows: List[Dict[str, Any]]) -> Any:
    from edgekit.cli import screen

    cells = [
        (row["name"], row["op"], "{:.3f}".format(row["averageMs"]), "{:.1f} %".format(row["percentage"]))
        for row in rows[1 : 1 + _SLOWEST]
    ]
    return screen.table(
        ("layer", "operator", "ms", "share"), cells, "Slowest layers of {}".format(len(rows) - 1), left=2
    )


def _beside(value: Dict[str, Any]) -> Any:
    from edgekit.cli import screen

    other = value["vs"]
    title = "{}: {} than {} ({})".format(
        value["artifact"]["file"], other["verdict"], other["artifact"]["file"], other["artifact"]["lowering"]
    )
    if other["verdict"].startswith("no "):
        title = "{} and {} ({}): {}".format(
            value["artifact"]["file"], other["artifact"]["file"], other["artifact"]["lowering"], other["verdict"]
        )
    return screen.table(
        ("stage", "times as fast", "95 % interval", "frames in turns"), _ratios(other["speedup"]), title
    )


def _against(value: Dict[str, Any]) -> Any:
    """This run beside an earlier one, with what makes that comparison doubtful."""
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    old = value["against"]
    verdict = old["verdict"] if old["verdict"].startswith("no ") else "{} now".format(old["verdict"])
    title = "Against the run of {}: {}".format(old["started"] or "an unknown time", verdict)
    cells = _ratios(old["speedup"])
    if old["j_per_frame"] is not None:
        cells.append(("energy", "{:.2f}".format(old["j_per_frame"]), "", ""))
    table = screen.table(("stage", "then over now", "95 % interval", "frames"), cells, title)
    return Group(table, *[Text.assemble(("doubtful  ", "yellow"), warning) for warning in old["warnings"]])


def _ratios(speedup: Dict[str, Any]) -> List[Any]:
    return [
        (stage, "{:.2f}".format(ratio["speedup"]), "{low:.2f} to {high:.2f}".format(**ratio), str(ratio["pairs"]))
        for stage, ratio in speedup.items()
    ]
