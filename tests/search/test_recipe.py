from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgekit.config import read_toml
from edgekit.errors import ConfigError
from edgekit.search.recipe import SearchRecipe
from edgekit.train.recipe import Recipe

SHIPPED = sorted((Path(__file__).parents[2] / "recipes").glob("search_*.toml"))
HEAD = 'name = "a"\ntrain = "t.toml"\nout = "runs/a"\n'
BUDGET = "[budget]\nmean_bits = 4\n"


def read(folder: Path, text: str) -> SearchRecipe:
    path = folder / "search.toml"
    path.write_text(HEAD + text)
    return read_toml(path, SearchRecipe)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_recipes(path: Path) -> None:
    recipe = read_toml(path, SearchRecipe)
    training = read_toml(path.parents[1] / recipe.train, Recipe)
    assert training.quant is not None and training.init and recipe.out.startswith("runs/")
    assert recipe.budget.limits()["bytes"] < 500_000  # of 3.65 MB as float32


def test_limits_in_one_unit(tmp_path: Path) -> None:
    assert read(tmp_path, "[budget]\nmb = 0.5\nms = 12\n").budget.limits() == {"bytes": 5e5, "ms": 12.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[budget]\n", "budget has no limit; give bytes, mb, mean_bits, gbops or ms"),
        ("[budget]\nbyts = 1\n", "unknown key 'byts'; did you mean 'bytes'"),
        ("[budget]\nms = -1.0\n", "budget.ms -1.0 must be above 0"),
        ("[budget]\nmb = 1.0\nbytes = 5\n", "budget.bytes and budget.mb are the same limit"),
        (BUDGET + '[search]\nmethods = ["hawq"]\n', "search.methods has 'hawq', which is unknown; choose from sens"),
        (BUDGET + "[search]\nmethods = []\n", "search.methods names each method once, and one at least"),
        (BUDGET + "[search]\nbits = [4]\n", r"search.bits \[4\] must be two or more of 2 to 8"),
        (BUDGET + "[search]\nbits = [1, 4]\n", r"search.bits \[1, 4\] must be two or more of 2 to 8"),
        (BUDGET + "[search]\nbits = [4, 2]\n", r"search.bits \[4, 2\] must ascend"),
        (BUDGET + "[search]\nimages = 0\n", "search.images 0 must be 1 or more"),
        (BUDGET + "[search]\npoints = 1\n", "search.points 1 must be 2 or more"),
        (BUDGET + "[search]\nthreshold = 0.0\n", "search.threshold 0.0 must be above 0"),
        (BUDGET + "[finetune]\ntop = -1\n", "finetune.top and finetune.epochs must be 0 or more"),
        (BUDGET + "[finetune]\nepochs = 2\nfull_epochs = 3\n", "finetune.full_epochs 3 must be 0 to epochs 2"),
        ("threads = -1\n" + BUDGET, "threads -1 must be 0 or more"),
        ("", "key 'budget' is missing"),
    ],
)
def test_bad_recipes_say_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)
