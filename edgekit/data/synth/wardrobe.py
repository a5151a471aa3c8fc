"""The looks of a world's actors: each is made when it is first seen, then used again."""

import math
from typing import Dict, List, Tuple

import numpy as np

from edgekit.data.synth import figures, sprites
from edgekit.data.synth.noise import random_for
from edgekit.data.synth.palette import Weather

RUNNING_MPS = 0.5
SPRITE_KINDS = ("car", "truck", "boat")
_LOOKS = {"car": 40, "truck": 12, "boat": 10, "person": 64, "bicycle": 32, "tree": 16}
_PAINTERS = {"car": sprites.car, "truck": sprites.truck, "boat": sprites.boat}
_GAIT_RAD_PER_S = 7.5
_PERSON = (np.array([(0.16, 0.22), (-0.16, 0.22), (-0.16, -0.22), (0.16, -0.22)]), 1.8)
_BICYCLE = (np.array([(0.8, 0.12), (-0.8, 0.12), (-0.8, -0.12), (0.8, -0.12)]), 1.5)


class Wardrobe:
    """Pictures by kind and style; a style is any whole number, of which each kind has a few dozen looks."""

    def __init__(self, seed: int, weather: Weather, sun: Tuple[float, float]) -> None:
        self._seed, self._weather, self._sun = seed, weather, sun
        self._sprites: Dict[Tuple[str, int, bool], sprites.Sprite] = {}
        self._figures: Dict[Tuple[str, int, int, bool], figures.Figure] = {}

    def sprite(self, kind: str, style: int, running: bool) -> sprites.Sprite:
        """The picture of a vehicle or a tree."""
        key = (kind, style % _LOOKS[kind], running)
        if key not in self._sprites:
            rng = random_for(self._seed, "{} {}".format(kind, key[1]))
            if kind == "tree":
                self._sprites[key] = sprites.tree(rng, self._weather, self._sun)
            else:
                self._sprites[key] = _PAINTERS[kind](rng, self._weather, running)
        return self._sprites[key]

    def wake(self) -> sprites.Sprite:
        """The foam behind boats, one for all."""
        key = ("wake", 0, True)
        if key not in self._sprites:
            self._sprites[key] = sprites.wake(random_for(self._seed, "wake"), self._weather)
        return self._sprites[key]

    def figure(self, kind: str, style: int, speed_mps: float, t_s: float) -> figures.Figure:
        """A person or a bicycle at its place in the gait."""
        stride = t_s * _GAIT_RAD_PER_S if speed_mps > 0.2 else 0.0
        step = int((style + stride) / (2.0 * math.pi) * figures.GAIT_STEPS) % figures.GAIT_STEPS
        key = (kind, style % _LOOKS[kind], step, speed_mps > RUNNING_MPS)
        if key not in self._figures:
            rng = random_for(self._seed, "{} {}".format(kind, key[1]))
            self._figures[key] = figures.figure_of(self._strokes(kind, rng, step, key[3]))
        return self._figures[key]

    def _strokes(self, kind: str, rng: np.random.RandomState, step: int, ridden: bool) -> List[figures.Stroke]:
        glow = self._weather.skin
        if kind == "person":
            return figures.person(rng, step, glow)
        return figures.bicycle(rng, step, glow, self._weather.metal, ridden)

    def silhouette(self, kind: str, style: int, running: bool) -> Tuple[np.ndarray, float]:
        """What casts the shadow: an outline (K, 2) in metres, and its height in metres."""
        if kind in SPRITE_KINDS:
            sprite = self.sprite(kind, style, running)
            return sprite.outline, sprite.height_m * 0.85
        return _PERSON if kind == "person" else _BICYCLE
