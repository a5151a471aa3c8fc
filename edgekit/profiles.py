"""Device profiles: what a board is, from `engines/profiles/NAME.toml`, to reason about one that is elsewhere.

A profile says what a machine of that kind can do; `edgekit.devices` says what this machine is. Every table of a file
names the source of its numbers.
"""

import difflib
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from edgekit.config import read_toml
from edgekit.errors import ConfigError

_HERE = os.path.dirname(os.path.abspath(__file__))
# An installed package carries the files inside itself; a checkout has them at its top level.
_FOLDERS = (os.path.join(_HERE, "_profiles"), os.path.join(os.path.dirname(_HERE), "engines", "profiles"))


@dataclass(frozen=True)
class Chip:
    """The GPU and what one of its multiprocessors does in a clock.

    Attributes:
        soc: the system on chip, such as "t234"; "" for a discrete card.
        architecture: NVIDIA's name, such as "Ampere".
        sm: compute capability as two digits, such as 87.
        fp32_flop_per_clock_sm, fp16_flop_per_clock_sm, int8_op_per_clock_sm: dense, multiply and add counted as two; an
            int8 rate of 0 says that there are no INT8 kernels at all.
        l2_kib: second-level cache, 0 where unknown.
        bf16, fp8: whether TensorRT has kernels of these types here.
        source: where the numbers come from.
    """

    soc: str
    architecture: str
    sm: int
    fp32_flop_per_clock_sm: int
    fp16_flop_per_clock_sm: int
    int8_op_per_clock_sm: int
    l2_kib: int
    bf16: bool
    fp8: bool
    source: str

    @property
    def int8(self) -> bool:
        """Whether TensorRT can run INT8 here; without it a Q/DQ graph does not build."""
        return self.int8_op_per_clock_sm > 0


@dataclass(frozen=True)
class Dla:
    """The deep-learning accelerator.

    Attributes:
        cores: 0 for none.
        generation: "NVDLA 1.0", …; "" for none.
        last_tensorrt: the newest TensorRT, such as "10.7", that drives it here; "" for none.
        source: where the facts come from.
    """

    cores: int
    generation: str
    last_tensorrt: str
    source: str


@dataclass(frozen=True)
class PowerMode:
    """What nvpmodel, or a fixed clock, allows. Names are caps of clocks, not of power.

    Attributes:
        name: as nvpmodel writes it, such as "25W".
        id: nvpmodel's number, or -1 where there is no nvpmodel.
        gpu_mhz: highest clock of the GPU.
        sm_count: multiprocessors that are powered.
        bandwidth_gbs: of main (or GPU) memory at the mode's memory clock, 10^9 bytes a second.
        cpu_cores, cpu_mhz: online cores and their highest clock.
        source: where the numbers come from.
    """

    name: str
    id: int
    gpu_mhz: float
    sm_count: int
    bandwidth_gbs: float
    cpu_cores: int
    cpu_mhz: float
    source: str


@dataclass(frozen=True)
class Software:
    """One generation of system software.

    Attributes:
        jetpack: such as "6.1-6.2.2"; "" off Jetson.
        l4t: Linux for Tegra, such as "36.4"; "" off Jetson.
        python: of the system, the one that `import tensorrt` works in, such as "3.10".
        cuda: such as "12.6".
        tensorrt: such as "10.3".
        opset_min, opset_max: ONNX opsets that its parser reads.
        source: where the facts come from.
    """

    jetpack: str
    l4t: str
    python: str
    cuda: str
    tensorrt: str
    opset_min: int
    opset_max: int
    source: str

    def __post_init__(self) -> None:
        if self.l4t and not all(part.isdigit() for part in self.l4t.split(".")):
            raise ValueError('l4t is numbers such as "36.4", got {!r}'.format(self.l4t))


@dataclass(frozen=True)
class Memory:
    """Main memory.

    Attributes:
        total_mib: fitted.
        shared: whether CPU and GPU share it.
        build_mib: what an engine build may use with the desktop closed.
        workspace_mib: TensorRT's workspace for a build here.
        low_memory: build with little: fewer tactic sources, lower optimisation level, no second framework.
        source: where the numbers come from.
    """

    total_mib: int
    shared: bool
    build_mib: int
    workspace_mib: int
    low_memory: bool
    source: str


@dataclass(frozen=True)
class Rail:
    """One measured supply line.

    Attributes:
        label: as the kernel names it, such as "VDD_IN".
        part: what it feeds: "total", "gpu", "cpu", "cpu+gpu", "soc" or "memory".
    """

    label: str
    part: str


@dataclass(frozen=True)
class Sensors:
    """Where the kernel shows power and clocks; every path is a glob below the root of the file system.

    Attributes:
        ina3221: globs of folders that hold `in1_input`, `curr1_input`, `in1_label` (hwmon) or `in_voltage0_input`,
            `in_current0_input`, `rail_name_0` (iio); none for no such sensor.
        rails: the labels that matter, the whole board's first.
        gpu_clock_hz, gpu_load_permille, emc_clock_hz: globs of one file each; "" for none.
        over_current: globs of files that count over-current events.
        source: where the paths come from.
    """

    ina3221: Tuple[str, ...]
    rails: Tuple[Rail, ...]
    gpu_clock_hz: str
    gpu_load_permille: str
    emc_clock_hz: str
    over_current: Tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Fit:
    """Coefficients of the latency prediction (`edgekit.bench.predict`).

    Attributes:
        launch_us: time of one kernel beside its work, in the fastest of the modes; longer at a lower clock.
        compute_efficiency: share of the arithmetic peak that a large convolution reaches.
        bandwidth_efficiency: share of the memory peak that a large copy reaches.
        spread: the published or measured points lie within a factor of this of the prediction.
        runtime_mib: memory of CUDA and TensorRT themselves.
        measured: whether the coefficients were fitted to measurements on such a device.
        source: what they were fitted to, or why they are as they are.
    """

    launch_us: float
    compute_efficiency: float
    bandwidth_efficiency: float
    spread: float
    runtime_mib: float
    measured: bool
    source: str


@dataclass(frozen=True)
class Profile:
    """A kind of device.

    Attributes:
        name: its file's name, as given to `--device`.
        title: for people.
        models: parts of a device-tree model (or GPU name) by which a machine is recognised, the longest match wins.
        jetson: whether it is a Jetson.
        chip, dla, memory, sensors, fit: see there.
        modes: power modes.
        default_mode: the mode a new board starts in.
        software: generations of system software, oldest first.
        lowerings: which graphs of a bundle run here, best first.
    """

    name: str
    title: str
    models: Tuple[str, ...]
    jetson: bool
    chip: Chip
    dla: Dla
    memory: Memory
    sensors: Sensors
    fit: Fit
    modes: Tuple[PowerMode, ...]
    default_mode: str
    software: Tuple[Software, ...]
    lowerings: Tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.default_mode not in [mode.name for mode in self.modes]:
            raise ValueError("default_mode {!r} is not one of its modes".format(self.default_mode))

    def mode(self, name: Optional[str] = None) -> PowerMode:
        """A power mode by its name, letter case and "MODE_" apart; the default one for None.

        Raises:
            ConfigError: there is no such mode.
        """
        for mode in self.modes:
            if _plain(mode.name) == _plain(name or self.default_mode):
                return mode
        raise ConfigError(
            "{} has no power mode {!r}; it has {}".format(self.name, name, ", ".join(mode.name for mode in self.modes))
        )

    def software_of(self, tensorrt: str) -> Optional[Software]:
        """The generation with that TensorRT (compared as major.minor), or None."""
        wanted = tensorrt.split(".")[:2]
        return next((one for one in self.software if one.tensorrt.split(".")[:2] == wanted), None)

    def software_on(self, l4t: str) -> Optional[Software]:
        """The generation of an L4T release such as "36.4.3": of its branch, else the last one before it; None else."""
        release = _numbers(l4t)
        older = [one for one in self.software if one.l4t and _numbers(one.l4t) <= release]
        same = [one for one in older if _numbers(one.l4t) == release[: len(_numbers(one.l4t))]]
        kin = same or [one for one in older if _numbers(one.l4t)[0] == release[0]]
        return max(kin, key=lambda one: _numbers(one.l4t)) if kin else None

    def to_json(self) -> Dict[str, Any]:
        """The name and what results depend on."""
        return {"name": self.name, "title": self.title, "sm": self.chip.sm, "int8": self.chip.int8}


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _plain(mode: str) -> str:
    lower = mode.lower()
    return lower[len("mode_") :] if lower.startswith("mode_") else lower


def profiles_folder() -> str:
    """Where the profiles are.

    Raises:
        ConfigError: the installation lacks them.
    """
    for folder in _FOLDERS:
        if os.path.isdir(folder):
            return folder
    raise ConfigError("this installation of edgekit has no device profiles; install it again")


def profile_names() -> List[str]:
    """The names of all profiles, sorted."""
    return sorted(name[:-5] for name in os.listdir(profiles_folder()) if name.endswith(".toml"))


def read_profile(name: str) -> Profile:
    """The profile of that name, or of the TOML file of that path.

    Raises:
        ConfigError: there is no such profile, or the file is not one.
    """
    if name.endswith(".toml"):
        return read_toml(name, Profile)
    known = profile_names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = "did you mean {!r}? ".format(close[0]) if close else ""
        raise ConfigError("there is no device profile {!r}; {}known: {}".format(name, hint, ", ".join(known)))
    return read_toml(os.path.join(profiles_folder(), name + ".toml"), Profile)


def profile_of(model: str) -> Optional[Profile]:
    """The profile that recognises a device-tree model or GPU name; the longest part wins, None for no match."""
    found: List[Tuple[int, str, Profile]] = []
    for name in profile_names():
        profile = read_profile(name)
        found += [(len(part), name, profile) for part in profile.models if part.lower() in model.lower()]
    return max(found, key=lambda match: match[:2])[2] if found else None
