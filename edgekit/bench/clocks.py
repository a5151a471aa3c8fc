"""Clocks of GPU, memory and processor over a run: what a latency was got at, and whether it was the same all along."""

import os
from typing import Any, Dict, List, Optional, Sequence

from edgekit.bench.sensors import Log, Probe, file_probe
from edgekit.profiles import Profile
from edgekit.sysfs import find, read_number, read_text

GPU, MEMORY, CPU = "gpu_mhz", "memory_mhz", "cpu_mhz"
LOAD = "gpu_load_percent"
POLICIES = "/sys/devices/system/cpu/cpufreq/policy*"
_CPU_CLOCK = POLICIES + "/scaling_cur_freq"


def clock_probes(profile: Optional[Profile], root: str = "/") -> Dict[str, Probe]:
    """A probe for each clock that this machine shows, in MHz, and the GPU's load in percent, for a `Log`."""
    probes: Dict[str, Probe] = {}
    if profile is not None:
        sensors = profile.sensors
        for name, pattern, factor in (
            (GPU, sensors.gpu_clock_hz, 1e-6),
            (MEMORY, sensors.emc_clock_hz, 1e-6),
            (LOAD, sensors.gpu_load_permille, 0.1),
        ):
            readable = [path for path in find(root, pattern) if read_number(path) is not None]
            if readable:
                probes[name] = file_probe(readable[0], factor)
    policies = [path for path in find(root, _CPU_CLOCK) if read_number(path) is not None]
    if policies:
        probes[CPU] = _fastest(policies)
    return probes


def clock_summary(log: Log, profile: Optional[Profile], edges_s: Sequence[float], root: str = "/") -> Dict[str, Any]:
    """Each clock over the counted frames, as docs/bench.md specifies it under `clocks`.

    A clock that is not known says why under `missing`.
    """
    value: Dict[str, Any] = {}
    for name in (GPU, MEMORY, CPU):
        value[name] = _over(log, name, edges_s) or {"missing": _problem(name, profile, root)}
    load = _over(log, LOAD, edges_s)
    if load is not None:
        value[LOAD] = load
    value["gpu_governor"] = gpu_governor(profile, root)
    value["cpu_governor"] = cpu_governor(root)
    return value


def clock_points(log: Log, edges_s: Sequence[float]) -> Dict[str, List[List[float]]]:
    """clock -> [[seconds since the first counted frame, MHz], …] within the counted frames."""
    points = {}
    for name in (GPU, MEMORY, CPU):
        if name in log.names:
            t_s, mhz = log.series(name)
            inside = (t_s >= edges_s[0]) & (t_s <= edges_s[-1])
            pairs = zip(t_s[inside] - edges_s[0], mhz[inside])
            points[name] = [[round(float(at), 4), round(float(clock), 2)] for at, clock in pairs]
    return points


def gpu_folder(profile: Optional[Profile], root: str = "/") -> Optional[str]:
    """The devfreq folder of the GPU, with `min_freq`, `max_freq` and `governor`, or None."""
    paths = [] if profile is None else find(root, profile.sensors.gpu_clock_hz)
    return os.path.dirname(paths[0]) if paths else None


def gpu_governor(profile: Optional[Profile], root: str = "/") -> Optional[str]:
    """Who sets the GPU's clock, or None where the kernel does not say."""
    folder = gpu_folder(profile, root)
    return None if folder is None else read_text(os.path.join(folder, "governor"))


def cpu_governor(root: str = "/") -> Optional[str]:
    """Who sets the processor's clock ("schedutil", "performance", …), or None where the kernel does not say."""
    for path in find(root, POLICIES + "/scaling_governor"):
        return read_text(path)
    return None


def _fastest(paths: Sequence[str]) -> Probe:
    """The clock of the fastest cluster, kHz to MHz: the one that a busy thread runs on."""

    def probe() -> Optional[float]:
        clocks = [value for value in map(read_number, paths) if value is not None]
        return max(clocks) / 1e3 if clocks else None

    return probe


def _over(log: Log, name: str, edges_s: Sequence[float]) -> Optional[Dict[str, float]]:
    if name not in log.names:
        return None
    t_s, values = log.series(name)
    inside = values[(t_s >= edges_s[0]) & (t_s <= edges_s[-1])]
    if len(inside) == 0:
        # A run shorter than the time between two readings: the nearest one, so that something is known.
        inside = values[abs(t_s - edges_s[0]).argmin() :][:1] if len(values) else values
    if len(inside) == 0:
        return None
    return {
        "min": round(float(inside.min()), 2),
        "mean": round(float(inside.mean()), 2),
        "max": round(float(inside.max()), 2),
    }


def _problem(name: str, profile: Optional[Profile], root: str) -> str:
    if name == CPU:
        return "the kernel shows no {}".format(_CPU_CLOCK)
    if profile is None:
        return "no device profile fits this machine"
    pattern = profile.sensors.gpu_clock_hz if name == GPU else profile.sensors.emc_clock_hz
    if not pattern:
        return "{} has no file for it".format(profile.name)
    if "/debug/" in pattern and not find(root, pattern):
        return "{} is not shown; debugfs is for root: run with sudo".format(pattern)
    return "{} is not shown or reads nothing".format(pattern)
