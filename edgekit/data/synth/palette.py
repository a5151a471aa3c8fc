"""What each ground material looks like in colour and in the thermal infrared, by the weather of the flight."""

from typing import Dict, NamedTuple, Tuple

from edgekit.data.synth.noise import Random

Colour = Tuple[int, int, int]

# Material: BGR colour, and how much of the noise it shows (0 smooth, 255 rough).
GROUND: Dict[str, Tuple[Colour, int]] = {
    "grass": ((78, 120, 106), 120),
    "lawn": ((80, 130, 110), 85),
    "soil": ((92, 122, 148), 120),
    "asphalt": ((108, 106, 104), 42),
    "lot": ((120, 118, 116), 46),
    "pavement": ((162, 166, 168), 46),
    "plaza": ((158, 170, 180), 50),
    "court": ((92, 96, 158), 34),
    "pitch": ((70, 140, 96), 50),
    "paint": ((222, 226, 228), 40),
    "water": ((112, 98, 58), 34),
    "shallow": ((124, 124, 84), 60),
    "sand": ((158, 190, 204), 60),
    "hedge": ((60, 108, 84), 190),
    "pool": ((214, 182, 96), 24),
    "forest": ((44, 76, 62), 150),
}

CROPS: Tuple[Colour, ...] = (
    (62, 120, 94),
    (72, 142, 116),
    (102, 164, 182),
    (90, 132, 156),
    (122, 186, 204),
    (66, 104, 86),
)


class Weather(NamedTuple):
    """Thermal levels 0-255 of one kind of day; `shadow` is what shade takes away, `contrast` scales the noise."""

    name: str
    heat: Dict[str, int]
    tree: int
    roof: Tuple[int, int]
    wall: int
    crop: Tuple[int, int]
    shadow: int
    contrast: float
    body: Tuple[int, int]
    skin: int
    metal: int


_SUNNY = Weather(
    "sunny",
    {
        "grass": 112, "lawn": 108, "soil": 142, "asphalt": 146, "lot": 150, "pavement": 138, "plaza": 142, "court": 146,
        "pitch": 128, "paint": 140, "water": 72, "shallow": 84, "sand": 150, "forest": 60, "hedge": 78, "pool": 70,
    },
    62, (120, 180), 128, (96, 138), 46, 1.0, (92, 236), 238, 112,
)  # fmt: skip
_NIGHT = Weather(
    "night",
    {
        "grass": 92, "lawn": 94, "soil": 104, "asphalt": 132, "lot": 128, "pavement": 122, "plaza": 120, "court": 118,
        "pitch": 98, "paint": 124, "water": 142, "shallow": 132, "sand": 104, "forest": 104, "hedge": 110, "pool": 138,
    },
    116, (66, 110), 124, (84, 108), 6, 0.7, (86, 190), 240, 168,
)  # fmt: skip
_OVERCAST = Weather(
    "overcast",
    {
        "grass": 112, "lawn": 112, "soil": 120, "asphalt": 124, "lot": 126, "pavement": 122, "plaza": 122, "court": 120,
        "pitch": 114, "paint": 118, "water": 96, "shallow": 102, "sand": 122, "forest": 90, "hedge": 98, "pool": 94,
    },
    92, (96, 138), 118, (106, 120), 8, 0.55, (96, 205), 238, 164,
)  # fmt: skip

WEATHERS = (_SUNNY, _NIGHT, _OVERCAST)


def weather_for(rng: Random) -> Weather:
    """One of the kinds of weather, sunny a little more often."""
    return WEATHERS[int(rng.choice(3, p=[0.45, 0.35, 0.2]))]
