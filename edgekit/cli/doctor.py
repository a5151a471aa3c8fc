"""edgekit doctor: what this machine is and what it can run."""

from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options


def doctor(
    explain: Optional[str] = typer.Option(
        None, "--explain", metavar="LOG", help="Name the known failures in a log file, with cause and cure."
    ),
    as_json: bool = options.JSON,
) -> None:
    """What this machine is, and what it can run."""
    from edgekit.cli import screen

    if explain is not None:
        _explain(explain, as_json)
        return
    from edgekit.runtime.doctor import examine

    value = examine()
    screen.show(value, lambda: _draw(value), as_json)


def _explain(log: str, as_json: bool) -> None:
    from edgekit.cli import screen
    from edgekit.runtime.failures import explain

    found = [{"line": f.line, "text": f.text, "cause": f.failure.cause, "cure": f.failure.cure} for f in explain(log)]
    screen.show({"log": log, "failures": found}, lambda: _draw_failures(log, found), as_json)


def _draw_failures(log: str, found: List[Dict[str, Any]]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    if not found:
        return Text("{}: no line of it is a failure that edgekit knows".format(log))
    blocks: List[Any] = []
    for item in found:
        blocks.append(Text("{}:{}".format(log, item["line"]), style="bold"))
        blocks.append(screen.facts([("seen", item["text"][:200]), ("cause", item["cause"]), ("cure", item["cure"])]))
        blocks.append(Text(""))
    return Group(*blocks[:-1])


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    blocks: List[Any] = []
    for title, rows in (
        ("This machine", _machine_rows(value)),
        ("GPU", _gpu_rows(value)),
        ("Libraries", _library_rows(value)),
        ("What it can run", _ability_rows(value)),
    ):
        blocks += [screen.facts(rows, title), Text("")]
    return Group(*blocks, *_advice_lines(value["advice"]))


def _advice_lines(advice: List[Dict[str, str]]) -> List[Any]:
    from rich.padding import Padding
    from rich.text import Text

    if not advice:
        return [Text("Nothing is in the way.", style="green")]
    lines: List[Any] = [Text("In the way", style="bold")]
    for item in advice:
        lines.append(Padding(Text(item["problem"], style="yellow"), (0, 0, 0, 2)))
        # Never broken into lines: it is there to be copied.
        lines.append(Text("    cure: " + item["cure"], no_wrap=True, overflow="ignore"))
    return lines


def _machine_rows(value: Dict[str, Any]) -> List[Any]:
    machine, jetson = value["machine"], value["jetson"]
    rows = [
        ("processor", machine["cpu"]),
        ("cores", "{}, {} threads for this process".format(machine["cores"], machine["threads"])),
        ("features", "{}: {}".format(machine["arch"], " ".join(machine["features"]) or "no known int8 kernels")),
        ("memory", _memory(value["memory"])),
        ("system", machine["system"]),
        ("python", "{}  {}".format(machine["python"], value["executable"])),
        ("edgekit", value["edgekit"]),
    ]
    if jetson is not None:
        rows.insert(
            0, ("software", "JetPack {} (L4T {})".format(jetson["jetpack"] or "?", jetson["l4t"] or "not shown"))
        )
        rows.insert(0, ("board", ", ".join(part for part in (jetson["model"], jetson["module"]) if part)))
    elif machine["board"]:
        rows.insert(0, ("board", machine["board"]))
    return rows


def _memory(memory: Dict[str, Any]) -> str:
    total, free = memory["total_mib"], memory["available_mib"]
    parts = ["unknown" if total is None else "{:.1f} GiB".format(total / 1024.0)]
    if free is not None:
        parts.append("{:.1f} GiB free".format(free / 1024.0))
    swaps = ["{:.1f} GiB {}".format(swap["size_mib"] / 1024.0, swap["kind"]) for swap in memory["swaps"]]
    parts.append("swap: {}".format(" and ".join(swaps)) if swaps else "no swap")
    if memory["desktop"]:
        parts.append("a desktop runs ({})".format(memory["desktop"]))
    return ", ".join(parts)


def _gpu_rows(value: Dict[str, Any]) -> List[Any]:
    tensorrt, profile = value["tensorrt"], value["profile"]
    rows: List[Any] = []
    if profile is not None:
        int8 = "INT8" if profile["int8"] else "no INT8"
        rows.append(("profile", "{}: {}, sm_{}, {}".format(profile["name"], profile["title"], profile["sm"], int8)))
    if value["power_mode"] is not None:
        rows.append(("power mode", value["power_mode"]["message"]))
    if value["gpu"] is not None:
        rows.append(("clocks", _clocks(value["gpu"])))
    if tensorrt["dla"] is not None:
        rows.append(("DLA", tensorrt["dla"]))
    if tensorrt["library"] is not None:
        rows.append((tensorrt["library"], "{version} of {origin}, {path}".format(**tensorrt)))
    if tensorrt["lowerings"]:
        with_what = "{} {}".format(tensorrt["library"] or "TensorRT", tensorrt["version"] or tensorrt["expected"])
        rows.append(("lowerings", "{} (with {})".format(", then ".join(tensorrt["lowerings"]), with_what)))
    rows.append(("state", "ready" if tensorrt["obstacle"] is None else "not used: " + tensorrt["obstacle"]))
    return rows


def _clocks(gpu: Dict[str, Any]) -> str:
    parts = ["GPU not shown"]
    if gpu["now_mhz"] is not None:
        parts = ["GPU {:.0f} MHz".format(gpu["now_mhz"])]
        if gpu["max_mhz"] is not None:
            parts[0] += " of at most {:.0f}".format(gpu["max_mhz"])
    if gpu["sm_count"] is not None:
        parts.append("{} multiprocessors".format(gpu["sm_count"]))
    if gpu["load"] is not None:
        parts.append("{:.0%} busy".format(gpu["load"]))
    memory = "memory {:.0f} MHz".format(gpu["emc_mhz"]) if gpu["emc_mhz"] is not None else "memory clock for root only"
    return ", ".join(parts + [memory])


def _library_rows(value: Dict[str, Any]) -> List[Any]:
    from rich.text import Text

    rows: List[Any] = []
    for name, version in value["libraries"].items():
        if name == "cv2":
            rows.append((name, _opencv(value["video"])))
        else:
            rows.append((name, version or Text("not installed", style="dim")))
    rows.append(("native library", _native(value["native"])))
    return rows


def _native(native: Dict[str, Any]) -> str:
    if native["path"] is None:
        return "none, NumPy and OpenCV do its work: {}".format(native["problem"])
    parts = ["{} kernels".format(native["kernels"]), native["path"]]
    return ", ".join(parts + ([native["problem"]] if native["problem"] else []))


def _opencv(video: Dict[str, Any]) -> str:
    if video["opencv"] is None:
        return "cannot be imported: {}".format(video["problem"])
    parts: List[Any] = [
        video["opencv"],
        "FFmpeg" if video["ffmpeg"] else "no FFmpeg",
        "GStreamer" if video["gstreamer"] else "no GStreamer (CSI and RTSP cameras need it)",
        "windows" if video["window"] else "no windows (--save and --jsonl work)",
    ]
    return ", ".join(parts)


def _ability_rows(value: Dict[str, Any]) -> List[Any]:
    from rich.text import Text

    from edgekit.cli import screen

    runs, processor, cache = value["runs"], value["runs_on_processor"], value["cache"]
    rows = [
        ("backend", runs["backend"] or Text("none", style="red")),
        ("lowerings", ", then ".join(runs["lowerings"]) or "none"),
        ("because", runs["why"]),
    ]
    if runs != processor:
        with_cpu = "{}: {}".format(processor["backend"], ", then ".join(processor["lowerings"]))
        rows.append(("with --device cpu", with_cpu if processor["backend"] else processor["why"]))
    rows.append(
        (
            "cache",
            "{} ({}{})".format(
                cache["folder"], screen.size(cache["bytes"]), "" if cache["writable"] else ", cannot be written"
            ),
        )
    )
    for row in value["extras"]:
        state = Text("ready", style="green")
        if row["missing"]:
            state = Text("needs {}:  {}".format(", ".join(row["missing"]), row["install"]), style="yellow")
        rows.append((row["verbs"], state))
    return rows
