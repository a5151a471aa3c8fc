"""The training curve as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgekit.errors import DataError
from edgekit.files import atomic_write


def plot_curve(metrics_jsonl: Path, png: Path, title: str = "") -> None:
    """Draw loss and scores over the epochs of `metrics.jsonl`.

    Raises:
        DataError: the file is missing or holds no epoch.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = _rows(metrics_jsonl)
    scored = [row for row in rows if row.get("AP50") is not None]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name in ("loss", "box", "obj", "cls"):
        left.plot([r["epoch"] for r in rows], [r[name] for r in rows], label=name)
    left.set(xlabel="epoch", ylabel="loss per positive cell", ylim=(0, None))
    for name, label in (("AP50", "AP50"), ("AP", "AP"), ("AP_small", "AP small")):
        right.plot(
            [r["epoch"] for r in scored], [r[name] or 0.0 for r in scored], marker="o", markersize=3, label=label
        )
    right.set(xlabel="epoch", ylabel="validation score", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(title)
    with atomic_write(png) as file:
        figure.savefig(file, format="png", dpi=110)
    pyplot.close(figure)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give the metrics.jsonl of a run") from error
    if not rows:
        raise DataError(f"{path} holds no epoch; let the run finish its first one")
    return rows
