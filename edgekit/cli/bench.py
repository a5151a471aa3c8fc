"""edgekit bench: what every frame costs, stage by stage."""

from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options

_SLOWEST = 8


def bench(
    bundle: str = options.BUNDLE,
    source: Optional[str] = typer.Option(
        None, "--source", metavar="SOURCE", help="Frames, as for run; default: a rendered 1280x720 flight."
    ),
    vs: Optional[str] = typer.Option(None, "--vs", metavar="OTHER", help="Another bundle, in turns on each frame."),
    frames: int = typer.Option(300, "--frames", metavar="N", min=1, help="Frames that count."),
    seconds: Optional[float] = typer.Option(
        None, "--seconds", metavar="S", min=0.1, help="Stop after this time, if it is sooner."
    ),
    warmup: int = typer.Option(20, "--warmup", metavar="N", min=0, help="Frames before the first that counts."),
    policy: Optional[str] = options.POLICY,
    track: str = options.TRACK,
    conf: Optional[float] = options.CONF,
    lowering: Optional[str] = options.LOWERING,
    threads: Optional[int] = options.THREADS,
    device: str = options.DEVICE,
    layers: bool = typer.Option(True, "--layers/--no-layers", help="Time each layer too, in a pass of its own."),
    output: Optional[str] = typer.Option(None, "-o", "--output", metavar="FILE", help="Write all samples as JSON."),
    html: Optional[str] = typer.Option(None, "--html", metavar="FILE", help="Write a report to look at, one file."),
    export_times: Optional[str] = typer.Option(None, "--export-times", metavar="FILE", help="As trtexec's."),
    export_profile: Optional[str] = typer.Option(None, "--export-profile", metavar="FILE", help="As trtexec's."),
    max_p99_ms: Optional[float] = typer.Option(
        None, "--max-p99-ms", metavar="MS", help="Exit with 3 if p99 from capture to result is above this, ms."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Latency of each stage, memory, layers; two bundles against each other."""
    from edgekit.bench import DEFAULT_SOURCE, BenchConfig
    from edgekit.bench import bench as measure
    from edgekit.cli import screen

    config = BenchConfig(
        source=source or DEFAULT_SOURCE,
        frames=frames,
        seconds=seconds,
        warmup=warmup,
        policy=policy,
        tracker=None if track == "none" else track,
        conf=conf,
        lowering=lowering,
        threads=threads,
        device=device,
        layers=layers,
    )
    with screen.progress("measure") as progress:
        result = measure(bundle, vs, config, progress)
    written = _write(result, output, html, export_times, export_profile)
    value = dict(result.to_json(raw=False), written=written)
    screen.show(value, lambda: _draw(result, value, bundle), as_json)
    result.check_gate(max_p99_ms)


def _write(
    result: Any, output: Optional[str], html: Optional[str], times: Optional[str], profile: Optional[str]
) -> List[str]:
    """Write what was asked for; the names of the files."""
    import json

    from edgekit.files import atomic_write

    if output:
        result.write(output)
    if html:
        from edgekit.bench.report import write_report

        write_report(result, html)
    for path, rows in ((times, result.trace), (profile, lambda: result.lane.layers)):
        if path:
            with atomic_write(path, "w") as stream:
                json.dump(rows(), stream, indent=1)
    return [path for path in (output, html, times, profile) if path]


def _draw(result: Any, value: Dict[str, Any], bundle: str) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    columns = ("milliseconds", "p50", "p90", "p99", "max", "share")
    parts: List[Any] = [
        Text(_machine_line(value), style="dim"),
        Text(""),
        screen.table(columns, result.rows(), _title(value)),
        Text(""),
        screen.facts(_summary(value)),
    ]
    if value["layers"]:
        parts += [Text(""), _layer_table(value["layers"])]
    if value["vs"]:
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
    return "edgekit {} · {} · {} cores · {} · {} threads".format(
        value["libraries"]["edgekit"],
        machine["board"] or machine["cpu"],
        machine["cores"],
        value["artifact"]["backend"],
        value["artifact"]["threads"],
    )


def _summary(value: Dict[str, Any]) -> List[Any]:
    memory, start, steady = value["memory_mb"], value["start"], value["steady"]
    growth = memory.get("growth_per_1000_frames")
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
        ("memory", "{:.0f} MB, {:.0f} MB at most{}".format(
            memory.get("end", 0), memory.get("peak", 0),
            "" if growth is None else ", {:+.2f} MB in 1000 frames".format(growth))),
    ]  # fmt: skip


def _layer_table(rows: List[Dict[str, Any]]) -> Any:
    from edgekit.cli import screen

    cells = [
        (row["name"], row["op"], "{:.3f}".format(row["averageMs"]), "{:.1f} %".format(row["percentage"]))
        for row in rows[1 : 1 + _SLOWEST]
    ]
    return screen.table(
        ("layer", "operator", "ms", "share"), cells, "Slowest layers of {}".format(len(rows) - 1), left=2
    )


def _against(value: Dict[str, Any]) -> Any:
    from edgekit.cli import screen

    other = value["vs"]
    cells = []
    for stage, ratio in other["speedup"].items():
        interval = "{low:.2f} to {high:.2f}".format(**ratio)
        cells.append((stage, "{:.2f}".format(ratio["speedup"]), interval, str(ratio["pairs"])))
    title = "{}: {} than {} ({})".format(
        value["artifact"]["file"], other["verdict"], other["artifact"]["file"], other["artifact"]["lowering"]
    )
    if other["verdict"].startswith("no "):
        title = "{} and {} ({}): {}".format(
            value["artifact"]["file"], other["artifact"]["file"], other["artifact"]["lowering"], other["verdict"]
        )
    return screen.table(("stage", "times as fast", "95 % interval", "frames in turns"), cells, title)
