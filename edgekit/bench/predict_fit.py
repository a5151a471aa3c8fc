"""Coefficients of the roofline from measurements, and how far they can be trusted.

The time of a measurement is sum(max(a * x, b * y)) + n * z over its kernels: a and b are milliseconds at the peaks
(`edgekit.bench.predict.roofline_ms`), n launches, and the unknowns are x = 1 / compute_efficiency,
y = 1 / bandwidth_efficiency, z = launch. Once x / y is known, each max is decided and the time is linear in y and z:
the ratio is searched on a grid, then around its best value, and y and z come from non-negative least squares of the
relative errors.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgekit.bench.cost import LayerCost, NetworkCost
from edgekit.bench.predict import launch_scale, roofline_ms
from edgekit.errors import ConfigError, DataError
from edgekit.profiles import Fit, PowerMode, Profile, profile_of

LEAST = 5
_LEAST_SPREAD = 1.05
_GRID = 97


@dataclass(frozen=True)
class Measurement:
    """A time that was measured, of a whole network or of some of its kernels.

    Attributes:
        name: what was measured, unlike all others.
        network: the network it is or belongs to.
        layers: what ran in that time.
        ms: GPU time of one image.
        mode: the power mode it was measured in.
        share: of the network's time, by which its relative error weighs; 1 for a whole network.
    """

    name: str
    network: str
    layers: Tuple[LayerCost, ...]
    ms: float
    mode: PowerMode
    share: float = 1.0

    def __post_init__(self) -> None:
        if not self.layers or not self.ms > 0:
            raise ValueError("{}: a measurement has layers and a time above 0".format(self.name))

    @property
    def whole(self) -> bool:
        """Whether it is of a whole network."""
        return self.share == 1.0


def fit(measurements: Sequence[Measurement], profile: Profile) -> Fit:
    """Coefficients for `edgekit.bench.predict.predict`.

    Args:
        measurements: at least `LEAST`, on one device; unlike networks (deep and narrow, wide, INT8 and FP16) tell most.
        profile: of that device; what it says about memory is kept.

    Returns:
        The coefficients; `spread` is the factor within which each network was predicted from all the others.

    Raises:
        ConfigError: too few measurements.
    """
    if len(measurements) < LEAST:
        raise ConfigError(
            "{} measurements cannot be fitted, at least {} are needed: bench more networks on the {} with "
            "edgekit bench -o".format(len(measurements), LEAST, profile.name)
        )
    launch_ms, compute_efficiency, bandwidth_efficiency = coefficients(measurements, profile)
    spread = max([_LEAST_SPREAD] + [max(ratio, 1 / ratio) for ratio in left_out(measurements, profile).values()])
    networks = sorted({one.network for one in measurements})
    return Fit(
        launch_us=round(launch_ms * 1e3, 4),
        compute_efficiency=round(compute_efficiency, 4),
        bandwidth_efficiency=round(bandwidth_efficiency, 4),
        spread=round(spread, 3),
        runtime_mib=profile.fit.runtime_mib,
        measured=True,
        source="{} measurements of {}".format(len(measurements), ", ".join(networks)),
    )


def coefficients(
    measurements: Sequence[Measurement], profile: Profile, bandwidth_efficiency: Optional[float] = None
) -> Tuple[float, float, float]:
    """(launch in ms, compute efficiency, bandwidth efficiency) that fit best; any number of measurements.

    Args:
        measurements: on devices of one kind.
        profile: the device.
        bandwidth_efficiency: taken as known where the measurements cannot tell it; None to fit it too.
    """
    x, y, z = _solve([_Terms(one, profile) for one in measurements], bandwidth_efficiency)
    return z, 1 / x, 1 / y


def left_out(
    measurements: Sequence[Measurement], profile: Profile, bandwidth_efficiency: Optional[float] = None
) -> Dict[str, float]:
    """Predicted over measured, predicted without anything that was measured on the same network.

    With fewer than three networks each measurement is left out alone, which says less: the others know its network.

    Returns:
        Measurement's name -> ratio; of whole networks alone where there are three of them.
    """
    several = len({one.network for one in measurements}) >= 3
    ratios = {}
    for one in measurements:
        if several and not one.whole:
            continue
        rest = [
            _Terms(other, profile)
            for other in measurements
            if (other.network != one.network if several else other is not one)
        ]
        ratios[one.name] = _Terms(one, profile).ms(*_solve(rest, bandwidth_efficiency)) / one.ms
    return ratios


class _Terms:
    """One measurement as arrays: milliseconds at the peaks by kernel, launches in units of the fastest mode."""

    def __init__(self, one: Measurement, profile: Profile) -> None:
        terms = np.array([roofline_ms(layer, profile, one.mode) for layer in one.layers], np.float64)
        self.compute_ms, self.memory_ms = terms[:, 0], terms[:, 1]
        self.launches = sum(layer.kernels for layer in one.layers) * launch_scale(profile, one.mode)
        self.measured_ms, self.weight = one.ms, one.share

    def ms(self, x: float, y: float, z: float) -> float:
        """The time that these coefficients give."""
        return float(np.maximum(self.compute_ms * x, self.memory_ms * y).sum() + self.launches * z)


def _solve(terms: Sequence[_Terms], bandwidth_efficiency: Optional[float] = None) -> Tuple[float, float, float]:
    """(x, y, z) of least squares of the relative errors; x and y are at least 1."""
    low, high = np.log(1e-2), np.log(1e2)
    best: Optional[Tuple[float, Tuple[float, float, float]]] = None
    for _ in range(3):
        for log_ratio in np.linspace(low, high, _GRID):
            candidate = _solve_for_ratio(terms, float(np.exp(log_ratio)), bandwidth_efficiency)
            if best is None or candidate[0] < best[0]:
                best, centre = candidate, float(log_ratio)
        step = (high - low) / (_GRID - 1)
        low, high = centre - step, centre + step
    assert best is not None  # the grid is not empty
    return best[1]


def _solve_for_ratio(
    terms: Sequence[_Terms], ratio: float, bandwidth_efficiency: Optional[float]
) -> Tuple[float, Tuple[float, float, float]]:
    """The squared error and (x, y, z) where x = ratio * y."""
    weights = np.array([np.sqrt(one.weight) / one.measured_ms for one in terms])
    work = np.array([np.maximum(one.compute_ms * ratio, one.memory_ms).sum() for one in terms]) * weights
    launches = np.array([one.launches for one in terms]) * weights
    target = np.array([one.measured_ms for one in terms]) * weights
    least = max(1.0, 1.0 / ratio)
    y, z = _two_non_negative(work, launches, target)
    if bandwidth_efficiency is not None or y < least:
        y = least if bandwidth_efficiency is None else max(1.0 / bandwidth_efficiency, 1.0 / ratio)
        z = max(float(launches @ (target - work * y)) / float(launches @ launches), 0.0)
    error = target - work * y - launches * z
    return float(error @ error), (ratio * y, y, z)


def _two_non_negative(first: np.ndarray, second: np.ndarray, target: np.ndarray) -> Tuple[float, float]:
    """Least squares of target = y * first + z * second with y, z >= 0."""
    matrix = np.stack([first, second], axis=1)
    (y, z), _, rank, _ = np.linalg.lstsq(matrix, target, rcond=None)
    if rank == 2 and y >= 0 and z >= 0:
        return float(y), float(z)
    only_first = float(first @ target) / max(float(first @ first), 1e-30)
    only_second = float(second @ target) / max(float(second @ second), 1e-30)
    left = [np.sum((target - first * only_first) ** 2), np.sum((target - second * only_second) ** 2)]
    return (only_first, 0.0) if left[0] <= left[1] else (0.0, only_second)


def measurements_of(result: Dict[str, Any], cost: NetworkCost, profile: Profile, mode: PowerMode) -> List[Measurement]:
    """The network's median GPU time in a saved bench result, and those of its layers that can be told apart by name.

    TensorRT names a kernel after the nodes in it ("a + b"); a layer's measurement is kept where exactly one kernel of
    `cost` is named in it. Layers are scaled so that all rows sum up to the network's median (a profiled run is slower)
    and weigh as much as their share of it.

    Args:
        result: of `edgekit.bench.read_result`.
        cost: of the same network and graph.
        profile: of the device; the result must come from one.
        mode: the power mode it was measured in.

    Raises:
        DataError: the result was not measured on such a device, or on its processor.
    """
    name = str(result["artifact"]["file"])
    _check_device(result, profile, name)
    timed = (result.get("gpu") or {}).get("compute_ms") or result["stages"]["infer"]
    ms = float(timed["p50"])
    found = [Measurement("{} {}".format(name, cost.lowering), name, cost.layers, ms, mode)]
    rows = [row for row in result.get("layers") or [] if row.get("averageMs", 0) > 0]
    total = sum(row["averageMs"] for row in rows)
    known = {layer.name: layer for layer in cost.layers}
    for row in rows:
        named = [known[part.strip()] for part in str(row["name"]).split("+") if part.strip() in known]
        if len(named) == 1:
            share = row["averageMs"] / total
            title = "{}: {}".format(name, named[0].name)
            found.append(Measurement(title, name, (named[0],), share * ms, mode, min(share, 0.999)))
    return found


def _check_device(result: Dict[str, Any], profile: Profile, name: str) -> None:
    machine, backend = result["machine"], str(result["artifact"]["backend"])
    where = str(machine.get("board") or machine.get("cpu"))
    if "tensorrt" not in backend.lower():
        raise DataError(
            "the result of {} is of {} on {}, not of TensorRT: bench an engine on the {}".format(
                name, backend, where, profile.title
            )
        )
    recognised = profile_of(where)
    if profile.name not in (machine.get("profile"), recognised.name if recognised is not None else None):
        raise DataError("the result of {} is from {}, which is no {}".format(name, where, profile.title))
