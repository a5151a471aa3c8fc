"""edgekit build: the engine for this device, or all that another device needs to build its own."""

from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options


def build(
    bundle: str = options.BUNDLE,
    device: str = typer.Option(
        "here", "--device", metavar="NAME", help="here, cuda:N, dla:N, or the profile of a device that is elsewhere."
    ),
    lowering: Optional[str] = typer.Option(
        None, "--lowering", metavar="NAME", help="This graph alone; default: INT8 and FP16, and the better one flies."
    ),
    precision: Optional[int] = options.PRECISION,
    output: Optional[str] = typer.Option(
        None, "-o", "--output", metavar="PATH", help="A copy of the engine; for another device the folder to write."
    ),
    workspace: Optional[int] = typer.Option(None, "--workspace", metavar="MIB", help="Scratch memory of one tactic."),
    level: Optional[int] = typer.Option(None, "--level", metavar="N", help="0 to 5: how long TensorRT searches."),
    low_memory: Optional[bool] = typer.Option(
        None, "--low-memory/--no-low-memory", help="Build with little memory; default: what the device needs."
    ),
    retries: int = typer.Option(8, "--retries", metavar="N", min=0, help="How often to try again with less."),
    memory_check: bool = typer.Option(
        True, "--memory-check/--no-memory-check", help="Refuse a build that does not fit into memory."
    ),
    timing_cache: bool = typer.Option(True, "--timing-cache/--no-timing-cache", help="Keep kernel timings."),
    rebuild: bool = typer.Option(False, "--rebuild", help="Build even if a fitting engine is in the cache."),
    rounds: int = typer.Option(200, "--rounds", metavar="N", min=10, help="Timed runs of INT8 and FP16, in turns."),
    min_speedup: float = typer.Option(
        1.0, "--min-speedup", metavar="X", min=0.0, help="INT8 flies if it is this many times as fast as FP16."
    ),
    jetpack: Optional[str] = typer.Option(
        None, "--jetpack", metavar="VERSION", help="For a device elsewhere: its JetPack; default: the newest."
    ),
    as_json: bool = options.JSON,
) -> None:
    """The engine for this device: built, healed, proved and timed against its FP16 twin."""
    from edgekit.builders import BuildOptions
    from edgekit.bundle import open_bundle
    from edgekit.cli import screen

    place, asked = _place(device)
    wanted = BuildOptions(
        lowering=lowering,
        workspace_mib=workspace,
        level=level,
        low_memory=low_memory,
        dla_core=place.dla_core if place is not None else None,
        retries=retries,
        rebuild=rebuild,
        timing_cache=timing_cache,
        check_memory=memory_check,
    )
    opened = open_bundle(bundle, precision=precision)
    if asked is None:
        value = _build_here(opened, wanted, place.index if place is not None else 0, rounds, min_speedup)
    elif _builds_elsewhere(asked):
        value = _build_ahead(opened, wanted, asked)
    else:
        value = _prepare(opened, wanted, asked, output, jetpack)
    if output and value["kind"] == "engine":
        _copy(value, output)
    screen.show(value, lambda: _draw(value), as_json)


def _place(device: str) -> Any:
    """The device here and None, or None and the profile of another one."""
    from edgekit.jetson import this_profile
    from edgekit.profiles import profile_names, read_profile
    from edgekit.runtime.device import Device, parse_device

    if device == "here":
        return Device("tensorrt"), None
    if device in profile_names() or device.endswith(".toml"):
        profile, here = read_profile(device), this_profile()
        return (Device("tensorrt"), None) if here is not None and here.name == profile.name else (None, profile)
    place = parse_device(device)
    if place.kind != "tensorrt":
        from edgekit.errors import ConfigError

        raise ConfigError(
            "--device {} runs graphs as they are, there is nothing to build; engines are for here, cuda:N, dla:N, "
            "or one of {}".format(device, ", ".join(profile_names()))
        )
    return place, None


def _build_here(opened: Any, wanted: Any, index: int, rounds: int, min_speedup: float) -> Dict[str, Any]:
    from edgekit.bench.guard import GuardOptions, choose_engine
    from edgekit.cli import screen

    with screen.progress("build") as progress:
        verdict = choose_engine(opened, wanted, GuardOptions(rounds, min(30, rounds), min_speedup), index, progress)
    found = verdict.to_json()
    for one in found["candidates"]:
        one.pop("samples_ms")
    return dict(
        _engine(opened, verdict.engine), why=verdict.why, speedup=found["speedup"], candidates=found["candidates"]
    )


def _builds_elsewhere(profile: Any) -> bool:
    """Whether the library here can build for that GPU without it: TensorRT-RTX can, for its own list of cards."""
    from edgekit.errors import BackendError
    from edgekit.nvidia.trt import open_tensorrt, optional

    try:
        tensorrt = open_tensorrt()
    except BackendError:
        return False
    kinds = optional(tensorrt.module, "ComputeCapability")
    return optional(kinds, "SM{}".format(profile.chip.sm)) is not None


def _build_ahead(opened: Any, wanted: Any, profile: Any) -> Dict[str, Any]:
    from edgekit.builders import engine_from_bundle
    from edgekit.builders.here import target_of
    from edgekit.cli import screen

    with screen.progress("build") as progress:
        engine = engine_from_bundle(opened, wanted, target_of(profile), progress)
    why = "built ahead for {}, which is not here: neither proved nor timed".format(profile.title)
    return dict(_engine(opened, engine), why=why, speedup=None, candidates=[])


def _engine(opened: Any, engine: Any) -> Dict[str, Any]:
    return {
        "kind": "engine",
        "bundle": opened.path,
        "lowering": engine.key.lowering,
        "engine": engine.path,
        "bytes": engine.nbytes,
        "built_s": engine.built_s,
        "key": engine.key.to_json(),
        "concessions": [one.to_json() for one in engine.concessions],
        "facts": engine.facts,
        "layers_by_bits": _layers_by_bits(opened),
    }


def _layers_by_bits(opened: Any) -> Dict[int, int]:
    return {} if opened.plan is None else dict(opened.plan.layers_by_bits())


def _narrow(value: Dict[str, Any]) -> List[Any]:
    from edgekit.cli import widths

    note = widths.narrow_note(value["layers_by_bits"])
    return [("narrow", note)] if note else []


def _prepare(opened: Any, wanted: Any, profile: Any, output: Optional[str], jetpack: Optional[str]) -> Dict[str, Any]:
    import os

    from edgekit.builders.prepare import prepare_for

    name = os.path.splitext(os.path.basename(opened.path))[0]
    prepared = prepare_for(opened, profile, output or "{}.{}".format(name, profile.name), wanted, jetpack)
    return dict(
        prepared.to_json(),
        kind="prepared",
        bundle=opened.path,
        title=profile.title,
        layers_by_bits=_layers_by_bits(opened),
    )


def _copy(value: Dict[str, Any], output: str) -> None:
    """Copy the engine and its record; `value` names the copy."""
    from edgekit.engine import read_engine, write_engine

    engine = read_engine(value["engine"])
    with open(engine.path, "rb") as stream:
        write_engine(output, stream.read(), engine.key, engine.built_s, engine.concessions, engine.facts)
    value["engine"] = output


def _draw(value: Dict[str, Any]) -> Any:
    return _draw_prepared(value) if value["kind"] == "prepared" else _draw_engine(value)


def _draw_engine(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    key, facts = value["key"], value["facts"]
    rows: List[Any] = [
        ("engine", "{}  ({})".format(value["engine"], screen.size(value["bytes"]))),
        ("for", "{gpu}, sm_{sm} with {sm_count} multiprocessors, {library} {tensorrt}".format(**key)),
        ("power mode", key["power_mode"] or "none"),
        ("chosen", "{}: {}".format(value["lowering"], value["why"])),
        ("built in", "{:.1f} s, {} tries, timing cache: {}".format(
            value["built_s"], facts["attempts"], facts["timing_cache"])),
        ("graph", "{} layers, {} of them Q/DQ, {}".format(
            facts["layers"], facts["quantizers"],
            "strongly typed" if facts["strongly_typed"] else "flags " + (" ".join(facts["flags"]) or "none"))),
    ]  # fmt: skip
    rows += _narrow(value)
    if facts.get("off_dla"):
        rows.append(("not on the DLA", ", ".join(facts["off_dla"][:6])))
    parts: List[Any] = [screen.facts(rows, value["bundle"])]
    if value["concessions"]:
        cells = [(one["layer"] or "all", one["what"], one["why"]) for one in value["concessions"]]
        parts += [Text(""), screen.table(("layer", "given up", "because"), cells, "Concessions", left=3)]
    for one in value["candidates"]:
        if one["problem"]:
            parts += [Text(""), Text("{} is out: {}".format(one["lowering"], one["problem"]), style="yellow")]
    parts += [Text(""), screen.next_step("edgekit bench {}".format(value["bundle"]))]
    return Group(*parts)


def _draw_prepared(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    software, memory = value["software"], value["memory"]
    rows: List[Any] = [
        ("graph", "{}, opset {}, {} Q/DQ nodes".format(value["lowering"], value["opset"], value["quantizers"])),
        ("for", "{}{}, TensorRT {}, CUDA {}, Python {}".format(
            "JetPack {}".format(software["jetpack"]) if software["jetpack"] else "its driver",
            ", L4T {}".format(software["l4t"]) if software["l4t"] else "",
            software["tensorrt"], software["cuda"], software["python"])),
        ("settings", ", ".join("{} {}".format(name, one) for name, one in sorted(value["settings"].items()))),
        ("memory", "about {} MiB to build, {} there".format(memory["predicted_peak_mib"], memory["free_mib"])),
        ("trtexec", value["trtexec"]),
    ]  # fmt: skip
    rows += _narrow(value)
    text = "No engine: one is built on the device itself, since kernels are chosen by timing them there."
    return Group(
        screen.facts(rows, "{} for {}".format(value["bundle"], value["title"])),
        Text(""),
        Text(text, style="dim"),
        Text.assemble(("written  ", "dim"), value["folder"]),
        Text(""),
        screen.next_step("{}   (on the device; the bundle alone is enough)".format(value["edgekit"])),
    )
