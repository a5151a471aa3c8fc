from dataclasses import dataclass, field
from typing import List, Optional, Tuple

import pytest

from edgekit.config import read_toml
from edgekit.errors import ConfigError


@dataclass(frozen=True)
class Optimizer:
    lr: float = 0.01
    nesterov: bool = True


@dataclass(frozen=True)
class Recipe:
    name: str
    epochs: int = 10
    sizes: Tuple[int, ...] = (320,)
    tags: List[str] = field(default_factory=list)
    seed: Optional[int] = None
    opt: Optimizer = Optimizer()

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError("epochs is at least 1, got {}".format(self.epochs))


def _read(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_toml(str(path), Recipe)


def test_a_file_becomes_its_dataclass(tmp_path):
    recipe = _read(tmp_path, 'name = "a"\nsizes = [320, 416]\nseed = 3\n[opt]\nlr = 1\n')
    assert recipe == Recipe("a", sizes=(320, 416), seed=3, opt=Optimizer(lr=1.0))
    assert type(recipe.opt.lr) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\nepoch = 3', "unknown key 'epoch'; did you mean 'epochs'?"),
        ('name = "a"\n[opt]\nlrr = 3.0', "opt: unknown key 'lrr'; did you mean 'lr'?"),
        ("epochs = 3", "key 'name' is missing"),
        ('name = "a"\nepochs = "3"', "epochs is int, got '3'"),
        ('name = "a"\nepochs = true', "epochs is int, got True"),
        ('name = "a"\nepochs = 0', "epochs is at least 1"),
        ('name = "a"\nopt = 3', "opt is a table"),
        ('name = "a"\nsizes = 3', "sizes is a list"),
        ("name = ", "is not TOML"),
    ],
)
def test_a_mistake_is_one_line_with_its_key(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_toml(str(tmp_path / "absent.toml"), Recipe)
