"""The Pareto picture of a search."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgekit.search.result import PlanRow, SearchResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_COLOURS = ("#2f66b5", "#d0722f", "#1f7a4d", "#a85c86", "#c98a2b", "#4ba7a0")
_GREY = "#8b95a5"


def plot_pareto(result: SearchResult) -> bytes:
    """A PNG: damage over bytes, AP over bytes on disk where plans were verified, and the check of the prediction."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    verified = [row for row in (*result.references, *result.plans) if row.verified is not None]
    figure, axes = pyplot.subplots(1, 3 if verified else 2, figsize=(16 if verified else 11, 4.6), layout="constrained")
    colours = {row.name: _COLOURS[place % len(_COLOURS)] for place, row in enumerate(result.plans)}
    _sizes(axes[0], result, colours)
    if verified:
        _scores(axes[1], verified, colours)
    _check(axes[-1], result, colours)
    for each in axes:
        each.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()


def _sizes(axes: Axes, result: SearchResult, colours: dict[str, str]) -> None:
    line = [(row.costs["bytes"] / 1e3, row.predicted) for row in result.frontier]
    axes.plot(*zip(*line, strict=True), color=_GREY, marker=".", label="least predicted damage (Pareto set)")
    for row in result.plans:
        assert row.measured is not None
        axes.plot(
            row.costs["bytes"] / 1e3,
            row.measured,
            marker="o" if row.within else "x",
            linestyle="",
            color=colours[row.name],
            label=f"{row.name}, {row.costs['mean_bits']:.2f} bits" + ("" if row.within else ", over the budget"),
        )
    if "bytes" in result.budget:
        axes.axvline(result.budget["bytes"] / 1e3, color=_GREY, linestyle=":", label="budget")
    axes.set(
        xlabel="weights as stored, kB",
        ylabel="damage: line as predicted, marks as measured",
        yscale="log",
        title="Before training",
    )
    _plain_ticks(axes.yaxis)
    axes.legend(frameon=False, fontsize=8)


def _scores(axes: Axes, rows: Sequence[PlanRow], colours: dict[str, str]) -> None:
    for row in rows:
        assert row.verified is not None
        score, size = row.verified.scores["AP50"], row.verified.bundle_bytes / 1e3
        if score is None:
            continue
        ms = "" if row.verified.ms is None else f", {row.verified.ms['p50']:.1f} ms"
        epochs = f", {row.verified.epochs} epochs" if row.verified.epochs else ""
        label = f"{row.name}{epochs}: {row.costs['gbops']:.0f} GBOPs{ms}"
        marker = "o" if row.name in colours else "s"
        axes.plot(size, score, marker=marker, linestyle="", color=colours.get(row.name, _GREY), label=label)
    axes.set(xlabel="bundle on disk, kB", ylabel="AP50", xscale="log", title="Verified")
    _plain_ticks(axes.xaxis)
    axes.margins(x=0.15, y=0.15)
    axes.legend(frameon=False, fontsize=8)


def _check(axes: Axes, result: SearchResult, colours: dict[str, str]) -> None:
    check = result.prediction
    axes.plot(check.predicted, check.measured, marker=".", linestyle="", color=_GREY, label="random plans")
    for row in result.plans:
        assert row.measured is not None
        axes.plot(row.predicted, row.measured, marker="o", linestyle="", color=colours[row.name], label=row.name)
    both = [v for row in result.plans for v in (row.predicted, row.measured) if v]
    both += [*check.predicted, *check.measured]
    if both:
        axes.plot([min(both), max(both)], [min(both), max(both)], color=_GREY, linewidth=0.8)
    rank = "" if check.rank_correlation is None else f" Rank correlation {check.rank_correlation:.2f}"
    axes.set(
        xlabel="damage, sum over layers",
        ylabel="damage, measured",
        xscale="log",
        yscale="log",
        title=f"Do layers add up?{rank}",
    )
    _plain_ticks(axes.xaxis)
    _plain_ticks(axes.yaxis)
    axes.legend(frameon=False, fontsize=8)


def _plain_ticks(axis: Axis) -> None:
    """1, 2, 5, 10 … instead of powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
