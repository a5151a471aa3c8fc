"""Is one faster than the other? Ratio of medians, with an interval that says how sure that is.

Two bundles in one run share all that disturbs it (`edgekit bench --vs`). Two saved results do not: some differences
make them incomparable and are refused, others leave a doubt and are told beside the ratio.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from edgekit.errors import ConfigError

_RESAMPLES = 2000
_CLOCK_SHARE = 0.05
_START_C = 10.0
# What trtexec 10 and 11 do by default is opposite in all three (TensorRT 11.1, sampleOptions.cpp): times that were got
# with and without them are of different things.
_TIMED = {
    "data_transfers": "copies to and from the GPU",
    "spin_wait": "spinning while it waits",
    "cuda_graph": "a CUDA graph",
}


@dataclass(frozen=True)
class Ratio:
    """How many times as fast B is as A.

    Attributes:
        speedup: median of A over median of B; 2 means that B takes half the time.
        low, high: 95 % bootstrap interval of it.
        pairs: frames that both ran on; of two separate runs, the frames of the shorter one.
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


def ratio_of_separate_medians(first_ms: Sequence[float], second_ms: Sequence[float], seed: int = 0) -> Ratio:
    """Compare samples of two separate runs: each run's frames are drawn again by themselves.

    Args:
        first_ms: (N,) samples of A.
        second_ms: (M,) samples of B.
        seed: of the resampling.

    Raises:
        ValueError: no samples.
    """
    if len(first_ms) == 0 or len(second_ms) == 0:
        raise ValueError("need samples of both, got {} and {}".format(len(first_ms), len(second_ms)))
    rng = np.random.RandomState(seed)
    medians = []
    for samples in (np.asarray(first_ms, np.float64), np.asarray(second_ms, np.float64)):
        drawn = rng.randint(0, len(samples), (_RESAMPLES, len(samples)))
        medians.append(np.median(samples[drawn], axis=1))
    low, high = np.percentile(medians[0] / medians[1], (2.5, 97.5))
    middle = float(np.median(first_ms) / np.median(second_ms))
    count = min(len(first_ms), len(second_ms))
    return Ratio(round(middle, 4), round(float(low), 4), round(float(high), 4), count)


def against(new: Dict[str, Any], old: Dict[str, Any]) -> Dict[str, Any]:
    """Compare a result with an earlier one of the same bundle; both as `BenchResult.to_json`, with samples.

    Returns:
        `file`, `started` of the old one; `speedup`: stage -> ratio; `verdict`; `warnings`; `j_per_frame`: the energy of
        the old over the new, null where one of them is not known.

    Raises:
        ConfigError: they cannot be compared, see `check_comparable`; the old one was saved without its samples.
    """
    check_comparable(new, old)
    if "samples" not in old:
        raise ConfigError(
            "the earlier result of {} has no samples, as --json prints it; save one with -o FILE".format(
                old["artifact"]["file"]
            )
        )
    ours, theirs = new["samples"]["stages"], old["samples"]["stages"]
    gated = new.get("gate") or old.get("gate")  # a stage slept through has no ratio
    ratios = {
        stage: ratio_of_separate_medians(theirs[stage], ours[stage])
        for stage in (() if gated else ours)
        if stage not in ("capture", "end_to_end") and stage in theirs and np.median(ours[stage]) > 0
    }
    ratios["process"] = ratio_of_separate_medians(_process(theirs), _process(ours))
    joules = [_at(result, "power", "j_per_frame") for result in (old, new)]
    return {
        "file": old["artifact"]["file"],
        "started": old["method"].get("started"),
        "speedup": {stage: ratio.to_json() for stage, ratio in ratios.items()},
        "verdict": ratios["process"].verdict(),
        "j_per_frame": None if None in joules or not joules[1] else round(joules[0] / joules[1], 4),
        "warnings": comparability_warnings(new, old),
    }


def check_same_bundle(sha256: str, old: Dict[str, Any]) -> None:
    """Refuse before anything is measured what `against` would refuse for its bundle afterwards.

    Raises:
        ConfigError: `old` is a result of another bundle.
    """
    if old["artifact"]["sha256"] != sha256:
        raise ConfigError(
            "the earlier result is of another bundle ({} {}…, this one is {}…); to compare two bundles use --vs".format(
                old["artifact"]["file"], old["artifact"]["sha256"][:12], sha256[:12]
            )
        )


def comparability_warnings(first: Dict[str, Any], second: Dict[str, Any]) -> List[str]:
    """What makes a comparison of two saved results doubtful; a phrase for each, none where nothing does.

    What a result does not tell (of a board without that sensor, or of an older edgekit) gives no warning, but for
    power: known in one and not in the other.
    """
    found = [
        _differing("power mode", first, second, "machine", "power_mode", "name"),
        _differing("library", first, second, "artifact", "backend"),
        _differing("OpenCV", first, second, "libraries", "opencv"),
        _differing("locked clocks", first, second, "method", "clocks_locked"),
        _differing("governor of the processor", first, second, "machine", "governor"),
        _differing("power measured at", first, second, "power", "rail"),
        _differently_gated(first, second),
    ]
    found += [_differing(words, first, second, "method", key) for key, words in _TIMED.items()]
    found += [_clock_apart(first, second, key) for key in ("gpu_mhz", "memory_mhz", "cpu_mhz")]
    found += [_throttled(first, second), _power_in_one(first, second), _started_warmer(first, second)]
    return [warning for warning in found if warning is not None]


def check_comparable(first: Dict[str, Any], second: Dict[str, Any]) -> None:
    """Refuse to compare two saved results (`BenchResult.to_json`) that were not got in the same way.

    Raises:
        ConfigError: device, artefact, library, threads, source or policy differ; the message names what.
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
        ["{}.{}".format(part, key), _condition(first, part, key), _condition(second, part, key)]
        for part, names in keys
        for key in names
    ]


def _condition(result: Dict[str, Any], part: str, key: str) -> Any:
    value = result[part].get(key)
    # Another version of the same library is a thing to compare; another library is not.
    return value.partition(" ")[0] if key == "backend" else value


def _at(result: Dict[str, Any], *keys: str) -> Any:
    """A value inside a result, or None where it, or what holds it, is not told."""
    value: Any = result
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _process(stages: Dict[str, List[float]]) -> List[float]:
    return [whole - capture for whole, capture in zip(stages["end_to_end"], stages["capture"])]


def _differing(words: str, first: Dict[str, Any], second: Dict[str, Any], *keys: str) -> Optional[str]:
    one, other = _at(first, *keys), _at(second, *keys)
    if one is None or other is None or one == other:
        return None
    return "{}: {} and {}".format(words, _shown(one), _shown(other))


def _shown(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _differently_gated(first: Dict[str, Any], second: Dict[str, Any]) -> Optional[str]:
    one, other = [
        "none" if not result.get("gate") else "{artifact[file]} at {conf:g}, {hold}, {every}".format(**result["gate"])
        for result in (first, second)
    ]
    return None if one == other else "gate: {} and {}".format(one, other)


def _clock_apart(first: Dict[str, Any], second: Dict[str, Any], key: str) -> Optional[str]:
    one, other = _at(first, "clocks", key, "mean"), _at(second, "clocks", key, "mean")
    if not one or not other or abs(one - other) <= _CLOCK_SHARE * max(one, other):
        return None
    words = {"gpu_mhz": "GPU", "memory_mhz": "memory", "cpu_mhz": "processor"}[key]
    return "mean clock of the {}: {:.0f} and {:.0f} MHz".format(words, one, other)


def _throttled(first: Dict[str, Any], second: Dict[str, Any]) -> Optional[str]:
    states = [
        bool(_at(result, "thermal", "throttle", "active") or _at(result, "thermal", "over_current", "events"))
        for result in (first, second)
    ]
    if not any(states):
        return None
    which = "both" if all(states) else "the first" if states[0] else "the second"
    return "throttled while measuring: {}".format(which)


def _power_in_one(first: Dict[str, Any], second: Dict[str, Any]) -> Optional[str]:
    known = [_at(result, "power", "mean_w") is not None for result in (first, second)]
    return "power is known of one of them alone" if known[0] != known[1] else None


def _started_warmer(first: Dict[str, Any], second: Dict[str, Any]) -> Optional[str]:
    one, other = _warmest_start(first), _warmest_start(second)
    if one is None or other is None or abs(one - other) <= _START_C:
        return None
    return "warmest part at the start: {:.0f} and {:.0f} C".format(one, other)


def _warmest_start(result: Dict[str, Any]) -> Optional[float]:
    zones = _at(result, "thermal", "zones_c") or {}
    return max([float(zone["start"]) for zone in zones.values()], default=None)
