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

    return Group(
        screen.facts(_machine_rows(value), "This machine"),
        Text(""),
        screen.facts(_library_rows(value), "Libraries"),
        Text(""),
        screen.facts(_ability_rows(value), "What it can run"),
    )


def _machine_rows(value: Dict[str, Any]) -> List[Any]:
    machine = value["machine"]
    rows = [
        ("processor", machine["cpu"]),
        ("cores", "{}, {} threads for this process".format(machine["cores"], machine["threads"])),
        ("features", "{}: {}".format(machine["arch"], " ".join(machine["features"]) or "no known int8 kernels")),
        ("memory", "{:.1f} GiB".format(machine["memory_mib"] / 1024.0)),
        ("system", machine["system"]),
        ("python", "{}  {}".format(machine["python"], value["executable"])),
        ("edgekit", value["edgekit"]),
    ]
    if machine["board"]:
        rows.insert(0, ("board", "{}, L4T {}".format(machine["board"], value["l4t"] or "unknown")))
    return rows


def _library_rows(value: Dict[str, Any]) -> List[Any]:
    from rich.text import Text

    rows: List[Any] = []
    for name, version in value["libraries"].items():
        if name == "cv2":
            rows.append((name, _opencv(value["video"])))
        else:
            rows.append((name, version or Text("not installed", style="dim")))
    return rows


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

    runs, cache = value["runs"], value["cache"]
    rows = [
        ("backend", runs["backend"] or Text("none", style="red")),
        ("lowerings", ", then ".join(runs["lowerings"]) or "none"),
        ("because", runs["why"]),
        (
            "cache",
            "{} ({}{})".format(
                cache["folder"], screen.size(cache["bytes"]), "" if cache["writable"] else ", cannot be written"
            ),
        ),
    ]
    for row in value["extras"]:
        state = Text("ready", style="green")
        if row["missing"]:
            state = Text("needs {}:  {}".format(", ".join(row["missing"]), row["install"]), style="yellow")
        rows.append((row["verbs"], state))
    return rows
