"""edgekit quantize: a float detector and a folder of pictures in, a plan out."""

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
    images: Optional[int] = options.IMAGES,
    seed: int = options.SEED,
    float_layers: str = options.FLOAT_LAYERS,
    keep_float: Optional[List[str]] = options.KEEP_FLOAT,
    equalize: bool = options.EQUALIZE,
    bias_correction: bool = options.BIAS_CORRECTION,
    sensitivity: bool = typer.Option(False, "--sensitivity", help="Measure and list what each layer costs."),
    ranges: Optional[str] = options.RANGES,
    family: Optional[str] = options.FAMILY,
    as_json: bool = options.JSON,
) -> None:
    """Post-training quantisation: which layers become integers, and their scales."""
