"""Plots as inline SVG text: no plotting library on a device, sharp at any size, colours from the page's style sheet.

Every function returns a whole `<svg>` element. Coordinates are pixels of its view box. Colours are CSS classes,
`c-NAME` for what a series stands for, so that one style sheet serves a light and a dark page.
"""

import math
from html import escape
from typing import Callable, Iterable, List, NamedTuple, Sequence, Set, Tuple

import numpy as np

_WIDTH = 880.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 12.0, 34.0
_MOST_POINTS = 1200


class Series(NamedTuple):
    """One curve: its name in the legend, its CSS class, and its points."""

    label: str
    css: str
    x: Sequence[float]
    y: Sequence[float]


class Rule(NamedTuple):
    """A horizontal line with a text at its end."""

    label: str
    value: float


def timeline(series: Sequence[Series], rules: Sequence[Rule], x_label: str, y_label: str, height: float = 250) -> str:
    """Dots over time, with the spread of the first series as a histogram on the right edge, on the same scale."""
    spread = 110.0
    top_value = max([max(one.y) for one in series] + [rule.value for rule in rules]) * 1.06
    right = _WIDTH - _RIGHT - spread
    x = _linear(0.0, max(max(one.x) for one in series) or 1.0, _LEFT, right)
    y = _linear(0.0, top_value or 1.0, height - _BOTTOM, _TOP)
    parts = [_y_axis(y, _ticks(0.0, top_value), right, y_label, height)]
    parts.append(_x_axis(x, _ticks(0.0, max(max(one.x) for one in series)), x_label, height, right))
    for one in series:
        parts.append(_dots(one, x, y))
    for rule in rules:
        parts.append(_rule(rule, y, right))
    parts.append(_spread(series, y, top_value, right + 8, spread - 8, height))
    return _svg(parts, height, "{} over {}".format(y_label, x_label))


def curves(series: Sequence[Series], x_label: str, y_label: str, height: float = 230, from_zero: bool = True) -> str:
    """Lines over a linear axis."""
    highest = max(max(one.y) for one in series)
    lowest = 0.0 if from_zero else min(min(one.y) for one in series)
    margin = 0.06 * (highest - lowest or highest or 1.0)
    low, high = (0.0, highest + margin) if from_zero else (lowest - margin, highest + margin)
    last = max(max(one.x) for one in series) or 1.0
    right = _WIDTH - _RIGHT
    x, y = _linear(0.0, last, _LEFT, right), _linear(low, high, height - _BOTTOM, _TOP)
    parts = [
        _y_axis(y, _ticks(low, high), right, y_label, height),
        _x_axis(x, _ticks(0.0, last), x_label, height, right),
    ]
    parts += [_line(one.css, zip(one.x, one.y), x, y, one.label) for one in series]
    return _svg(parts, height, "{} over {}".format(y_label, x_label))


def cumulative(series: Sequence[Series], x_label: str, height: float = 250) -> str:
    """Share of the samples at or below a value, over a logarithmic axis; `y` of a series are its samples."""
    values = [value for one in series for value in one.y if value > 0]
    low, high = min(values) / 1.15, max(values) * 1.15
    right = _WIDTH - _RIGHT
    x, y = _logarithmic(low, high, _LEFT, right), _linear(0.0, 1.0, height - _BOTTOM, _TOP)
    shares = [(0.0, "0"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (0.9, "90"), (1.0, "100 %")]
    parts = [_grid_y(y, shares, right), _x_axis(x, _log_ticks(low, high), x_label, height, right)]
    for one in series:
        positive = np.sort(np.maximum(np.asarray(one.y, np.float64), low))
        rank = np.arange(1, len(positive) + 1) / float(len(positive))
        kept = np.unique(np.linspace(0, len(positive) - 1, 300).astype(int))
        parts.append(_line(one.css, zip(positive[kept], rank[kept]), x, y, one.label))
    return _svg(parts, height, "cumulative share over {}".format(x_label))


def share_bar(parts_ms: Sequence[Tuple[str, str, float]], height: float = 40) -> str:
    """One bar cut into (label, css, value) pieces, widths by value, texts where they fit."""
    total = sum(value for _, _, value in parts_ms) or 1.0
    at, out = 0.0, []
    for label, css, value in parts_ms:
        width = _WIDTH * value / total
        text = "{} {:.0f} %".format(label, 100 * value / total)
        out.append('<rect class="c-{} fill" x="{:.1f}" y="0" width="{:.1f}" height="{:.0f}"><title>{}: {:.2f} ms'
                   '</title></rect>'.format(css, at, max(width - 1.5, 0.5), height, escape(text), value))  # fmt: skip
        if width > 7.2 * len(text):
            out.append('<text class="on" x="{:.1f}" y="{:.1f}">{}</text>'.format(at + 10, height / 2 + 4, escape(text)))
        at += width
    return _svg(out, height, "share of each stage")


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    return '<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>'.format(
        _WIDTH, height, escape(title), "".join(parts)
    )


Scale = Callable[[float], float]
Ticks = List[Tuple[float, str]]


def _linear(low: float, high: float, first: float, last: float) -> Scale:
    factor = (last - first) / ((high - low) or 1.0)
    return lambda value: first + (value - low) * factor


def _logarithmic(low: float, high: float, first: float, last: float) -> Scale:
    inner = _linear(math.log(low), math.log(high), first, last)
    return lambda value: inner(math.log(value))


def _ticks(low: float, high: float, about: int = 5) -> Ticks:
    """Round numbers between `low` and `high`, in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1, 2, 5, 10) if factor * power >= rough), default=power)
    count = math.floor(high / step) - math.ceil(low / step) + 1
    first = math.ceil(low / step) * step
    return [(first + index * step, _text(first + index * step)) for index in range(max(count, 1))]


def _log_ticks(low: float, high: float) -> Ticks:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [(value, _text(value)) for value in values if low <= value <= high]


def _text(value: float) -> str:
    return "{:.6g}".format(round(value, 6))


def _grid_y(y: Scale, ticks: Ticks, right: float) -> str:
    out = []
    for value, text in ticks:
        out.append('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'.format(
            _LEFT, right, y(value), y(value)))  # fmt: skip
        out.append('<text class="tick end" x="{:.1f}" y="{:.1f}">{}</text>'.format(_LEFT - 7, y(value) + 4, text))
    return "".join(out)


def _y_axis(y: Scale, ticks: Ticks, right: float, label: str, height: float) -> str:
    middle = (height - _BOTTOM + _TOP) / 2
    name = '<text class="axis mid" transform="translate(12 {:.1f}) rotate(-90)">{}</text>'.format(middle, escape(label))
    return _grid_y(y, ticks, right) + name


def _x_axis(x: Scale, ticks: Ticks, label: str, height: float, right: float) -> str:
    base = height - _BOTTOM
    out = ['<line class="base" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'.format(_LEFT, right, base, base)]
    for value, text in ticks:
        out.append('<text class="tick mid" x="{:.1f}" y="{:.1f}">{}</text>'.format(x(value), base + 15, text))
    out.append('<text class="axis mid" x="{:.1f}" y="{:.1f}">{}</text>'.format(
        (_LEFT + right) / 2, height - 4, escape(label)))  # fmt: skip
    return "".join(out)


def _dots(one: Series, x: Scale, y: Scale) -> str:
    """The points of a series; of very many, the extremes of each slice of time."""
    path = "".join("M{:.1f} {:.1f}h0".format(x(a), y(b)) for a, b in _thinned(one.x, one.y))
    return '<path class="c-{} dots" d="{}"><title>{}</title></path>'.format(one.css, path, escape(one.label))


def _thinned(x: Sequence[float], y: Sequence[float]) -> List[Tuple[float, float]]:
    if len(x) <= _MOST_POINTS:
        return list(zip(x, y))
    kept: Set[int] = set()
    for part in np.array_split(np.arange(len(y)), _MOST_POINTS // 2):
        values = np.asarray(y)[part]
        kept.update((int(part[values.argmin()]), int(part[values.argmax()])))
    return [(x[index], y[index]) for index in sorted(kept)]


def _line(css: str, points: Iterable[Tuple[float, float]], x: Scale, y: Scale, label: str) -> str:
    text = "L".join("{:.1f} {:.1f}".format(x(a), y(b)) for a, b in points)
    return '<path class="c-{} line" d="M{}"><title>{}</title></path>'.format(css, text, escape(label))


def _rule(rule: Rule, y: Scale, right: float) -> str:
    at = y(rule.value)
    return (
        '<line class="rule" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
        '<text class="rule-text end" x="{:.1f}" y="{:.1f}">{}</text>'
    ).format(_LEFT, right, at, at, right, at - 4, escape(rule.label))


def _spread(series: Sequence[Series], y: Scale, top: float, left: float, width: float, height: float) -> str:
    """Histograms that lie on their side at the right of a plot, sharing its y axis."""
    edges = np.linspace(0.0, top, 61)
    counts = [np.histogram(np.asarray(one.y), edges)[0] for one in series]
    most = max(max(count.max() for count in counts), 1)
    out = []
    for one, count in zip(series, counts):
        for bin_index in np.flatnonzero(count):
            low, high = y(edges[bin_index]), y(edges[bin_index + 1])
            out.append('<rect class="c-{} bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'.format(
                one.css, left, high, width * count[bin_index] / most, max(low - high - 0.6, 0.5)))  # fmt: skip
    return "".join(out)
