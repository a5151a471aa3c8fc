"""A Jetson as its kernel shows it: module, system software, GPU."""

import os
import re
from dataclasses import dataclass
from typing import Any, Dict, Optional

from edgekit.profiles import Profile, profile_of
from edgekit.sysfs import below, find, read_number, read_text

_L4T = "/etc/nv_tegra_release"
_MODEL = "/proc/device-tree/model"
_COMPATIBLE = "/proc/device-tree/compatible"
_CARDS = "/proc/driver/nvidia/gpus/*/information"

# Parts that are modules: Nano, AGX Xavier, Xavier NX, AGX Orin, Orin NX and Nano. Device trees name carrier boards too.
_MODULE = re.compile(r"p(?:3448|2888|3668|3701|3767)-\d{4}")

# Linux for Tegra -> JetPack, of NVIDIA's JetPack archive and Jetson Linux archive
_JETPACKS = {
    "32.6.1": "4.6",
    "32.7.1": "4.6.1",
    "32.7.2": "4.6.2",
    "32.7.3": "4.6.3",
    "32.7.4": "4.6.4",
    "32.7.5": "4.6.5",
    "32.7.6": "4.6.6",
    "35.1.0": "5.0.2",
    "35.2.1": "5.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5.0": "5.1.3",
    "35.6.0": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.2": "5.1.5",
    "35.6.4": "5.1.6",
    "36.3.0": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
}

# GPU of a system on chip -> its TPCs before any is fused off or gated, and multiprocessors in each (nvgpu, ga10b)
_TPCS = {"t234": (8, 2)}


@dataclass(frozen=True)
class Jetson:
    """Which Jetson this is.

    Attributes:
        model: the device tree's name of the board.
        module: part number of the module, such as "p3767-0000", or None where the device tree does not give it.
        soc: such as "tegra234", or None.
        l4t: Linux for Tegra, such as "36.4.3", or None as in a container without /etc/nv_tegra_release.
        jetpack: such as "6.2"; a range such as "6.1-6.2.2" where only the branch of L4T is known; None for neither.
        profile: name of its profile, or None.
    """

    model: str
    module: Optional[str]
    soc: Optional[str]
    l4t: Optional[str]
    jetpack: Optional[str]
    profile: Optional[str]

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return dict(self.__dict__)


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


def jetson(root: str = "/") -> Optional[Jetson]:
    """Which Jetson this is, or None for another machine."""
    tree = read_text(below(root, _COMPATIBLE)) or ""
    l4t = l4t_release(root)
    soc = re.search(r"tegra\d+", tree)
    if l4t is None and soc is None:
        return None
    profile = this_profile(root)
    module = _MODULE.search(tree)
    return Jetson(
        model=read_text(below(root, _MODEL)) or "Jetson",
        module=module.group(0) if module else None,
        soc=soc.group(0) if soc else None,
        l4t=l4t,
        jetpack=_jetpack(l4t, profile),
        profile=profile.name if profile is not None else None,
    )


def l4t_release(root: str = "/") -> Optional[str]:
    """The Linux for Tegra release of a Jetson, such as "36.4.3"; None elsewhere."""
    found = re.search(r"R(\d+).*REVISION: ([\d.]+)", read_text(below(root, _L4T)) or "")
    return "{}.{}".format(*found.groups()) if found else None


def this_profile(root: str = "/") -> Optional[Profile]:
    """The profile of this machine: by its module, its device-tree model, or its NVIDIA card; None for no match."""
    for path in [below(root, _COMPATIBLE), below(root, _MODEL)] + find(root, _CARDS):
        text = read_text(path)
        profile = profile_of(text) if text else None
        if profile is not None:
            return profile
    return None


def gpu_state(profile: Profile, root: str = "/") -> GpuState:
    """The GPU's clock, bounds, powered multiprocessors and load, and the memory's clock."""
    sensors = profile.sensors
    clock = find(root, sensors.gpu_clock_hz)
    folder = os.path.dirname(clock[0]) if clock else ""
    permille = read_number(next(iter(find(root, sensors.gpu_load_permille)), _beside_gpu(folder, "load")))
    return GpuState(
        now_mhz=_mhz(os.path.join(folder, "cur_freq")),
        min_mhz=_mhz(os.path.join(folder, "min_freq")),
        max_mhz=_mhz(os.path.join(folder, "max_freq")),
        sm_count=_powered_sms(profile, read_number(_beside_gpu(folder, "tpc_pg_mask"))),
        load=None if permille is None else permille / 1000.0,
        emc_mhz=_mhz(next(iter(find(root, sensors.emc_clock_hz)), "")),
    )


def _jetpack(l4t: Optional[str], profile: Optional[Profile]) -> Optional[str]:
    if l4t is None or l4t in _JETPACKS:
        return _JETPACKS.get(l4t or "")
    software = profile.software_on(l4t) if profile is not None else None
    return software.jetpack if software is not None else None


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


def _mhz(path: str) -> Optional[float]:
    hertz = read_number(path)
    return None if hertz is None else hertz / 1e6
