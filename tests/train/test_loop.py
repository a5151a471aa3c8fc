import json
import os
import signal
from pathlib import Path

import pytest
import torch

from edgekit.errors import ConfigError, DataError, ModelError
from edgekit.models.weights import read_checkpoint
from edgekit.train.interrupt import TrainingInterrupted
from edgekit.train.loop import fit, phase_of, train
from edgekit.train.recipe import Optim
from tests.train.toys import no_images, squares, toy_recipe


def weights(path: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(path)[0]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_loss_falls_on_squares(tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = toy_recipe(tmp_path, epochs=12, full_epochs=0, optim=Optim(warmup_steps=2, lr=3e-3))
    fit(recipe, squares(16), no_images(), progress=lambda done, total, text: losses.append(done))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    assert losses == list(range(1, 49))


def test_phases_are_crops_then_full_frames(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, epochs=5, full_epochs=2, width=128, full_batch=2)
    assert [phase_of(recipe, epoch).full for epoch in range(5)] == [False, False, False, True, True]
    assert phase_of(recipe, 4).size_wh == (128, 64)
    assert phase_of(recipe, 4).batch == 2


@pytest.mark.parametrize("stop_at", [2, 4, 5])
def test_interrupted_and_resumed_is_the_same_run(tmp_path: Path, stop_at: int) -> None:
    """Ctrl-C inside an epoch, at its end and in the next one."""
    items = squares(16)
    straight = fit(toy_recipe(tmp_path / "a"), items, no_images())

    def press(done: int, total: int, text: str) -> None:
        if done == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    recipe = toy_recipe(tmp_path / "b")
    with pytest.raises(TrainingInterrupted, match=rf"stopped after step {stop_at} of 8; .*--resume"):
        fit(recipe, items, no_images(), progress=press)
    resumed = fit(recipe, items, no_images(), resume=True)
    assert same(weights(straight), weights(resumed))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_losses_that_are_not_finite_stop_the_run(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, optim=Optim(lr=1e30, warmup_steps=1, clip_norm=0.0))
    with pytest.raises(DataError, match=r"the loss became (nan|inf) at step \d; lower optim.lr .now 1e\+30. or check"):
        fit(recipe, squares(16), no_images())
    assert not (tmp_path / "last.safetensors").exists()


def test_resuming_nothing_and_starting_over_something(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path)
    with pytest.raises(ModelError, match="no checkpoint at"):
        fit(recipe, squares(4), no_images(), resume=True)
    (tmp_path / "last.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigError, match="holds a run already; resume it, or delete the folder"):
        train(recipe)


def test_no_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the training set has no images"):
        fit(toy_recipe(tmp_path), [], no_images())


def test_a_run_can_start_from_another_ones_average(tmp_path: Path) -> None:
    first = fit(toy_recipe(tmp_path / "a"), squares(8), no_images())
    recipe = toy_recipe(tmp_path / "b", init=str(first), epochs=1, optim=Optim(lr=0.0, ema=0.0))
    second = fit(recipe, squares(8), no_images())
    kernel = "backbone.dark2.0.conv.weight"
    assert torch.equal(weights(second)[f"model.{kernel}"], weights(first)[f"ema.{kernel}"])
