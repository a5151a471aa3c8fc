"""Woods: crowns so close together that they are part of the ground."""

import numpy as np

from edgekit.data.synth import vehicles
from edgekit.data.synth.canvas import PIXELS_PER_M
from edgekit.data.synth.compose import paste
from edgekit.data.synth.layout import Layout
from edgekit.data.synth.noise import random_for
from edgekit.data.synth.wardrobe import Wardrobe

_PITCH_M = 4.2
_INSET_M = 2.5
_FRAME = np.array([[PIXELS_PER_M, 0.0], [0.0, PIXELS_PER_M], [0.0, 0.0]])


def plant(ground_bgrh: np.ndarray, layout: Layout, wardrobe: Wardrobe) -> None:
    """Paint crowns on the forest parcels of the ground map."""
    rng = random_for(layout.seed, "forest")
    for parcel in layout.parcels:
        if parcel.kind != "forest":
            continue
        inner = parcel.inner
        half = (inner.length_m / 2.0 - _INSET_M, inner.width_m / 2.0 - _INSET_M)
        x, y = np.meshgrid(np.arange(-half[0], half[0], _PITCH_M), np.arange(-half[1], half[1], _PITCH_M))
        spots = np.stack([x.ravel(), y.ravel()], axis=1)
        spots = spots[rng.permutation(len(spots))] + rng.uniform(-1.6, 1.6, (len(spots), 2))
        for spot in spots + [inner.x_m, inner.y_m]:
            radius = rng.uniform(1.9, 3.6)
            sprite = wardrobe.sprite("tree", int(rng.randint(0, 1 << 16)), False)
            paste(ground_bgrh, vehicles.flat(sprite, spot * PIXELS_PER_M, _FRAME, radius, radius * 1.2))
