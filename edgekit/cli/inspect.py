"""edgekit inspect: what is inside a bundle."""

from typing import Any, Dict, List, Optional, Tuple

import typer

from edgekit.cli import options

_SHORT = 12


def inspect(
    bundle: str = typer.Argument(..., metavar="FILE", help="An .ekb bundle, or an .ekd update."),
    precision: Optional[int] = options.PRECISION,
    layers: bool = typer.Option(False, "--layers", help="List every stored tensor, not the largest alone."),
    as_json: bool = options.JSON,
) -> None:
    """What is inside a bundle: bits and bytes of each layer, lowerings, parity; or what an update changes."""
    from edgekit.bundle import open_bundle
    from edgekit.cli import screen
    from edgekit.cli.delta import inspect_update
    from edgekit.contents import contents_of

    if bundle.endswith(".ekd"):
        inspect_update(bundle, layers, as_json)
        return
    value = contents_of(open_bundle(bundle, precision=precision))
    screen.show(value, lambda: _draw(value, layers), as_json)


def _draw(value: Dict[str, Any], every_layer: bool) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    rows = value["layers"] if every_layer else sorted(value["layers"], key=lambda row: -row["bytes"])[:_SHORT]
    left_out = len(value["layers"]) - len(rows)
    parts: List[Any] = [
        screen.facts(_head(value), "{}  {}".format(value["model"]["name"], value["file"])),
        Text(""),
        screen.facts(_weights(value), "Weights"),
    ]
    if value["precisions"]:
        parts += [Text(""), _precision_table(value)]
    if rows:
        parts += [Text(""), _layer_table(rows, "Tensors" if every_layer else "Largest tensors")]
    if left_out > 0:
        parts.append(Text("{} smaller ones: edgekit inspect --layers {}".format(left_out, value["file"]), "dim"))
    if value["float_layers"]:
        parts += [Text(""), screen.reasons("kept in float", value["float_layers"])]
    parts += [Text(""), _lowering_table(value["lowerings"])]
    return Group(*parts)


def _head(value: Dict[str, Any]) -> List[Any]:
    from edgekit.cli import screen

    classes, calibration, source = value["classes"], value["calibration"], value["model"].get("source") or {}
    names = ", ".join(classes[:8]) + (", …" if len(classes) > 8 else "")
    kinds = ", ".join("{} {}".format(kind, screen.size(n)) for kind, n in value["bytes_by_kind"].items())
    return [
        ("size", "{}: {}".format(screen.size(value["bytes"]), kinds)),
        ("identity", "sha256 " + value["sha256"]),
        ("made from", "{}  {}".format(source.get("file", "?"), str(source.get("sha256", ""))[:16])),
        ("licence", value["model"].get("licence") or "not stated"),
        ("classes", "{}: {}".format(len(classes), names)),
        ("input", _input(value)),
        ("head", _head_line(value["decode"])),
        ("calibration", _calibration_line(calibration)),
        ("float16", float16_line(value["overflow"])),
        ("golden", "{images} images, {detections} boxes".format(**value["golden"])),
    ]


def _input(value: Dict[str, Any]) -> str:
    spec, border = value["preprocess"], value["input"] or {}
    text = "{}x{} {}, letterbox {}, pad {}".format(
        spec.get("width"),
        spec.get("height"),
        "RGB" if spec.get("rgb") else "BGR",
        spec.get("letterbox"),
        spec.get("pad_value"),
    )
    text += ", mean {}, std {}, scale {:.6g}".format(
        _numbers(spec.get("mean", ())), _numbers(spec.get("std", ())), spec.get("scale", 1.0)
    )
    return "{} {}".format(border.get("name", ""), text).strip()


def _numbers(values: Any) -> str:
    shown = ["{:g}".format(v) for v in values]
    return shown[0] if len(set(shown)) == 1 else " ".join(shown)


def _head_line(decode: Dict[str, Any]) -> str:
    return "{}, strides {}, conf {}, IoU {}, at most {} boxes".format(
        decode.get("family"),
        " ".join(str(s) for s in decode.get("strides", ())),
        decode.get("conf"),
        decode.get("iou"),
        decode.get("max_det"),
    )


def _calibration_line(calibration: Any) -> str:
    if calibration is None:
        return "none (float weights)"
    seed = calibration.get("seed", -1)
    chosen = "" if seed == -1 else " chosen by seed {}".format(seed)
    return "{}, {} images{}, digest {}".format(
        calibration.get("method"), calibration.get("images"), chosen, calibration["digest"]
    )


def float16_line(overflow: Optional[Dict[str, Any]]) -> str:
    """What was found of the network's range against float16's."""
    if overflow is None:
        return "nobody looked whether it holds this network: no pictures"
    if not overflow["tensors"]:
        return "holds every tensor: none beyond {limit:g} on {images} images".format(**overflow)
    worst = max(overflow["tensors"], key=lambda name: overflow["tensors"][name])
    text = "may not hold {} of its tensors (beyond {:g} on {} images; {} reaches {:g}): their layers run in float32"
    return text.format(
        len(overflow["tensors"]), overflow["limit"], overflow["images"], worst, overflow["tensors"][worst]
    )


def _weights(value: Dict[str, Any]) -> List[Any]:
    from edgekit.cli import screen, widths

    totals = value["totals"]
    if not totals["parameters"]:
        return [("parameters", "none of their own: all are inside the graphs")]
    coded = totals["coded_parameters"] / max(totals["parameters"], 1)
    widths_of_layers = [row["bits"] for row in value["layers"] if row["coded"]]
    note = widths.narrow_note({bits: widths_of_layers.count(bits) for bits in set(widths_of_layers)})
    return [
        ("parameters", "{:,} in {} tensors, {:.1%} quantised".format(totals["parameters"], totals["tensors"], coded)),
        ("mean width", "{} bits a parameter".format(totals["mean_weight_bits"])),
        (
            "on disk",
            "{} of weights; as float32 {}; the whole file is {:.2f} times smaller than that".format(
                screen.size(totals["weight_bytes"]), screen.size(totals["fp32_bytes"]), totals["ratio"] or 0
            ),
        ),
    ] + ([("narrow", note)] if note else [])


def _precision_table(value: Dict[str, Any]) -> Any:
    from edgekit.cli import screen

    cells = [
        (
            "{} bits".format(row["bits"]) + (" (this one)" if row["bits"] == value["precision"] else ""),
            "{} of {}".format(row["planes"], value["precisions"][0]["planes"]),
            screen.size(row["plane_bytes"]),
            "{}".format(row["mean_weight_bits"]),
        )
        for row in value["precisions"]
    ]
    return screen.table(("precision", "planes", "in planes", "mean width"), cells, "Precisions: --precision BITS")


def _layer_table(rows: List[Dict[str, Any]], title: str) -> Any:
    from rich.text import Text

    from edgekit.cli import screen

    cells = [
        (
            row["name"],
            "x".join(str(extent) for extent in row["shape"]) or "1",
            Text(row["reason"] or "", style="dim"),
            str(row["bits"]) if row["coded"] else "float",
            "{:,}".format(row["parameters"]),
            screen.size(row["bytes"]),
        )
        for row in rows
    ]
    return screen.table(("tensor", "shape", "float because", "bits", "parameters", "on disk"), cells, title, left=3)


def _lowering_table(lowerings: List[Dict[str, Any]]) -> Any:
    from edgekit.cli import screen

    cells = [
        (row["name"], _needs(row["requires"])) + parity_cells(row["parity"]) + (screen.size(row["unpacked_bytes"]),)
        for row in lowerings
    ]
    columns = ("lowering", "needs", *PARITY, "unpacked")
    return screen.table(columns, cells, "Lowerings", left=3)


def _needs(requires: Dict[str, Any]) -> str:
    """What a machine must have, without the builder's flags, which are the builder's business."""
    told = {key: value for key, value in requires.items() if key != "flags"}
    return ", ".join(_need(key, value) for key, value in told.items()) or "nothing"


def _need(key: str, value: Any) -> str:
    if value is True:
        return key
    return str(value) if key in ("arch", "cpu") else "{} {}".format(key, value)


PARITY = ("parity", "off by one", "SNR dB", "boxes kept")


def parity_cells(parity: Optional[Dict[str, Any]]) -> Tuple[Any, ...]:
    """A parity report in the cells of `PARITY`.

    They are the verdict; the share of integers that are a step off the plan's arithmetic; the outputs against that
    arithmetic, end to end; how many boxes of the float network are found again.
    """
    from rich.text import Text

    if not parity:
        return (Text("not measured", style="dim"), "", "", "")
    codes, twin, drift = (parity.get(key) or {} for key in ("codes", "twin", "drift"))
    snr_db = twin.get("snr_db")
    boxes = drift.get("matched", 0) + drift.get("missing", 0)
    return (
        Text("passed", style="green") if parity.get("passed") else Text("FAILED", style="bold red"),
        "{:.3%}".format(codes["differing"]) if "differing" in codes else "-",
        "same bits" if snr_db is None else "{:.1f}".format(snr_db),
        "{} of {}".format(drift["matched"], boxes) if boxes else "-",
    )
