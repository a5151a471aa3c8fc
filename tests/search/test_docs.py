"""The page about the search: its recipe and its program run."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgekit.config import read_toml
from edgekit.search.recipe import METHODS, SearchRecipe
from tests.search.conftest import Write

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")


def test_the_recipe_of_the_page_can_be_read(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "search.toml").write_text(text)
    assert read_toml(tmp_path / "search.toml", SearchRecipe).finetune.top == 2


def test_every_method_has_its_row() -> None:
    assert re.findall(r"^\| `([\w-]+)` \| (?:least|GHOST|`hq`|the largest)", PAGE, re.MULTILINE) == list(METHODS)


@pytest.mark.slow
def test_the_program_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_recipe: Write) -> None:
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(program, "search.md", "exec"), names)
    assert names["best"].widths["backbone.stem.conv.conv"] == 8
