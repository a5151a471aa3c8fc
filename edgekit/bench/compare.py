"""Is one faster than the other? Ratio of medians, with an interval that says how sure that is."""

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

import numpy as np

from edgekit.errors import ConfigError

_RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """How many times as fast B is as A.

    Attributes:
        speedup: median of A over median of B; 2 means that B takes half the time.
        low, high: 95 % bootstrap interval of it.
        pairs: frames that both ran on.
    """

    speedup: float
    low: float
    high: float
    pairs: int

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return dict(self.__dict__)

    def verdict(self) -> str:
        """One phrase: faster, slower, or no difference that this run could show."""
        if self.low > 1:
            return "{:.2f}x faster".format(self.speedup)
        if self.high < 1:
            return "{:.2f}x slower".format(1 / self.speedup)
        return "no difference shown"


def ratio_of_medians(first_ms: Sequence[float], second_ms: Sequence[float], seed: int = 0) -> Ratio:
    """Compare samples that were taken in pairs, frame by frame.

    Frames are drawn again with replacement, a pair at a time, so that what one frame costs both stays together.

    Args:
        first_ms: (N,) samples of A.
        second_ms: (N,) samples of B, on the same frames.
        seed: of the resampling.

    Raises:
        ValueError: no samples, or not as many of the one as of the other.
    """
    if len(first_ms) != len(second_ms) or len(first_ms) == 0:
        raise ValueError("need pairs of samples, got {} and {}".format(len(first_ms), len(second_ms)))
    pairs = np.array([first_ms, second_ms], np.float64)
    count = pairs.shape[1]
    rng = np.random.RandomState(seed)
    drawn = rng.randint(0, count, (_RESAMPLES, count))
    ratios = np.median(pairs[0][drawn], axis=1) / np.median(pairs[1][drawn], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    middle = np.median(pairs[0]) / np.median(pairs[1])
    return Ratio(round(float(middle), 4), round(float(low), 4), round(float(high), 4), count)


def check_comparable(first: Dict[str, Any], second: Dict[str, Any]) -> None:
    """Refuse to compare two saved results (`BenchResult.to_json`) that were not got in the same way.

    Raises:
        ConfigError: device, artefact, threads, source or policy differ; the message names what.
    """
    differing = [
        "{} ({} and {})".format(name, one, other) for name, one, other in _conditions(first, second) if one != other
    ]
    if differing:
        raise ConfigError(
            "these two results cannot be compared, they differ in {}; measure both here: "
            "edgekit bench A.ekb --vs B.ekb".format(", ".join(differing))
        )


def _conditions(first: Dict[str, Any], second: Dict[str, Any]) -> List[List[Any]]:
    keys = [
        ("machine", ("arch", "cpu", "board", "cores", "threads")),
        ("artifact", ("sha256", "lowering", "backend", "threads")),
        ("method", ("source", "policy", "tracker")),
    ]
    return [
        ["{}.{}".format(part, key), first[part].get(key), second[part].get(key)]
        for part, names in keys
        for key in names
    ]
