from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgekit.config import read_toml
from edgekit.search.as_toml import toml_of
from edgekit.train.recipe import Quant, Recipe

NAMES = ("student_hit_uav", "student_hit_uav_w4", "student_hit_uav_w4_ghost", "superyolo_synth_mf", "synth_quick")
RECIPES = [Path(__file__).parents[2] / "recipes" / f"{name}.toml" for name in NAMES]


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_a_recipe_comes_back(path: Path, tmp_path: Path) -> None:
    recipe = read_toml(path, Recipe)
    again = tmp_path / "again.toml"
    again.write_text(toml_of(recipe))
    assert read_toml(again, Recipe) == recipe


def test_names_that_need_quotes(tmp_path: Path) -> None:
    recipe = read_toml(RECIPES[0], Recipe)
    odd = replace(
        recipe, name='a "b" \\ é', quant=Quant(layers={"head.levels.0.cls": 4, "neck": 32}), precision="32-true"
    )
    path = tmp_path / "odd.toml"
    path.write_text(toml_of(odd), encoding="utf-8")
    assert read_toml(path, Recipe) == odd
    assert "[quant.layers]" in path.read_text() and '"head.levels.0.cls" = 4' in path.read_text()


def test_what_has_no_form() -> None:
    recipe = replace(read_toml(RECIPES[0], Recipe), name=b"bytes")
    with pytest.raises(TypeError, match="has no form in TOML"):
        toml_of(recipe)
