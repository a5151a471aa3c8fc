"""Power and energy of a board, from the INA3221 on its supply lines.

Linux shows that chip in two ways: as hwmon (`in1_input` mV, `curr1_input` mA, `in1_label`; kernel 5.10 and later, L4T
35 and 36) and as iio (`in_voltage0_input`, `in_current0_input`, `rail_name_0`; NVIDIA's 4.9, L4T 32). Power is voltage
times current in both. Energy is the trapezoid of it over exactly the time of the counted frames.
"""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from edgekit.bench.sensors import Log, Probe
from edgekit.errors import ConfigError
from edgekit.profiles import Profile, Sensors
from edgekit.sysfs import find, read_number, read_text

TOTAL = "total"
_PREFIX = "power "


class Channel(NamedTuple):
    """One supply line that this machine shows.

    Attributes:
        label: the kernel's name, such as "VDD_IN".
        part: what it feeds, see `edgekit.profiles.Rail`.
        millivolt, milliampere: files.
    """

    label: str
    part: str
    millivolt: str
    milliampere: str


def power_channels(sensors: Sensors, root: str = "/") -> List[Channel]:
    """The supply lines that `sensors` names and that this machine shows now, in that order.

    A channel that is switched off has a label but reads nothing, and is left out.
    """
    shown = [channel for pattern in sensors.ina3221 for folder in find(root, pattern) for channel in _shown(folder)]
    found = []
    for rail in sensors.rails:
        for label, millivolt, milliampere in shown:
            channel = Channel(label, rail.part, millivolt, milliampere)
            if label == rail.label and read_mw(channel) is not None:
                found.append(channel)
                break
    return found


def read_mw(channel: Channel) -> Optional[float]:
    """What the line draws now, in milliwatts; None where it reads nothing."""
    millivolt, milliampere = read_number(channel.millivolt), read_number(channel.milliampere)
    return None if millivolt is None or milliampere is None else millivolt * milliampere / 1000


def power_probes(channels: Sequence[Channel]) -> Dict[str, Probe]:
    """A probe of each line, in watts, for a `Log`."""
    return {_PREFIX + channel.label: _watts(channel) for channel in channels}


def power_problem(profile: Optional[Profile], channels: Sequence[Channel]) -> Optional[str]:
    """Why the board's power is not known, or None."""
    if profile is None:
        return "no device profile fits this machine, so no power sensor is known"
    if not profile.sensors.ina3221:
        return "{} has no INA3221 power sensor".format(profile.name)
    if any(channel.part == TOTAL for channel in channels):
        return None
    wanted = next((rail.label for rail in profile.sensors.rails if rail.part == TOTAL), "a rail of the whole board")
    return "{} reads nothing below {} (in a container: mount /sys)".format(wanted, ", ".join(profile.sensors.ina3221))


def check_power(profile: Optional[Profile], root: str = "/") -> None:
    """Refuse a gate on power before anything runs where power is not known.

    Raises:
        ConfigError: why it is not.
    """
    problem = power_problem(profile, [] if profile is None else power_channels(profile.sensors, root))
    if problem is not None:
        raise ConfigError("the gate on power cannot be checked: {}".format(problem))


def sensor_facts(channels: Sequence[Channel]) -> Dict[str, Any]:
    """What the kernel says of the chip's own averaging: `interface`, and where shown `update_interval_ms`, `samples`.

    The chip averages `samples` conversions; a change that is shorter than the interval is smoothed by it.
    """
    if not channels:
        return {}
    folder = os.path.dirname(channels[0].millivolt)
    facts: Dict[str, Any] = {"interface": "iio" if "iio:" in folder else "hwmon"}
    for name, key in (("update_interval", "update_interval_ms"), ("samples", "samples")):
        value = read_number(os.path.join(folder, name))
        if value is not None:
            facts[key] = value
    return facts


def energy_j(t_s: np.ndarray, watts: np.ndarray, edges_s: Sequence[float]) -> np.ndarray:
    """Energy between neighbouring edges: the integral of the straight lines between readings.

    Args:
        t_s: (N,) when the readings were taken, rising.
        watts: (N,) what they were.
        edges_s: (K,) rising, none outside the readings.

    Returns:
        (K - 1,) joules.

    Raises:
        ValueError: fewer than two readings, or they do not cover the edges.
    """
    edges = np.asarray(edges_s, np.float64)
    if len(t_s) < 2 or edges[0] < t_s[0] or edges[-1] > t_s[-1]:
        raise ValueError(
            "{} readings do not cover {:.3f} to {:.3f} s".format(len(t_s), float(edges[0]), float(edges[-1]))
        )
    whole = np.concatenate(([0.0], np.cumsum(np.diff(t_s) * (watts[1:] + watts[:-1]) / 2)))
    before = np.clip(np.searchsorted(t_s, edges, side="right") - 1, 0, len(t_s) - 2)
    at_edges = np.interp(edges, t_s, watts)
    until = whole[before] + (edges - t_s[before]) * (watts[before] + at_edges) / 2
    energy: np.ndarray = np.diff(until)
    return energy


def power_summary(
    log: Log, channels: Sequence[Channel], edges_s: Sequence[float], idle_w: Optional[float], alone: bool
) -> Dict[str, Any]:
    """Power and energy of the counted frames, as docs/bench.md specifies them under `power`.

    Args:
        log: filled by `power_probes`.
        channels: what it holds; one of them feeds the whole board.
        edges_s: (N + 1,) begin of each counted frame and the end of the last.
        idle_w: mean of the whole board before the bundle was opened, or None.
        alone: whether one bundle ran; with two in turns the sensor is too slow to say which one took what.
    """
    total = next(channel for channel in channels if channel.part == TOTAL)
    t_s, watts = log.series(_PREFIX + total.label)
    inside = (t_s >= edges_s[0]) & (t_s <= edges_s[-1])
    try:
        per_frame = energy_j(t_s, watts, edges_s)
    except ValueError:
        return {"missing": "{} was read {} times, which does not cover the run".format(total.label, len(t_s))}
    seconds, frames = edges_s[-1] - edges_s[0], len(edges_s) - 1
    energy = float(per_frame.sum())
    value: Dict[str, Any] = {
        "rail": total.label,
        "mean_w": _rounded(energy / seconds if seconds > 0 else None),
        "p99_w": _rounded(float(np.percentile(watts[inside], 99)) if inside.any() else None),
        "max_w": _rounded(float(watts[inside].max()) if inside.any() else None),
        "idle_w": _rounded(idle_w),
        "energy_j": _rounded(energy),
        "j_per_frame": _rounded(energy / frames if alone else None, 6),
        "j_per_frame_above_idle": _rounded(
            (energy - idle_w * seconds) / frames if alone and idle_w is not None else None, 6
        ),
        "readings": int(inside.sum()),
        "sensor": sensor_facts(channels),
        "rails": {channel.label: _rail(log, channel, edges_s) for channel in channels},
    }
    return value


def mean_total_w(log: Log, channels: Sequence[Channel], span_s: Sequence[float]) -> Optional[float]:
    """Mean power of the whole board between two times; None where the readings do not cover them."""
    total = next(channel for channel in channels if channel.part == TOTAL)
    return _mean_w(*log.series(_PREFIX + total.label), span_s=span_s)


def frame_energy_j(log: Log, channels: Sequence[Channel], edges_s: Sequence[float]) -> List[float]:
    """Joules of each counted frame; empty where the readings do not cover them.

    Frames are shorter than the time between readings: neighbours share them, so this shows trends, not single frames.
    """
    total = next(channel for channel in channels if channel.part == TOTAL)
    try:
        return [round(float(value), 6) for value in energy_j(*log.series(_PREFIX + total.label), edges_s=edges_s)]
    except ValueError:
        return []


def power_points(log: Log, channels: Sequence[Channel], edges_s: Sequence[float]) -> Dict[str, List[List[float]]]:
    """label -> [[seconds since the first counted frame, watts], …] within the counted frames."""
    points = {}
    for channel in channels:
        t_s, watts = log.series(_PREFIX + channel.label)
        inside = (t_s >= edges_s[0]) & (t_s <= edges_s[-1])
        pairs = zip(t_s[inside] - edges_s[0], watts[inside])
        points[channel.label] = [[round(float(at), 4), round(float(watt), 4)] for at, watt in pairs]
    return points


def _shown(folder: str) -> List[List[str]]:
    """[label, file of millivolts, file of milliamperes] of each channel of an INA3221's folder."""
    channels = []
    for pattern, skip, volt, ampere in (
        ("/in*_label", "in", "in{}_input", "curr{}_input"),
        ("/rail_name_*", "rail_name_", "in_voltage{}_input", "in_current{}_input"),
    ):
        for path in find(folder, pattern):
            number = os.path.basename(path)[len(skip) :].split("_")[0]
            label = read_text(path) or ""
            channels.append(
                [label, os.path.join(folder, volt.format(number)), os.path.join(folder, ampere.format(number))]
            )
    return channels


def _watts(channel: Channel) -> Probe:
    def probe() -> Optional[float]:
        milliwatt = read_mw(channel)
        return None if milliwatt is None else milliwatt / 1000

    return probe


def _rail(log: Log, channel: Channel, edges_s: Sequence[float]) -> Dict[str, Any]:
    t_s, watts = log.series(_PREFIX + channel.label)
    return {"part": channel.part, "mean_w": _rounded(_mean_w(t_s, watts, (edges_s[0], edges_s[-1])))}


def _mean_w(t_s: np.ndarray, watts: np.ndarray, span_s: Sequence[float]) -> Optional[float]:
    seconds = span_s[-1] - span_s[0]
    try:
        return float(energy_j(t_s, watts, (span_s[0], span_s[-1]))[0]) / seconds if seconds > 0 else None
    except ValueError:
        return None


def _rounded(value: Optional[float], digits: int = 4) -> Optional[float]:
    return None if value is None else round(value, digits)
