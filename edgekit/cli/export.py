"""edgekit export: a detector to a bundle, or one of its lowerings to a plain ONNX file."""

import os
from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options

_HALF = ("fp16", "fp32")  # the second so that the bundle runs, and is checked, without a GPU too


def export(
    model: str = options.MODEL,
    output: Optional[str] = typer.Option(
        None, "-o", "--output", metavar="FILE", help="x.ekb; or x.onnx with one --lowering. Default: MODEL.ekb."
    ),
    int8: bool = typer.Option(False, "--int8", help="Quantise; needs --calib, unless trained so."),
    fp32: bool = typer.Option(False, "--fp32", help="Float alone: the reference to compare with."),
    half: bool = typer.Option(False, "--half", help="Write the fp16 lowering alone."),
    calib: Optional[str] = typer.Option(
        None, "--calib", metavar="DIR", help="Folder of pictures like those in flight, to calibrate on."
    ),
    plan: Optional[str] = typer.Option(
        None, "--plan", metavar="FILE", help="A plan of edgekit quantize, instead of --calib."
    ),
    precision: Optional[int] = typer.Option(
        None,
        "--precision",
        metavar="BITS",
        min=1,
        max=8,
        help="One precision of a network of many. MODEL may be such a bundle: x.ekb gets this one and those below.",
    ),
    images: Optional[str] = typer.Option(
        None, "--images", metavar="DIR", help="Pictures for parity and golden vectors; default: those of --calib."
    ),
    lowering: Optional[List[str]] = typer.Option(
        None, "--lowering", metavar="NAME", help="Write this graph; may be repeated. Default: all but packed."
    ),
    method: str = options.METHOD,
    calib_count: Optional[int] = options.CALIB_COUNT,
    seed: int = options.SEED,
    float_layers: str = options.FLOAT_LAYERS,
    keep_float: Optional[List[str]] = options.KEEP_FLOAT,
    equalize: bool = options.EQUALIZE,
    weight_bits: int = options.WEIGHT_BITS,
    layer_bits: Optional[List[str]] = options.LAYER_BITS,
    bias_correction: bool = options.BIAS_CORRECTION,
    ranges: Optional[str] = options.RANGES,
    family: Optional[str] = options.FAMILY,
    name: Optional[str] = typer.Option(None, "--name", metavar="TEXT", help="The model's name; default: the file's."),
    licence: Optional[str] = typer.Option(None, "--licence", metavar="TEXT", help="Licence of the weights."),
    golden: int = typer.Option(2, "--golden", metavar="N", min=0, help="Golden images inside; 0 makes the least file."),
    gate: bool = typer.Option(True, "--gate/--no-gate", help="Refuse to write what fails parity."),
    as_json: bool = options.JSON,
) -> None:
    """Write a bundle: packed weights, a graph for each backend, parity, golden images."""
    from edgekit.cli import classifier, export_precisions, habits, model_file, plan_file, screen, widths
    from edgekit.errors import ConfigError

    if model.endswith(".ekb"):
        export_precisions.from_bundle(model, output, precision, lowering, as_json)
        return
    if classifier.is_classifier(model):
        asked: Dict[str, Any] = {"--int8": int8, "--fp32": fp32, "--half": half, "--calib": calib, "--plan": plan}
        asked.update({"--images": images, "--lowering": lowering})
        classifier.export(model, output, [name for name, value in asked.items() if value], as_json)
        return
    with habits.workstation("export", "export"):
        from edgekit.export import ExportOptions, bundle_from_model, onnx_from_model
        from edgekit.graph.quantize import QuantizeOptions
    _check_choice(int8, fp32, calib, plan)
    if (weight_bits != 8 or layer_bits) and (fp32 or not calib):
        raise ConfigError(
            "--weight-bits and --layer-bits quantise anew: they need --calib DIR, and no --plan or --fp32"
        )
    if fp32:
        calib, images = None, images or calib
    target = output or os.path.splitext(model)[0] + ".ekb"
    names = list(lowering or (_HALF if half else ()))
    quantizing = QuantizeOptions(
        method=method,
        images=calib_count,
        seed=seed,
        float_layers=float_layers,
        keep_float=tuple(keep_float or ()),
        weight_bits=weight_bits,
        layer_bits=widths.layer_bits(layer_bits),
        equalize=equalize,
        bias_correction="weights" if bias_correction else "none",
        ranges=ranges,
    )
    chosen = ExportOptions(
        quantize=quantizing,
        lowerings=tuple(names) or None,
        name=name,
        licence=licence,
        family=family,
        golden_images=golden,
        gate=gate,
    )
    if export_precisions.is_checkpoint_of_many(model, precision) and precision is None and not fp32:
        _check_trained(model, True, int8, calib, plan)
        value = export_precisions.from_checkpoint(model, target, images, chosen)
        screen.show(value, lambda: export_precisions.draw(value, _draw(value)), as_json)
        return
    with model_file.with_plan(model, precision) as (path, trained):
        _check_trained(model, trained is not None, int8, calib, plan)
        ready = plan_file.read_plan(plan, model) if plan else None if fp32 else trained
        if not (calib or ready or fp32 or half):
            screen.note("no --calib, so this is a float bundle; --int8 --calib DIR makes it smaller and faster")
        with screen.progress("calibrate") as progress:
            if target.endswith(".onnx"):
                names = names[:1] if half and not lowering else names
                if len(names) != 1:
                    raise ConfigError("{} holds one graph: name it with --lowering, once".format(target))
                report = onnx_from_model(
                    path, target, names[0], calib=calib, plan=ready, images=images, options=chosen, progress=progress
                )
            else:
                report = bundle_from_model(
                    path, target, calib=calib, plan=ready, images=images, options=chosen, progress=progress
                )
    value = report.to_json()
    screen.show(value, lambda: _draw(value), as_json)


def _check_choice(int8: bool, fp32: bool, calib: Optional[str], plan: Optional[str]) -> None:
    from edgekit.errors import ConfigError

    if int8 and fp32:
        raise ConfigError("--int8 and --fp32 exclude each other; export twice for both")
    if fp32 and plan:
        raise ConfigError("--fp32 takes no --plan; leave one of them out")
    if calib and plan:
        raise ConfigError("--plan has its calibration already; leave --calib out, or name pictures with --images")


def _check_trained(model: str, trained: bool, int8: bool, calib: Optional[str], plan: Optional[str]) -> None:
    """What depends on whether the checkpoint was trained quantised."""
    from edgekit.errors import ConfigError

    if trained and (calib or plan):
        raise ConfigError(
            "{} was trained quantised and has its grids already; leave --calib and --plan out, or name pictures with "
            "--images".format(model)
        )
    if int8 and not (trained or calib or plan):
        raise ConfigError("--int8 needs --calib DIR with some dozens of pictures like those in flight, or --plan FILE")


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    parts: List[Any] = [screen.facts(_facts(value), "{}  from {}".format(value["output"], value["source"]))]
    if value["float_layers"]:
        parts += [Text(""), screen.reasons("kept in float", value["float_layers"])]
    islands: Dict[str, str] = next(
        (row["float32_nodes"] for row in value["lowerings"].values() if row["float32_nodes"]), {}
    )
    if islands:
        parts += [Text(""), screen.reasons("kept in float32", islands)]
    parts += [Text(""), _lowering_table(value["lowerings"])]
    if value["next"]:
        parts += [Text(""), screen.next_step(*value["next"])]
    return Group(*parts)


def _facts(value: Dict[str, Any]) -> List[Any]:
    from edgekit.cli import screen, widths
    from edgekit.cli.inspect import float16_line

    height, width = value["input_hw"]
    calibration = value["calibration"]
    rows = [
        ("head", "{}, {} classes, input {}x{}".format(value["family"], value["classes"], width, height)),
        (
            "size",
            "{}, {:.2f} of the {} that it was".format(
                screen.size(value["bytes"]), value["size_ratio"], screen.size(value["source_bytes"])
            ),
        ),
    ]
    if value["weight_bits"]:
        counts = widths.as_text(value["layers_by_bits"])
        rows.append(("layers", "{quantized_layers} of {layers} quantised, {}".format(counts, **value)))
        if widths.narrow_note(value["layers_by_bits"]):
            rows.append(("narrow", widths.narrow_note(value["layers_by_bits"])))
    if calibration:
        cost = ", {seconds:.1f} s, {peak_mb:.0f} MB at most".format(**calibration) if "seconds" in calibration else ""
        rows.append(("calibration", "{method}, {images} images".format(**calibration) + cost))
    rows.append(("float16", float16_line(value["overflow"])))
    rows.append(("golden", "{golden_images} images inside".format(**value)))
    rows.append(("time", "{seconds:.1f} s".format(**value)))
    return rows


def _lowering_table(lowerings: Dict[str, Any]) -> Any:
    from edgekit.cli import screen
    from edgekit.cli.inspect import PARITY, parity_cells

    cells = [
        (name,)
        + parity_cells(row["parity"])
        + (str(len(row["kept_float"])), screen.size(row["graph_bytes"]), screen.size(row["data_bytes"]))
        for name, row in lowerings.items()
    ]
    columns = ("lowering", *PARITY, "more in float", "graph", "weights")
    return screen.table(columns, cells, "Lowerings", left=2)
