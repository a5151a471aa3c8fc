"""edgekit quantize: a float detector and a folder of pictures in, a plan out."""

import os
from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options

_ROWS = 12


def quantize(
    model: str = options.MODEL,
    calib: str = typer.Option(..., "--calib", metavar="DIR", help="Folder of pictures like those in flight."),
    output: Optional[str] = typer.Option(
        None, "-o", "--output", metavar="FILE", help="The plan; default: MODEL.plan.json."
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
    sensitivity: bool = typer.Option(False, "--sensitivity", help="Measure and list what each layer costs (minutes)."),
    ranges: Optional[str] = options.RANGES,
    family: Optional[str] = options.FAMILY,
    as_json: bool = options.JSON,
) -> None:
    """Post-training quantisation: which layers become integers, and their scales."""
    from edgekit.cli import habits, model_file, plan_file, screen, widths

    with habits.workstation("quantize", "export"):
        from edgekit.graph.quantize import QuantizeOptions
    chosen = QuantizeOptions(
        method=method,
        images=calib_count,
        seed=seed,
        float_layers="search" if sensitivity else float_layers,
        keep_float=tuple(keep_float or ()),
        weight_bits=weight_bits,
        layer_bits=widths.layer_bits(layer_bits),
        equalize=equalize,
        bias_correction="weights" if bias_correction else "none",
        ranges=ranges,
    )
    target = output or os.path.splitext(model)[0] + ".plan.json"
    plan_file.check_folder(target)
    with model_file.as_onnx(model) as path, screen.progress("calibrate") as progress:
        quantized = _quantize(path, calib, chosen, family, progress)
    record = quantized.calibration
    calibration = {
        "method": record.method,
        "images": len(record.images),
        "sha256": list(record.images),
        "seed": record.seed,
    }
    planned = _write_adjusted(target, quantized) if equalize or bias_correction else model
    plan_file.write_plan(target, planned, quantized.plan, calibration)
    value = _value(planned, target, quantized)
    screen.show(value, lambda: _draw(value, calib, sensitivity), as_json)


def _quantize(path: str, calib: str, chosen: Any, family: Optional[str], progress: Any) -> Any:
    """An `edgekit.graph.quantize.Quantized` of an ONNX file."""
    from edgekit.graph.families import detect_family
    from edgekit.graph.load import load_canonical
    from edgekit.graph.quantize import quantize_model
    from edgekit.graph.tidy import tidy

    graph = load_canonical(path)
    tidy(graph)
    name = os.path.splitext(os.path.basename(path))[0]
    return quantize_model(graph, calib, chosen, progress, detect_family(graph, family), name)


def _write_adjusted(target: str, quantized: Any) -> str:
    """Write the network whose weights were changed, which is the one that the plan speaks about; its path."""
    from edgekit.files import atomic_write
    from edgekit.graph.external import whole
    from edgekit.graph.families import metadata_of

    stem = target[: -len(".plan.json")] if target.endswith(".plan.json") else os.path.splitext(target)[0]
    path = stem + ".adjusted.onnx"
    quantized.model.metadata_props.update(metadata_of(quantized.family))
    with atomic_write(path) as stream:
        stream.write(whole(quantized.model))
    return path


def _value(model: str, target: str, quantized: Any) -> Dict[str, Any]:
    plan, record, choice = quantized.plan, quantized.calibration, quantized.choice
    return {
        "model": model,
        "plan": target,
        "family": quantized.family.decode.family,
        "classes": len(quantized.family.classes),
        "layers": len(plan.weights) + len(plan.excluded),
        "int8_layers": len(plan.weights),
        "layers_by_bits": plan.layers_by_bits(),
        "float_layers": dict(plan.excluded),
        "method": record.method,
        "images": len(record.images),
        "seed": record.seed,
        "seconds": round(record.seconds, 3),
        "peak_mb": round(record.peak_mb, 1),
        "ranges_reused": record.reused,
        "agreement": None if choice is None else choice.agreement,
        "agreement_all_int8": None if choice is None else choice.agreement_all_int8,
        "sensitivity": []
        if choice is None
        else [
            {"what": r.label, "layers": list(r.layers), "agreement": r.agreement, "gain": r.gain} for r in choice.rows
        ],
    }


def _draw(value: Dict[str, Any], calib: str, sensitivity: bool) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen, widths

    cost = "{seconds:.1f} s, {peak_mb:.0f} MB at most".format(**value)
    rows: List[Any] = [
        ("head", "{family}, {classes} classes".format(**value)),
        ("layers", "{int8_layers} of {layers} in int8".format(**value)),
        ("weights", widths.as_text(value["layers_by_bits"]) or "all in float"),
        ("calibration", "{method}, {images} images, ".format(**value) + (value["ranges_reused"] or cost)),
    ]
    if value["agreement"] is not None:
        text = "{agreement:.3f} with the float network's boxes (1 is the same), {agreement_all_int8:.3f} all in int8"
        rows.append(("agreement", text.format(**value)))
    rows.append(("written", value["plan"]))
    parts: List[Any] = [screen.facts(rows, value["model"])]
    if value["float_layers"]:
        parts += [Text(""), screen.reasons("kept in float", value["float_layers"])]
    if sensitivity:
        parts += [Text(""), _sensitivity_table(value["sensitivity"])]
    following = "edgekit export {} --plan {} --images {} -o {}.ekb".format(
        value["model"], value["plan"], calib, os.path.splitext(value["model"])[0]
    )
    return Group(*(parts + [Text(""), screen.next_step(following)]))


def _sensitivity_table(rows: List[Dict[str, Any]]) -> Any:
    from edgekit.cli import screen

    cells = [(row["what"], "{:.4f}".format(row["agreement"]), "{:+.4f}".format(row["gain"])) for row in rows[:_ROWS]]
    title = "The {} that cost most of {}".format(len(cells), len(rows))
    return screen.table(("in float", "agreement", "gain"), cells, title)
