"""The power mode of a Jetson: nvpmodel's word, and the one that its clocks are really in.

nvpmodel's word is not taken for it. A change of mode that gates multiprocessors waits for a reboot, and asked for over
SSH it waits without saying so: `nvpmodel -q` then names a mode whose clocks the board does not have.
"""

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Set

from edgekit.errors import ConfigError
from edgekit.jetson import gpu_state
from edgekit.profiles import PowerMode, Profile
from edgekit.sysfs import below, find, read_number, read_text

_STATUS = "/var/lib/nvpmodel/status"
_MODES = "/etc/nvpmodel.conf"
_ONLINE = "/sys/devices/system/cpu/cpu[0-9]*/online"
_CPU_TOP = "/sys/devices/system/cpu/cpufreq/policy*/scaling_max_freq"
_TOLERANCE = 0.03  # profiles round clocks to MHz, kernels to the steps of a PLL


@dataclass(frozen=True)
class PowerModeState:
    """The power mode.

    Attributes:
        name: the one that the clocks are in, as the profile writes it; nvpmodel's word where no clock is shown or the
            clocks are those of no mode (it may name a mode that the profile lacks); "" where neither is known.
        said: nvpmodel's word, or None where it says nothing.
        agrees: False where the clocks contradict nvpmodel.
        message: for people, one line.
    """

    name: str
    said: Optional[str]
    agrees: bool
    message: str


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


def mode_numbers(profile: Profile, root: str = "/") -> Dict[str, int]:
    """Modes and the numbers that `nvpmodel -m` takes for them, by nvpmodel's configuration, else by the profile.

    The numbers of one board differ from image to image; the names are as the profile writes them, where it has them.
    """
    named = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", read_text(below(root, _MODES)) or "")
    if named:
        return {_as_in(profile, name): int(number) for number, name in named}
    return {mode.name: mode.id for mode in profile.modes if mode.id >= 0}


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
    online = [read_number(path) for path in find(root, _ONLINE)]
    tops = [clock for clock in (read_number(path) for path in find(root, _CPU_TOP)) if clock is not None]
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
    status = re.search(r"pmode:(\d+)", read_text(below(root, _STATUS)) or "")
    if not status:
        return None
    number = int(status.group(1))
    return next(
        (name for name, mode in mode_numbers(profile, root).items() if mode == number), "mode {}".format(number)
    )


def _as_in(profile: Profile, name: str) -> str:
    try:
        return profile.mode(name).name
    except ConfigError:
        return name
