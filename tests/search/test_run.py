"""A whole search, interrupted and not."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from edgekit.config import read_toml
from edgekit.errors import ConfigError, DataError, ModelError
from edgekit.search import SearchRecipe, search
from edgekit.search.subject import open_subject
from edgekit.train.recipe import Recipe
from tests.search.conftest import TRAIN, Write


class Killed(BaseException):
    """What a killed process would not see either."""


def numbers(folder: Path) -> dict[str, Any]:
    """What must not depend on interruptions: everything but times and places."""
    value = json.loads((folder / "out" / "search.json").read_text())
    for key in ("seconds", "machine", "recipe", "out"):
        del value[key]
    for row in (*value["references"], *value["plans"]):
        row["recipe"] = None
        row["costs"].pop("ms", None)
        if row["verified"]:
            row["verified"] = {key: row["verified"][key] for key in ("bundle_bytes", "weight_bytes", "epochs")}
    for row in value["frontier"]:
        row["costs"].pop("ms", None)
    for layer in value["layers"]:
        layer["int8_ms"] = layer["float_ms"] = None
    return value


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, write_recipe: Write) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    search(write_recipe(folder, top=1))
    return folder


def test_what_a_search_leaves(straight: Path) -> None:
    out = straight / "out"
    value = json.loads((out / "search.json").read_text())
    assert value["finished"] and [row["name"] for row in value["references"]] == ["float", "8-bit"]
    assert {row["name"] for row in value["plans"]} == {"sensitivity", "hq", "hq-solved", "uniform"}
    for row in value["plans"]:
        assert row["within"] and row["costs"]["mean_bits"] <= 4.5 and row["measured"] > 0
        recipe = read_toml(row["recipe"], Recipe)
        assert recipe.quant is not None and recipe.quant.layers == row["widths"]
        assert row["widths"]["neck.down4.conv"] == 5
    best = min(value["plans"], key=lambda row: row["predicted"])
    assert best["name"] == "sensitivity"
    seen = value["plans"][0]["verified"]
    assert seen["weight_bytes"] == value["plans"][0]["costs"]["bytes"]
    assert Path(seen["bundle"]).stat().st_size == seen["bundle_bytes"] and len(seen["ms"]["samples"]) == 2
    assert sum(row["verified"] is not None for row in value["plans"]) == 1
    page = (out / "report.html").read_text()
    assert "data:image/png;base64," in page and "hq-solved" in page and "http" not in page
    assert (out / "pareto.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["measuring neck.smooth3.conv", "measuring combination 2", "detect"])
def test_an_interrupted_search_goes_on_where_it_was(
    tmp_path: Path, straight: Path, write_recipe: Write, text: str
) -> None:
    path = write_recipe(tmp_path, top=1)
    seen: list[str] = []

    def kill(done: int, total: int, said: str) -> None:
        if said.startswith(text):
            raise Killed
        seen.append(said)

    with pytest.raises(Killed):
        search(path, progress=kill)
    with pytest.raises(ConfigError, match="holds a search already; go on with --resume"):
        search(path)
    after: list[str] = []
    search(path, resume=True, progress=lambda done, total, said: after.append(said))
    repeated = {said for said in set(seen) & set(after) if said.startswith(("measuring", "lowering"))}
    # the picture, plan or bundle under way is the only one that is made again
    assert text != "detect" or not repeated
    assert numbers(tmp_path) == numbers(straight)


def test_a_finished_search_has_nothing_to_do(straight: Path) -> None:
    said: list[str] = []
    before = (straight / "out" / "journal.jsonl").read_bytes()
    search(straight / "search.toml", resume=True, progress=lambda done, total, text: said.append(text))
    assert said == [] and (straight / "out" / "journal.jsonl").read_bytes() == before


def test_another_recipe_in_the_same_folder(straight: Path, tmp_path: Path) -> None:
    text = (straight / "search.toml").read_text().replace("images = 2", "images = 1")
    (tmp_path / "other.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"holds the search of another recipe \(images, search differ\)"):
        search(tmp_path / "other.toml", resume=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("[quant]", "[optim]"), ConfigError, "unknown key 'images'"),
        (('init = "{init}"', ""), ConfigError, "has no `init`; a search starts from trained float weights"),
        (("{init}", "nowhere.onnx"), ModelError, "no model at nowhere.onnx"),
        (('"neck.down4" = 5', "nek = 5"), ConfigError, "quant.layers names 'nek', which is no layer"),
        (('"neck.down4" = 5', "neck = 4\nhead = 4"), ConfigError, "every layer of .* has a fixed width"),
        (
            ('"fasterx_student"', '"superyolo_rgb"'),
            ConfigError,
            "trains superyolo_rgb, whose head has anchors; a search",
        ),
        (("synth_frames = 2", "synth_frames = 1"), DataError, "asks for 2 pictures and .* renders 1; raise"),
    ],
)
def test_training_recipes_that_cannot_be_searched(
    tmp_path: Path, write_recipe: Write, change: tuple[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_subject(read_toml(write_recipe(tmp_path, train=TRAIN.replace(*change)), SearchRecipe))


def test_a_recipe_without_quantisation(tmp_path: Path, write_recipe: Write) -> None:
    train = TRAIN[: TRAIN.index("[quant]")].replace('init = "{init}"', "")
    with pytest.raises(ConfigError, match=r"has no \[quant\], so there are no widths to search"):
        open_subject(read_toml(write_recipe(tmp_path, train=train), SearchRecipe))


def test_pictures_that_are_not_there(tmp_path: Path, write_recipe: Write) -> None:
    path = write_recipe(tmp_path)
    path.write_text(path.read_text().replace("threads = 1", f'threads = 1\ncalibration = "{tmp_path}/none"'))
    with pytest.raises(DataError, match="cannot list images folder .*none"):
        search(path)


@pytest.mark.slow
def test_a_budget_out_of_reach_is_said_before_anything_is_measured(tmp_path: Path, write_recipe: Write) -> None:
    path = write_recipe(tmp_path, budget="[budget]\nmean_bits = 1.5")
    said: list[str] = []
    with pytest.raises(ConfigError, match=r"budget.mean_bits 1.5 is out of reach; the smallest is 3.5\d+ bits"):
        search(path, progress=lambda done, total, text: said.append(text))
    assert not any(text.startswith("measuring") for text in said)
