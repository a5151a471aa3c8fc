import numpy as np
import pytest
import torch

from edgekit.data.augment import Labelled
from edgekit.train.loader import Loader, collate
from edgekit.train.recipe import Augment


def items(count: int, colour: bool = False) -> list[Labelled]:
    made = []
    for k in range(count):
        image = np.full((96, 128), 3 * k + 1, np.uint8)
        image = np.repeat(image[..., None], 3, axis=2) if colour else image
        box = np.array([[20, 30, 60, 70]], np.float32)
        made.append(Labelled(image, box, np.array([k % 3]), np.zeros((0, 4), np.float32)))
    return made


def test_two_processes_share_out_the_batch_of_one() -> None:
    augment = Augment(mixup=0.5)
    whole = list(Loader(items(8), augment, 7).epoch(2, 4, (64, 64), False))
    halves = [list(Loader(items(8), augment, 7, rank, 2).epoch(2, 4, (64, 64), False)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        for rank in (0, 1):
            assert torch.equal(batch.x_nchw[rank::2], halves[rank][step].x_nchw)


def test_resuming_inside_an_epoch_skips_exactly_what_was_done() -> None:
    loader = Loader(items(8), Augment(), 0)
    batches = list(loader.epoch(1, 2, (64, 64), False))
    rest = list(loader.epoch(1, 2, (64, 64), False, first_step=3))
    assert len(rest) == 1
    assert torch.equal(rest[0].x_nchw, batches[3].x_nchw)


def test_epochs_and_seeds_differ() -> None:
    first, second = (next(Loader(items(8), Augment(), 0).epoch(e, 4, (64, 64), False)) for e in (0, 1))
    assert not torch.equal(first.x_nchw, second.x_nchw)


def test_rendered_samples_stay_out_of_full_frames() -> None:
    bright = [item._replace(image=item.image + 200) for item in items(4)]
    loader = Loader(items(4), Augment(gain=0, bias=0), 0, extra=bright)
    assert (loader.steps(2, full=False), loader.steps(2, full=True)) == (4, 2)
    crops = torch.cat([batch.x_nchw for batch in loader.epoch(0, 2, (128, 64), full=False)]) * 255
    full = torch.cat([batch.x_nchw for batch in loader.epoch(0, 2, (128, 64), full=True)]) * 255
    assert float(crops.max()) > 199
    assert float(full.max()) < 115


@pytest.mark.parametrize("colour", [False, True])
def test_batches_are_three_channels_in_unit_range(colour: bool) -> None:
    batch = next(Loader(items(4, colour), Augment(), 0).epoch(0, 4, (128, 64), full=True))
    assert batch.x_nchw.shape == (4, 3, 64, 128)
    assert 0.0 <= float(batch.x_nchw.min()) <= float(batch.x_nchw.max()) <= 1.0
    assert len(batch.targets) == 4


def test_training_input_equals_the_device_input() -> None:
    from edgekit.models import network_preprocess
    from edgekit.process import prepare

    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3)).astype(np.uint8)
    item = items(1, colour=True)[0]._replace(image=image)
    device, _ = prepare(image, network_preprocess(64, 128))
    np.testing.assert_allclose(collate([item]).x_nchw.numpy(), device, atol=1e-6)
