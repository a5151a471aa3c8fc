from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.errors import ModelError
from edgekit.models.weights import read_checkpoint
from edgekit.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from edgekit.train.ema import Ema


def trained(seed: int) -> tuple[nn.Module, Ema, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    ema = Ema(model, 0.9)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        ema.update(model)
    return model, ema, optimizer


def test_everything_comes_back(tmp_path: Path) -> None:
    model, ema, optimizer = trained(0)
    path = tmp_path / "run" / "last.safetensors"
    save_checkpoint(path, model, ema, optimizer, Progress(epoch=3, step=7, ema_updates=2), {"model": "x"})
    other = trained(1)
    progress = load_checkpoint(path, *other)
    assert (progress.epoch, progress.step, other[1].updates) == (3, 7, 2)
    for mine, theirs in ((model, other[0]), (ema.module, other[1].module)):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name])
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            assert torch.equal(value, other[2].state_dict()["state"][index][key])
    assert read_checkpoint(path)[1]["model"] == "x"
    assert [p.name for p in path.parent.iterdir()] == ["last.safetensors"]


def test_missing_damaged_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    model, ema, optimizer = trained(0)
    with pytest.raises(ModelError, match="no checkpoint at .*; start the run without resuming"):
        load_checkpoint(tmp_path / "none.safetensors", model, ema, optimizer)
    path = tmp_path / "cut.safetensors"
    save_checkpoint(path, model, ema, optimizer, Progress(), {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is not a checkpoint"):
        load_checkpoint(path, model, ema, optimizer)
    save_checkpoint(path, nn.Linear(2, 2), Ema(nn.Linear(2, 2), 0.9), optimizer, Progress(), {})
    with pytest.raises(ModelError, match="is of another network"):
        load_checkpoint(path, model, ema, optimizer)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="no edgekit metadata"):
        read_checkpoint(path)
