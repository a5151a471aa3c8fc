"""The files of a search: JSON, a page to read, a plot, and training recipes."""

from __future__ import annotations

import json
from pathlib import Path

from edgekit.files import atomic_write, storage_errors
from edgekit.search.as_toml import toml_of
from edgekit.search.plot import plot_pareto
from edgekit.search.report import render
from edgekit.search.result import SearchResult
from edgekit.train.recipe import Recipe


def write_results(result: SearchResult) -> None:
    """Write `search.json`, `pareto.png` and `report.html` into the folder of a search.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    folder = Path(result.out)
    value = result.to_json()
    with atomic_write(folder / "search.json", "w") as stream:
        json.dump(value, stream, indent=1)
        stream.write("\n")
    png = plot_pareto(result)
    with atomic_write(folder / "pareto.png") as stream:
        stream.write(png)
    with atomic_write(folder / "report.html", "w") as stream:
        stream.write(render(result, png))


def write_plan(folder: Path, recipe: Recipe) -> Path:
    """Write a training recipe as `plans/METHOD.toml`, for `edgekit train`.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    assert recipe.quant is not None
    path = folder / "plans" / f"{recipe.name}.toml"
    with storage_errors(path):
        path.parent.mkdir(exist_ok=True)
    head = f"# Widths found by edgekit search. Train them: edgekit train {path}\n"
    with atomic_write(path, "w") as stream:
        stream.write(head + toml_of(recipe))
    return path
