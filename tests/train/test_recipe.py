from pathlib import Path

import pytest

from edgekit.config import read_toml
from edgekit.errors import ConfigError
from edgekit.models import MODELS
from edgekit.train.recipe import Recipe

RECIPES = sorted(Path(__file__).parents[2].glob("recipes/*.toml"))
MINIMAL = 'name = "a"\nmodel = "yolox_nano"\nout = "runs/a"\n'


@pytest.mark.parametrize("path", RECIPES, ids=[p.stem for p in RECIPES])
def test_shipped_recipes_can_be_read(path: Path) -> None:
    recipe = read_toml(path, Recipe)
    assert recipe.model in MODELS
    assert recipe.out.startswith("runs/")


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(MINIMAL + text)
    return read_toml(path, Recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\nsynth_frames = 3\n[optim]\nlrr = 1.0\n", "unknown key 'lrr'; did you mean 'lr'"),
        ("crop = 100\n[data]\nsynth_frames = 3\n", "crop 100 must be a positive multiple of 64"),
        ("epochs = 2\nfull_epochs = 5\n[data]\nsynth_frames = 3\n", "full_epochs 5 is more than epochs 2"),
        ('precision = "fp8"\n[data]\nsynth_frames = 3\n', "'fp8' is unknown; choose 32-true, bf16-mixed or 64-true"),
        ('box_loss = "siou"\n[data]\nsynth_frames = 3\n', "'siou' is unknown; choose iou, giou or ciou"),
        ('[data]\nsynth_frames = 3\n[optim]\nname = "lion"\n', "'lion' is unknown; choose adamw or sgd"),
        ("[data]\n", "names neither train_labels nor synth_frames"),
        ("", "key 'data' is missing"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_minimal_recipe_fills_in_defaults(tmp_path: Path) -> None:
    recipe = read(tmp_path, "[data]\nsynth_frames = 3\n")
    assert (recipe.height, recipe.width, recipe.optim.name) == (512, 640, "adamw")
