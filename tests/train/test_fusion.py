"""Networks of colour and infrared learn what only one camera sees: eight pairs, by heart."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.data.augment import Labelled
from edgekit.models import from_checkpoint
from edgekit.process import decode
from edgekit.train.anchor_loss import AnchorGains
from edgekit.train.loop import fit
from edgekit.train.recipe import Augment, Optim
from tests.train.toys import no_images, toy_recipe

STILL = Augment(
    scale=(1.0, 1.0), full_scale=(1.0, 1.0), stretch=0.0, mosaic=0.0, flip_lr=0.0, gain=0.0, bias=0.0, hsv=(0, 0, 0)
)


def warm_in_the_dark(count: int) -> list[Labelled]:
    """(64, 64, 4): noise in colour, and one warm square that infrared alone sees."""
    rng = np.random.default_rng(5)
    made = []
    for k in range(count):
        image = rng.integers(60, 100, (64, 64, 4)).astype(np.uint8)
        x, y = rng.integers(4, 44, 2)
        image[y : y + 16, x : x + 16, 3] = 220
        box = np.array([[x, y, x + 16, y + 16]], np.float32)
        made.append(Labelled(image, box, np.array([k % 2]), np.zeros((0, 4), np.float32)))
    return made


def recall(out: Path, model: str, items: list[Labelled], **changes: object) -> float:
    """Share of the squares that are among the two best boxes of their picture, at IoU 0.5."""
    recipe = toy_recipe(
        out,
        model=model,
        epochs=60,
        full_epochs=60,
        batch=4,
        full_batch=4,
        augment=STILL,
        optim=Optim(lr=5e-3, warmup_steps=5, ema=0.9),
        anchors=AnchorGains(obj=0.3),
        **changes,
    )
    network, _ = from_checkpoint(fit(recipe, items, no_images()))
    found = 0
    for item in items:
        planes = item.image if item.image.ndim == 3 else np.repeat(item.image[..., None], 3, axis=2)
        x = torch.from_numpy(planes.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        with torch.inference_mode():
            xyxy, score, _ = decode([network(x).numpy()], network.decode_spec, (64, 64), 0.0)
        best = xyxy[np.argsort(-score)[:2]]
        low, high = np.maximum(best[:, :2], item.xyxy[:, :2]), np.minimum(best[:, 2:], item.xyxy[:, 2:])
        inter = (high - low).clip(0).prod(axis=1)
        union = (best[:, 2:] - best[:, :2]).prod(axis=1) + 256 - inter
        found += bool((inter / union > 0.5).any())
    return found / len(items)


@pytest.mark.parametrize("model", ["superyolo_small_concat", "superyolo_small_mf"])
def test_what_infrared_alone_sees_is_found_by_networks_of_both(model: str, tmp_path: Path) -> None:
    assert recall(tmp_path, model, warm_in_the_dark(8)) >= 0.75
