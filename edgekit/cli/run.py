"""edgekit run: detect in a video, a folder, a camera or a rendered flight."""

from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options

_STAGES = (
    ("queue", "wait in queue"),
    ("gate", "gate"),
    ("preprocess", "preprocess"),
    ("infer", "infer"),
    ("postprocess", "postprocess"),
    ("track", "track"),
)


def run(
    bundle: str = options.BUNDLE,
    source: Optional[str] = typer.Argument(
        None, metavar="SOURCE", help="Video, image folder, camera (0, /dev/video0, csi://0), rtsp://…, synth://?seed=3."
    ),
    sinks: Optional[List[str]] = typer.Argument(
        None, metavar="SINK", help="More outputs: .mp4, .avi, .jsonl, display://."
    ),
    source_option: Optional[str] = typer.Option(None, "--source", metavar="SOURCE", help="The same as SOURCE."),
    save: Optional[str] = typer.Option(None, "--save", metavar="FILE", help="Write a video with the boxes drawn in."),
    jsonl: Optional[str] = typer.Option(None, "--jsonl", metavar="FILE", help="Write one JSON line a frame."),
    show: bool = typer.Option(False, "--show", help="Open a window."),
    track: str = options.TRACK,
    conf: Optional[float] = options.CONF,
    iou: Optional[float] = options.IOU,
    max_det: Optional[int] = options.MAX_DET,
    policy: Optional[str] = options.POLICY,
    gate: Optional[str] = options.GATE,
    gate_conf: Optional[float] = options.GATE_CONF,
    gate_hold: Optional[int] = options.GATE_HOLD,
    gate_every: Optional[int] = options.GATE_EVERY,
    frames: Optional[int] = typer.Option(None, "--frames", metavar="N", min=1, help="Stop after so many frames."),
    deadline_ms: Optional[float] = typer.Option(
        None, "--deadline-ms", metavar="MS", min=0.0, help="Say STALE when no result came for so long."
    ),
    lowering: Optional[str] = options.LOWERING,
    precision: Optional[int] = options.PRECISION,
    half: bool = typer.Option(False, "--half", help="The same as --lowering fp16."),
    imgsz: Optional[int] = options.IMGSZ,
    device: str = options.DEVICE,
    threads: Optional[int] = options.THREADS,
    as_json: bool = options.JSON,
) -> None:
    """Detect and track in real time; boxes to video, JSON lines or a window."""
    from contextlib import ExitStack

    from edgekit.cli import guard, habits, screen
    from edgekit.cli.gate import gate_options
    from edgekit.errors import ConfigError
    from edgekit.runtime.detector import open_detector
    from edgekit.runtime.gate import open_gate
    from edgekit.runtime.loop import RunOptions
    from edgekit.runtime.loop import run as fly
    from edgekit.runtime.sinks import open_sink
    from edgekit.runtime.sources import open_source
    from edgekit.runtime.tracking import open_tracker

    named = source_option or source
    if named is None:
        raise ConfigError("name a SOURCE: edgekit run {} flight.mp4, or synth:// for a rendered flight".format(bundle))
    outputs = [name for name in (save, jsonl, "display://" if show else None) if name] + list(sinks or [])
    if source_option and source:
        outputs.append(source)
    when = gate_options(gate, gate_conf, gate_hold, gate_every)
    opened_sinks = [open_sink(name) for name in outputs]
    tracker = None if track == "none" else open_tracker(track)
    wanted = lowering or ("fp16" if half else None)
    with ExitStack() as stack:
        detector = stack.enter_context(open_detector(bundle, wanted, threads, device=device, precision=precision))
        opened_gate = None if gate is None else stack.enter_context(open_gate(gate, when))
        habits.check_imgsz(imgsz, detector.preprocess.height, detector.preprocess.width)
        detector.decode = habits.with_thresholds(detector.decode, iou, max_det)
        pairs = detector.preprocess.pairs
        with open_source(named, policy, pairs=pairs) as stream, screen.progress("frames") as progress:
            total = frames or stream.source.frame_count or 0
            summary = fly(
                detector,
                stream,
                opened_sinks,
                tracker,
                RunOptions(conf, None if deadline_ms is None else deadline_ms / 1000.0, frames),
                on_record=lambda record: progress(record.index + 1, total, "frames") if total else None,
                gate=opened_gate,
            )
        value = dict(
            screen.rounded(summary.to_json()),
            bundle=bundle,
            source=named,
            lowering=detector.lowering,
            precision=detector.precision,
            backend=detector.session.backend,
            policy=stream.policy,
            track=track,
            gate=gate,
            written=[name for name in outputs if "://" not in name],
        )
    screen.show(value, lambda: _draw(value), as_json)
    if value["ended"] == "interrupted":
        guard.complain("interrupted: what was written is whole")
        raise typer.Exit(guard.INTERRUPTED)


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen
    from edgekit.cli.gate import gate_facts

    stages = value["stages_ms"]
    rows = [_row(label, stages[stage]) for stage, label in _STAGES if stage in stages]
    rows.append(_row("capture to result", value["latency_ms"]))
    line = (
        "{frames} frames in {seconds:.1f} s, {fps:.1f} frames/s, {dropped} dropped ({policy}), {lowering} on {backend}"
    )
    parts: List[Any] = [
        screen.table(("milliseconds", "p50", "p90", "p99", "max"), rows, "{bundle} on {source}".format(**value)),
        Text(""),
        Text(line.format(**value)),
    ]
    if value["wake"]:
        parts.append(screen.facts(gate_facts(value["wake"])))
        parts += [Text.assemble(("doubtful   ", "yellow"), doubt) for doubt in value["wake"]["doubts"]]
    if value["stale"]:
        parts.append(Text("{} times no result within the deadline".format(value["stale"]), style="yellow"))
    for name in value["written"]:
        parts.append(Text.assemble(("written  ", "dim"), name))
    following = "edgekit bench {} --source {}".format(value["bundle"], value["source"])
    return Group(*(parts + [Text(""), screen.next_step(following)]))


def _row(name: str, spread: Dict[str, float]) -> List[str]:
    return [name] + ["{:.2f}".format(spread[key]) for key in ("p50", "p90", "p99", "max")]
