import dataclasses
from pathlib import Path

import pytest

from edgekit.config import read_toml
from edgekit.errors import ConfigError
from edgekit.models import MODELS
from edgekit.models.classifiers import CLASSIFIERS
from edgekit.train.recipe import Recipe
from edgekit.train.tasks import read_recipe

RECIPES = sorted(p for p in Path(__file__).parents[2].glob("recipes/**/*.toml") if not p.stem.startswith("search_"))
MINIMAL = 'name = "a"\nmodel = "yolox_nano"\nout = "runs/a"\n'


@pytest.mark.parametrize("path", RECIPES, ids=[p.stem for p in RECIPES])
def test_shipped_recipes_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.model in (MODELS if isinstance(recipe, Recipe) else CLASSIFIERS)
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
        ("[data]\nsynth_frames = 3\n[quant]\nbits = 4\n", "unknown key 'bits'; known: weight, input"),
        ("[data]\nsynth_frames = 3\n[quant]\nweight = 1\n", "quant.weight 1 must be 2 to 8 bits"),
        ('[data]\nsynth_frames = 3\n[quant.layers]\nneck = "4"\n', "quant.layers.neck '4' must be 2 to 8 bits"),
        ('[data]\nsynth_frames = 3\n[quant]\nmethod = "kl"\n', "quant.method 'kl' is unknown; choose minmax, perc"),
        ("[data]\nsynth_frames = 3\n[quant]\nimages = 0\n", "quant.images 0 must be 1 or more"),
        ("[data]\nsynth_frames = 3\n[quant]\nlayers = 4\n", "quant.layers is a table of name = bits, got 4"),
        (
            "epochs = 9\nfull_epochs = 1\n[data]\nsynth_frames = 3\n[quant]\nfreeze_epoch = 9\n",
            "9 must be below epochs 9",
        ),
        ('precision = "bf16-mixed"\n[data]\nsynth_frames = 3\n[quant]\n', "does not hold codes times steps"),
        ('[data]\nsynth_frames = 3\n[distill]\nmethod = "gost"\n', "distill.method 'gost' is unknown; choose .*ghost"),
        ('[data]\nsynth_frames = 3\n[distill]\nmethod = "ghost"\n', "distill.config: key 'layers' is missing"),
        (
            '[data]\nsynth_frames = 3\n[distill]\nmethod = "ghost"\nconfig = { layers = ["neck"], weigth = 1.0 }\n',
            "distill.config: unknown key 'weigth'; did you mean 'weight'",
        ),
        (
            '[data]\nsynth_frames = 3\n[distill]\nmethod = "ghost"\nconfig = { layers = ["neck"] }\n',
            "teach their quantised copy; give init and",
        ),
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


def test_the_arms_of_the_comparison_of_fusions_differ_in_nothing_but_what_is_compared() -> None:
    arms = [dataclasses.asdict(read_toml(p, Recipe)) for p in RECIPES if p.stem.startswith("superyolo_synth")]
    differing = {key for key in arms[0] if any(arm[key] != arms[0][key] for arm in arms)}
    assert (len(arms), differing) == (5, {"name", "model", "out", "super_resolution"})
    assert [arm["name"] for arm in arms if arm["super_resolution"]["weight"]] == ["superyolo_synth_concat_sr"]
