"""A Jetson as its kernel shows it: module, system software, GPU, and the power mode that its clocks are really in.

nvpmodel's word is not taken for it. A change of mode that gates multiprocessors waits for a reboot, and asked for over
SSH it waits without a word: `nvpmodel -q` then names a mode whose clocks the board does not have.
"""

import glob
import os
import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Set

from edgekit.errors import ConfigError
from edgekit.profiles import PowerMode, Profile, profile_of

L4T_RELEASE = "/etc/nv_tegra_release"
_MODEL = "/proc/device-tree/model"
_COMPATIBLE = "/proc/device-tree/compatible"
_NVIDIA_CARDS = "/proc/driver/nvidia/gpus/*/information"
_STATUS = "/var/lib/nvpmodel/status"
_MODES = "/etc/nvpmodel.conf"
_ONLINE = "/sys/devices/system/cpu/cpu[0-9]*/online"
_CPU_TOP = "/sys/devices/system/cpu/cpufreq/policy*/scaling_max_freq"
_TOLERANCE = 0.03  # profiles round clocks to MHz, kernels to the steps of a PLL

# GPU of a system on chip -> its TPCs before any is fused off or gated, and multiprocessors in one (nvgpu, ga10b)
_TPCS = {"t234": (8, 2)}


@dataclass(frozen=True)
class GpuState:
    """The GPU's clock as sysfs shows it; None for what is not shown.

    Attributes:
        now_mhz, min_mhz, max_mhz: its clock and the bounds set for it.
        sm_count: powered multiprocessors, by the mask of gated TPCs.
        load: share of time that it is busy, 0 to 1.
        emc_mhz: the memory's clock; only root may read it.
    """

    now_mhz: Optional[float]
    min_mhz: Optional[float]
    max_mhz: Optional[float]
    sm_count: Optional[int]
    load: Optional[float]
    emc_mhz: Optional[float]


@dataclass(frozen=True)
class PowerModeState:
    """The power mode.

    Attributes:
        name: the one that the clocks are in, as the profile writes it; nvpmodel's word where the clocks do not tell
            (which may be a mode that the profile lacks); "" where neither is known.
        said: nvpmodel's word, or None where it says nothing.
        agrees: False where the clocks contradict nvpmodel.
        message: for people, one line.
    """

    name: str
    said: Optional[str]
    agrees: bool
    message: str


def this_profile(root: str = "/") -> Optional[Profile]:
    """The profile of this machine: by its module, its device-tree model, or its NVIDIA card; None for no match."""
    cards = [_read(path) for path in _find(root, _NVIDIA_CARDS)]
    for text in [_read(_below(root, _COMPATIBLE)), _read(_below(root, _MODEL))] + cards:
        profile = profile_of(text) if text else None
        if profile is not None:
            return profile
    return None


def gpu_state(profile: Profile, root: str = "/") -> GpuState:
    """The GPU's clock, bounds, powered multiprocessors and load, and the memory's clock."""
    sensors = profile.sensors
    clock = _find(root, sensors.gpu_clock_hz)
    folder = os.path.dirname(clock[0]) if clock else ""
    permille = _number(next(iter(_find(root, sensors.gpu_load_permille)), _beside_gpu(folder, "load")))
    return GpuState(
        now_mhz=_mhz(os.path.join(folder, "cur_freq")),
        min_mhz=_mhz(os.path.join(folder, "min_freq")),
        max_mhz=_mhz(os.path.join(folder, "max_freq")),
        sm_count=_powered_sms(profile, _number(_beside_gpu(folder, "tpc_pg_mask"))),
        load=None if permille is None else permille / 1000.0,
        emc_mhz=_mhz(next(iter(_find(root, sensors.emc_clock_hz)), "")),
    )


def power_mode(profile: Profile, root: str = "/") -> PowerModeState:
    """What nvpmodel says, and the mode that the clocks support.

    They contradict nvpmodel where the GPU's highest clock or its powered multiprocessors are not those of the mode it
    names, or where another mode fits cores and their highest clock as well and that one does not.
    """
    if not profile.jetson:
        return PowerModeState(profile.default_mode, None, True, "{} has no power modes".format(profile.title))
    said = _said(profile, root)
    seen = _seen(profile, root)
    if "gpu" not in seen:
        return PowerModeState(said or "", said, True, "{}; no clock of the GPU is shown".format(_word(said)))
    near = [mode for mode in profile.modes if not {"gpu", "sm"} & _misfits(mode, seen)]
    exact = [mode for mode in near if not _misfits(mode, seen)]
    spoken = [mode for mode in (exact or near) if mode.name == said]
    if spoken:
        return PowerModeState(spoken[0].name, said, True, "{}, and the clocks are its".format(_word(said)))
    return _by_clocks(profile, said, exact or near, seen)


def _by_clocks(profile: Profile, said: Optional[str], fits: List[PowerMode], seen: Dict[str, float]) -> PowerModeState:
    limit = _limit(seen)
    known = said in [mode.name for mode in profile.modes]
    if not fits:
        message = "{}, but {}, as in no mode of {}: clocks set by hand, or held back by heat"
        return PowerModeState(said or "", said, not known, message.format(_word(said), limit, profile.title))
    best = min(fits, key=lambda mode: (len(_misfits(mode, seen)), mode.name != profile.default_mode))
    if not known:  # nothing, or a mode of somebody's own
        return PowerModeState(best.name, said, True, "{}; {}, as in {}".format(_word(said), limit, best.name))
    message = "{}, but {}, as in {}: reboot to change modes".format(_word(said), limit, best.name)
    return PowerModeState(best.name, said, False, message)


def _word(said: Optional[str]) -> str:
    return "nvpmodel says nothing" if said is None else "nvpmodel says {}".format(said)


def _limit(seen: Dict[str, float]) -> str:
    parts = ["the GPU is capped at {:.0f} MHz".format(seen["gpu"])]
    if "sm" in seen:
        parts.append("has {:.0f} multiprocessors".format(seen["sm"]))
    if "cores" in seen:
        parts.append("{:.0f} cores are online".format(seen["cores"]))
    return " and ".join(parts) if len(parts) < 3 else "{}, {} and {}".format(*parts)


def _seen(profile: Profile, root: str) -> Dict[str, float]:
    """What a mode sets, as sysfs shows it: gpu and cpu in MHz, sm, cores; what is not shown is left out."""
    state = gpu_state(profile, root)
    online = [_number(path) for path in _find(root, _ONLINE)]
    tops = [clock for clock in (_number(path) for path in _find(root, _CPU_TOP)) if clock is not None]
    seen = {
        "gpu": state.max_mhz,
        "sm": state.sm_count,
        # On some kernels the first core cannot be switched off and has no such file.
        "cores": sum(value == 1 for value in online) if len(online) > 1 else None,
        "cpu": max(tops) / 1e3 if tops else None,
    }
    return {name: float(value) for name, value in seen.items() if value is not None}


def _misfits(mode: PowerMode, seen: Dict[str, float]) -> Set[str]:
    wanted = {"gpu": mode.gpu_mhz, "sm": mode.sm_count, "cores": mode.cpu_cores, "cpu": mode.cpu_mhz}
    return {name for name, value in seen.items() if abs(value - wanted[name]) > _TOLERANCE * wanted[name]}


def _said(profile: Profile, root: str) -> Optional[str]:
    """nvpmodel's mode by the number in its status and the names in its configuration, as the profile writes it."""
    status = re.search(r"pmode:(\d+)", _read(_below(root, _STATUS)))
    if not status:
        return None
    number = int(status.group(1))
    named = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", _read(_below(root, _MODES)))
    names = {int(mode): name for mode, name in named} or {mode.id: mode.name for mode in profile.modes}
    if number not in names:
        return "mode {}".format(number)
    try:
        return profile.mode(names[number]).name
    except ConfigError:
        return names[number]


def _powered_sms(profile: Profile, mask: Optional[float]) -> Optional[int]:
    """Multiprocessors by the mask of gated TPCs; a mask of 0 may leave out those that are fused off."""
    if mask is None or profile.chip.soc not in _TPCS:
        return None
    tpcs, each = _TPCS[profile.chip.soc]
    powered = tpcs - bin(int(mask)).count("1")
    return min(powered * each, max(mode.sm_count for mode in profile.modes))


def _beside_gpu(devfreq: str, name: str) -> str:
    """A file of the GPU's device, which is two folders above its clock."""
    return os.path.join(os.path.realpath(devfreq), "..", "..", name) if devfreq else ""


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _find(root: str, pattern: str) -> List[str]:
    return sorted(glob.glob(_below(root, pattern))) if pattern else []


def _mhz(path: str) -> Optional[float]:
    hertz = _number(path)
    return None if hertz is None else hertz / 1e6


def _number(path: str) -> Optional[float]:
    try:
        return float(int(_read(path).split()[0], 0))
    except (IndexError, ValueError):
        return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip("\0\n ")
    except OSError:  # debugfs is for root; a channel that is off answers EAGAIN
        return ""
