"""edgekit quantize: a float detector and a folder of pictures in, a plan out."""

from typing import List, Optional

import typer

from edgekit.cli import options

_ROWS = 12


def quantize(
    model: str = typer.Argument(
        ..., metavar="MODEL", help="ONNX detector (YOLOX, YOLOv8 or NanoDet head) or checkpoint."
    ),
    calib: str = typer.Option(..., "--calib", metavar="DIR", help="Folder of pictures like those in flight."),
    output: Optional[str] = typer.Option(
        None, "-o", "--output", metavar="FILE", help="The plan; default: MODEL.plan.json."
    ),
    method: str = typer.Option("mse", "--method", metavar="NAME", help="minmax, percentile, entropy or mse."),
    images: Optional[int] = typer.Option(
        None, "--images", metavar="N", min=1, help="How many of the pictures; default: all."
    ),
    seed: int = typer.Option(0, "--seed", metavar="N", help="What chooses them."),
    float_layers: str = typer.Option(
        "auto",
        "--float-layers",
        metavar="WHICH",
        help="Layers kept in float: auto (measured), none, stem, head or stem+head.",
    ),
    keep_float: Optional[List[str]] = typer.Option(None, "--keep-float", metavar="LAYER", help="Keep this one too."),
    equalize: bool = typer.Option(False, "--equalize", help="Even out the weight ranges of neighbouring layers first."),
    bias_correction: bool = typer.Option(False, "--bias-correction", help="Correct biases for the mean error."),
    sensitivity: bool = typer.Option(False, "--sensitivity", help="Show what each layer costs."),
    ranges: str = typer.Option("", "--ranges", metavar="DIR", help="Folder of range tables to reuse and to write."),
    family: Optional[str] = typer.Option(
        None, "--family", metavar="NAME", help="Head, if not recognised: yolox, yolov8 or nanodet."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Post-training quantisation: choose each layer's bits and scales."""
