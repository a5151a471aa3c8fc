"""Actors that only one of the two cameras sees.

To the other one they look like the ground behind them: a car that is as warm as the road, a person in the colours of
the meadow. An idealisation: nothing of them is left there, neither an edge nor a shadow.
"""

import contextlib
import functools
from typing import Iterator

import numpy as np

from edgekit.data.synth.compose import Patch
from edgekit.data.synth.noise import random_for

BOTH, COLOUR, INFRARED = 0, 1, 2
"""Who sees an actor."""


@functools.lru_cache(maxsize=8)
def seen_by(seed: int, actors: int, share: float) -> np.ndarray:
    """(actors,) int64 who sees each: `share` of them one camera alone, half of these each.

    The same for the same values; with a larger share, those of a smaller one stay what they were.
    """
    draw = random_for(seed, "one camera").uniform(0.0, 1.0, (2, actors))
    return np.where(draw[0] < share, np.where(draw[1] < 0.5, COLOUR, INFRARED), BOTH)


@contextlib.contextmanager
def veiled(canvas: np.ndarray, patch: Patch, seen: int) -> Iterator[None]:
    """While `patch` is pasted on the canvas (H, W, 4): planes of a camera that does not see it stay as they were."""
    if seen == BOTH:
        yield
        return
    height, width = patch.alpha.shape
    under = canvas[max(patch.y, 0) : max(patch.y + height, 0), max(patch.x, 0) : max(patch.x + width, 0)]
    planes = np.s_[..., 3:] if seen == COLOUR else np.s_[..., :3]
    before = under[planes].copy()
    yield
    under[planes] = before
