"""A search as one HTML file to read: no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edgekit.search.costs import UNITS
from edgekit.search.recipe import FLOAT
from edgekit.search.result import PlanRow, SearchResult

_TEMPLATE = "report.html.j2"


def render(result: SearchResult, png: bytes) -> str:
    """The page.

    Args:
        result: of the search.
        png: its plot.
    """
    environment = Environment(
        loader=FileSystemLoader(str(Path(__file__).parent)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    rows = [*result.references, *result.plans]
    text: str = environment.get_template(_TEMPLATE).render(
        result=result,
        plot=base64.b64encode(png).decode("ascii"),
        limits=[f"{limit:.10g} {UNITS[name]}" for name, limit in result.budget.items()],
        rows=rows,
        verified=[row for row in rows if row.verified is not None],
        widths=sorted({bits for layer in result.layers for bits in layer.damage if bits != FLOAT}),
        chosen=[(layer, [_width(row, layer.name) for row in result.plans]) for layer in result.layers],
        shades=_shades(result),
        minutes=sum(result.seconds.values()) / 60,
    )
    return text


def _width(row: PlanRow, layer: str) -> str:
    bits = row.widths[layer]
    return "float" if bits == FLOAT else str(bits)


def _shades(result: SearchResult) -> dict[str, float]:
    """Layer -> 0 to 1, by how much a layer suffers at the narrowest width among all."""
    narrow = {layer.name: next(iter(layer.damage.values())) for layer in result.layers}
    most = max([*narrow.values(), 1e-12])
    return {name: min(1.0, damage / most) for name, damage in narrow.items()}


def _number(value: Any, digits: int = 3) -> str:
    """A number with about `digits` digits; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
