"""Heat over a run: temperatures, throttling, over-current events; all from sysfs, none from the kernel's messages.

A cooling device whose state rises is a limit that the kernel has put on (`cpufreq-cpu0`, `gpu-throttle-alert`, …); fans
are cooling devices as well, and count as none. `ocN_event_cnt` counts what the voltage and current monitor has cut
(NVIDIA Jetson Linux developer guide, "Power and thermal").
"""

import os
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from edgekit.bench.sensors import Log, Probe, file_probe
from edgekit.profiles import Profile
from edgekit.sysfs import find, read_text

_ZONES = "/sys/class/thermal/thermal_zone*"
_COOLING = "/sys/class/thermal/cooling_device*"
_TEMP, _STATE, _EVENTS = "temp ", "cooling ", "events "
# They cool or warn, and slow nothing down; PMIC-Die reads a constant 100 C on the Nano (L4T 32).
_HARMLESS = ("fan", "hot-surface")
_CONSTANT = ("PMIC-Die",)
_COLDEST_C = -40.0  # a zone whose block is powered off reads -256 C


def thermal_probes(profile: Optional[Profile], root: str = "/") -> Dict[str, Probe]:
    """A probe for each temperature (degrees Celsius), each cooling device that slows something down, each counter."""
    probes: Dict[str, Probe] = {}
    for folder in find(root, _ZONES):
        name = read_text(os.path.join(folder, "type"))
        if name and name not in _CONSTANT:
            if _TEMP + name in probes:  # two of one type: tell them apart by the zone's number
                name += " " + os.path.basename(folder)[len("thermal_zone") :]
            probes[_TEMP + name] = _celsius(os.path.join(folder, "temp"))
    for folder in find(root, _COOLING):
        name = read_text(os.path.join(folder, "type"))
        if name and not any(part in name.lower() for part in _HARMLESS):
            number = os.path.basename(folder)[len("cooling_device") :]
            probes["{}{} {}".format(_STATE, number, name)] = file_probe(os.path.join(folder, "cur_state"))
    for pattern in () if profile is None else profile.sensors.over_current:
        for path in find(root, pattern):
            probes[_EVENTS + os.path.basename(path)] = file_probe(path)
    return probes


def thermal_summary(log: Log, edges_s: Sequence[float]) -> Dict[str, Any]:
    """Temperatures and throttling of the counted frames, as docs/bench.md specifies them under `thermal`.

    Args:
        log: filled by `thermal_probes`.
        edges_s: begin of the first counted frame, …, end of the last.
    """
    zones = {name: _zone(log, name, edges_s) for name in log.names if name.startswith(_TEMP)}
    value: Dict[str, Any] = {}
    read = {name[len(_TEMP) :]: zone for name, zone in zones.items() if zone is not None}
    if read:
        value["zones_c"] = read
        value["hottest"] = max(read, key=lambda name: read[name]["max"])
    else:
        value["missing"] = "the kernel shows no temperature below {}".format(_ZONES)
    value["throttle"] = _throttle(log, edges_s)
    value["over_current"] = _over_current(log, edges_s)
    return value


def _zone(log: Log, name: str, edges_s: Sequence[float]) -> Optional[Dict[str, float]]:
    t_s, celsius = log.series(name)
    if len(t_s) == 0:
        return None
    inside = celsius[_covering(t_s, edges_s)]
    return {
        "start": round(float(inside[0]), 1),
        "end": round(float(inside[-1]), 1),
        "max": round(float(inside.max()), 1),
    }


def _covering(t_s: np.ndarray, edges_s: Sequence[float]) -> slice:
    """The readings in the span, with the last one before it and the first one after it."""
    first = max(int(np.searchsorted(t_s, edges_s[0], side="right")) - 1, 0)
    last = min(int(np.searchsorted(t_s, edges_s[-1], side="left")), len(t_s) - 1)
    return slice(first, max(last, first) + 1)


def _throttle(log: Log, edges_s: Sequence[float]) -> Dict[str, Any]:
    """How often a limit was put on or tightened between two readings, and by which cooling devices."""
    devices: Dict[str, Dict[str, Any]] = {}
    names: List[str] = [name for name in log.names if name.startswith(_STATE)]
    if not names:
        return {"missing": "the kernel shows no cooling device below {}".format(_COOLING)}
    active = False
    for name in names:
        t_s, state = log.series(name)
        if len(t_s) == 0:
            continue
        inside = state[_covering(t_s, edges_s)]
        rises = int((np.diff(inside) > 0).sum())
        active = active or bool(inside.max() > 0)
        if inside.max() > 0:
            devices[name[len(_STATE) :]] = {"start": int(inside[0]), "max": int(inside.max()), "rises": rises}
    events = sum(device["rises"] for device in devices.values())
    return {"events": events, "active": active, "devices": devices}


def _over_current(log: Log, edges_s: Sequence[float]) -> Dict[str, Any]:
    counted = {}
    for name in [name for name in log.names if name.startswith(_EVENTS)]:
        t_s, count = log.series(name)
        if len(t_s):
            inside = count[_covering(t_s, edges_s)]
            counted[name[len(_EVENTS) :]] = int(inside[-1] - inside[0])
    if not counted:
        return {"missing": "the kernel counts no over-current events here"}
    return {"events": sum(counted.values()), "counters": {name: count for name, count in counted.items() if count}}


def _celsius(path: str) -> Probe:
    read = file_probe(path, 1e-3)

    def probe() -> Optional[float]:
        value = read()
        return None if value is None or value < _COLDEST_C else value

    return probe
