"""edgekit bench: what every frame costs, stage by stage."""

from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options


def bench(
    bundle: str = options.BUNDLE,
    source: Optional[str] = typer.Option(
        None, "--source", metavar="SOURCE", help="Frames, as for run; default: a rendered 1280x720 flight."
    ),
    vs: Optional[str] = typer.Option(None, "--vs", metavar="OTHER", help="Another bundle, in turns on each frame."),
    against: Optional[str] = typer.Option(
        None, "--against", metavar="OLD.json", help="Compare with an earlier result (-o) of the same bundle."
    ),
    frames: int = typer.Option(300, "--frames", metavar="N", min=1, help="Frames that count."),
    seconds: Optional[float] = typer.Option(
        None, "--seconds", metavar="S", min=0.1, help="Stop after this time, if it is sooner."
    ),
    warmup: int = typer.Option(20, "--warmup", metavar="N", min=0, help="Frames before the first that counts."),
    policy: Optional[str] = options.POLICY,
    gate: Optional[str] = options.GATE,
    gate_conf: Optional[float] = options.GATE_CONF,
    gate_hold: Optional[int] = options.GATE_HOLD,
    gate_every: Optional[int] = options.GATE_EVERY,
    track: str = options.TRACK,
    conf: Optional[float] = options.CONF,
    lowering: Optional[str] = options.LOWERING,
    threads: Optional[int] = options.THREADS,
    precision: Optional[int] = options.PRECISION,
    device: str = options.DEVICE,
    layers: bool = typer.Option(True, "--layers/--no-layers", help="Time each layer too, in a pass of its own."),
    output: Optional[str] = typer.Option(None, "-o", "--output", metavar="FILE", help="Write all samples as JSON."),
    html: Optional[str] = typer.Option(None, "--html", metavar="FILE", help="Write a report to look at, one file."),
    export_times: Optional[str] = typer.Option(None, "--export-times", metavar="FILE", help="As trtexec's."),
    export_profile: Optional[str] = typer.Option(None, "--export-profile", metavar="FILE", help="As trtexec's."),
    export_layer_info: Optional[str] = typer.Option(
        None, "--export-layer-info", metavar="FILE", help="What TensorRT made of each layer, as JSON."
    ),
    lock_clocks: bool = typer.Option(
        False, "--lock-clocks", help="Hold the clocks at the power mode's highest meanwhile; needs root."
    ),
    max_p99_ms: Optional[float] = typer.Option(
        None, "--max-p99-ms", metavar="MS", help="Exit with 3 if p99 from capture to result is above this, ms."
    ),
    max_watts: Optional[float] = typer.Option(
        None, "--max-watts", metavar="W", help="Exit with 3 if the board draws more than this on average."
    ),
    max_joules: Optional[float] = typer.Option(
        None, "--max-joules", metavar="J", help="Exit with 3 if a frame takes more energy than this."
    ),
    predict: Optional[str] = typer.Option(
        None, "--predict", metavar="NAME[,NAME]", help="Measure nothing: predict for these kinds of device."
    ),
    mode: Optional[str] = typer.Option(
        None, "--mode", metavar="NAME", help="With --predict: the power mode, or all; default: each device's own."
    ),
    fit: Optional[List[str]] = typer.Option(
        None, "--fit", metavar="RESULT.json", help="With --predict: results from such a device; may be repeated."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Latency of each stage, power, clocks, heat, memory, layers; two bundles against each other."""
    from edgekit.bench import DEFAULT_SOURCE, BenchConfig
    from edgekit.bench import against as compare
    from edgekit.bench import bench as measure
    from edgekit.cli import screen
    from edgekit.cli.bench_screen import draw
    from edgekit.cli.gate import gate_options

    if predict is not None:
        from edgekit.cli.predict import show_predictions

        show_predictions(bundle, predict, mode, fit, as_json)
        return
    _check_options(mode, fit, vs, against, max_joules)
    old = None if against is None else _earlier(against, bundle, precision)
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
        precision=precision,
        layers=layers,
        layer_info=export_layer_info is not None,
        lock_clocks=lock_clocks,
        need_power=max_watts is not None or max_joules is not None,
        gate=gate,
        gate_options=gate_options(gate, gate_conf, gate_hold, gate_every),
    )
    with screen.progress("measure") as progress:
        result = measure(bundle, vs, config, progress)
    files = {
        "output": output,
        "html": html,
        "times": export_times,
        "profile": export_profile,
        "layer_info": export_layer_info,
    }
    written = _write(result, files)
    value = dict(result.to_json(raw=False), written=written, against=None)
    if old is not None:
        value["against"] = compare(result.to_json(), old)
    screen.show(value, lambda: draw(result, value, bundle), as_json)
    result.check_gate(max_p99_ms, max_watts, max_joules)


def _check_options(
    mode: Optional[str],
    fit: Optional[List[str]],
    vs: Optional[str],
    against: Optional[str],
    max_joules: Optional[float],
) -> None:
    """Options that say nothing alone, or contradict each other.

    Raises:
        ConfigError: there are such.
    """
    from edgekit.errors import ConfigError

    if mode is not None or fit:
        raise ConfigError("--mode and --fit belong to --predict; a measurement runs in the mode that the board is in")
    if vs is not None and against is not None:
        raise ConfigError("--vs measures the other bundle now, --against compares with an earlier result; take one")
    if vs is not None and max_joules is not None:
        raise ConfigError("--max-joules: two bundles in turns share the board's power; measure one of them alone")


def _earlier(path: str, bundle: str, precision: Optional[int]) -> Dict[str, Any]:
    """The saved result, which must be of this bundle."""
    from edgekit.bench import check_same_bundle, read_result
    from edgekit.bundle import open_bundle

    old = read_result(path)
    check_same_bundle(open_bundle(bundle, False, precision).sha256, old)
    return old


def _write(result: Any, files: Dict[str, Optional[str]]) -> List[str]:
    """Write what was asked for; the names of the files."""
    import json

    from edgekit.files import atomic_write

    if files["output"]:
        result.write(files["output"])
    if files["html"]:
        from edgekit.bench.report import write_report

        write_report(result, files["html"])
    rows = {"times": result.trace, "profile": lambda: result.lane.layers, "layer_info": lambda: result.lane.layer_info}
    for name, make in rows.items():
        path = files[name]
        if path:
            with atomic_write(path, "w") as stream:
                json.dump(make(), stream, indent=1)
    return [path for path in files.values() if path]
