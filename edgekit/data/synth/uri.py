"""`synth://?seed=3&frames=120&size=640x512&fps=30&ir=1`: a flight as a line of text."""

from typing import Callable, Dict, Tuple
from urllib.parse import parse_qsl, urlsplit

from edgekit.data.synth.flight import Flight
from edgekit.errors import DataError, SourceError


def parse_uri(uri: str) -> Flight:
    """Read a `synth://` address; what it leaves out has `Flight`'s defaults.

    Keys: seed, frames, fps, size (640x512), altitude (80-120 or 100), tilt (0-15 or 10), classes (car,person),
    ir (0; 1: the thermal image too; only: the thermal image is the picture), and one_camera (0.4: the share of actors
    that only one of the two cameras sees).

    Raises:
        SourceError: another scheme, an unknown key, or a value that cannot be used.
    """
    parts = urlsplit(uri)
    if parts.scheme != "synth":
        raise SourceError("{} is not a synthetic flight; expected synth://?seed=0&frames=300".format(uri))
    if parts.netloc or parts.path.strip("/"):
        raise SourceError("{}: nothing goes before the '?'; expected synth://?seed=0&frames=300".format(uri))
    fields: Dict[str, object] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _READERS:
            raise SourceError("{}: unknown key '{}'; expected one of {}".format(uri, key, ", ".join(sorted(_READERS))))
        try:
            fields.update(_READERS[key](value))
        except ValueError as error:
            raise SourceError(
                "{}: {}={} cannot be used; expected {}".format(uri, key, value, _EXPECTED[key])
            ) from error
    try:
        return Flight(**fields)  # type: ignore[arg-type]
    except DataError as error:
        raise SourceError("{}: {}".format(uri, error)) from error


def _size(text: str) -> Dict[str, object]:
    width, height = text.lower().split("x")
    return {"width": int(width), "height": int(height)}


def _limits(text: str) -> Tuple[float, float]:
    low, _, high = text.partition("-")
    return float(low), float(high or low)


def _infrared(text: str) -> Dict[str, object]:
    if text not in ("0", "1", "only"):
        raise ValueError(text)
    return {"infrared": text == "1", "thermal_only": text == "only"}


_READERS: Dict[str, Callable[[str], Dict[str, object]]] = {
    "seed": lambda text: {"seed": int(text)},
    "frames": lambda text: {"frames": int(text)},
    "fps": lambda text: {"fps": float(text)},
    "size": _size,
    "altitude": lambda text: {"altitude_m": _limits(text)},
    "tilt": lambda text: {"tilt_deg": _limits(text)},
    "classes": lambda text: {"classes": tuple(text.split(","))},
    "ir": _infrared,
    "one_camera": lambda text: {"one_camera": float(text)},
}

_EXPECTED = {
    "seed": "a whole number",
    "frames": "a whole number",
    "fps": "a number",
    "size": "WIDTHxHEIGHT, such as 640x512",
    "altitude": "metres, such as 100 or 80-120",
    "tilt": "degrees from straight down, such as 10 or 0-15",
    "classes": "names with commas between them",
    "ir": "0, 1 or only",
    "one_camera": "a share from 0 to 1",
}
