import torch
from torch import nn

from edgekit.train.ema import Ema


def test_average_follows_and_carries_no_gradient() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    ema = Ema(model, decay=0.9, ramp=1)
    before = ema.module[0].weight.clone()
    with torch.no_grad():
        model[0].weight.add_(1.0)
        model[1].num_batches_tracked.add_(7)
    ema.update(model)
    decay = ema.decay_now()
    assert torch.allclose(ema.module[0].weight, before * decay + model[0].weight * (1 - decay))
    assert int(ema.module[1].num_batches_tracked) == 7
    assert not any(p.requires_grad for p in ema.module.parameters())


def test_decay_ramps_up_to_its_limit() -> None:
    ema = Ema(nn.Linear(1, 1), decay=0.99, ramp=10)
    ema.updates = 1
    early = ema.decay_now()
    ema.updates = 10_000
    assert early < 0.1
    assert ema.decay_now() > 0.9899
