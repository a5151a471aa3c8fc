"""Train what benchmarks/any_precision.py scores: one network of five precisions a seed, and dedicated ones beside it.

    python benchmarks/any_precision_train.py OUT NAME…

    any-SEED         the recipe as it is, recipes/student_hit_uav_any.toml
    alone-SEED       each precision for itself: no wider one teaches it
    mgda-SEED        gradients of the precisions combined by MGDA instead of summed
    wBITS-SEED       a network of one width
    longKIND-SEED    any of these, four times as long

All start from the same float weights; those of one length see the same number of steps and samples. Each run is one
process with one thread and leaves OUT/NAME/last.safetensors.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgekit.config import read_toml
from edgekit.data.dataset import Dataset
from edgekit.train.datasets import open_sets
from edgekit.train.loop import fit
from edgekit.train.recipe import Quant, Recipe

RECIPE = Path(__file__).parents[1] / "recipes" / "student_hit_uav_any.toml"
LONG = 4


def recipe_of(name: str, out: Path) -> Recipe:
    """The recipe of a run by its name."""
    kind, seed = name.split("-")
    recipe = replace(read_toml(RECIPE, Recipe), name=name, out=str(out / name), seed=int(seed))
    if kind.startswith("long"):
        kind, epochs = kind.removeprefix("long"), LONG * recipe.epochs
        recipe = replace(recipe, epochs=epochs, eval_every=epochs)
    return replace(recipe, quant=_quant(kind, recipe.quant))


def _quant(kind: str, recipe: Quant | None) -> Quant:
    assert recipe is not None
    if kind == "any":
        return recipe
    if kind == "alone":
        return replace(recipe, recursive=0.0)
    if kind == "mgda":
        return replace(recipe, combine="mgda")
    return Quant(weight=int(kind[1:]), input=recipe.input, images=recipe.images, method=recipe.method)


def main(out: Path, names: list[str]) -> None:
    """Run after run; one that is done already is left alone, one that was stopped goes on."""
    for name in names:
        recipe = recipe_of(name, out)
        checkpoint = Path(recipe.out) / "last.safetensors"
        sets = open_sets(recipe)
        unscored = Dataset(sets.val.name, sets.val.classes, ())  # bundles are scored afterwards, with integers
        fit(recipe, sets.items, unscored, resume=checkpoint.exists(), progress=partial(print, name, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
