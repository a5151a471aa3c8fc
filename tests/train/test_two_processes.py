"""Two gloo processes with half a batch each are one process with the whole batch.

Compared in 64 bits: label assignment is discrete, so that a rounding difference of 32 bits can pick another cell and
then grows from step to step, in one process as in two.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.models.weights import read_checkpoint
from edgekit.train.loop import fit
from tests.train.toys import no_images, squares, toy_recipe

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from edgekit.train.loop import fit
from tests.train.toys import no_images, squares, toy_recipe
fit(toy_recipe(Path(sys.argv[1]), precision="64-true"), squares(16), no_images())
"""


def test_same_losses_and_weights_as_one_process(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one = fit(toy_recipe(tmp_path / "one", precision="64-true"), squares(16), no_images())
    for mine, theirs in zip(_rows(tmp_path / "one"), _rows(tmp_path / "two"), strict=True):
        for name in ("loss", "box", "obj", "cls", "l1"):
            assert theirs[name] == pytest.approx(mine[name], abs=1e-5)
    first, second = read_checkpoint(one)[0], read_checkpoint(tmp_path / "two" / "last.safetensors")[0]
    for name, value in first.items():
        if name.startswith("model."):
            assert torch.allclose(value, second[name], atol=1e-6), name


def _rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_an_optimiser_made_before_holds_what_is_trained() -> None:
    from edgekit.train.sync_norm import SyncNorm2d, synchronise_norms

    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Sequential(nn.BatchNorm2d(5)))
    held = list(model.parameters())
    synchronise_norms(model)
    assert isinstance(model[1][0], SyncNorm2d)
    assert all(mine is theirs for mine, theirs in zip(held, model.parameters(), strict=True))


def test_sync_norm_alone_is_batch_norm(tmp_path: Path) -> None:
    """In a group of one process, outputs, gradients and running statistics are those of `BatchNorm2d`."""
    from torch import distributed

    from edgekit.train.sync_norm import synchronise_norms

    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        plain = nn.Sequential(nn.BatchNorm2d(5, eps=1e-3, momentum=0.03))
        synced = nn.Sequential(nn.BatchNorm2d(5, eps=1e-3, momentum=0.03))
        synchronise_norms(synced)
        for module in (plain, synced):
            nn.init.uniform_(module[0].weight, generator=torch.Generator().manual_seed(1))
        x = torch.randn(3, 5, 7, 9) * 3 + 1
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        for module, value in ((plain, a), (synced, b)):
            (module(value) * torch.linspace(0, 1, x.numel()).reshape(x.shape)).sum().backward()
        assert a.grad is not None and b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-5)
        for name, value in plain.state_dict().items():
            assert torch.allclose(value.float(), synced.state_dict()[name].float(), atol=1e-5), name
    finally:
        distributed.destroy_process_group()
