"""The page about training binary networks: its code runs, and its recipe is one."""

import re
import warnings
from pathlib import Path

import tomllib
import torch

from edgekit.config import dataclass_from_dict
from edgekit.train.classify_recipe import ClassifyRecipe

PAGE = (Path(__file__).parents[2] / "docs" / "binary_training.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs() -> None:
    torch.manual_seed(0)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(block, "binary_training.md", "exec"), names)
    assert names["plan"].layers_by_bits() == {1: 6} and len(names["shares"]) == 12
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(names["twin"](x), names["student"](x), rtol=1e-4, atol=1e-4)


def test_the_recipe_of_the_page_is_one() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    recipe = dataclass_from_dict(tomllib.loads(block), ClassifyRecipe, "the page")
    assert recipe.binary is not None and recipe.distill is not None
