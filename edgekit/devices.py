"""What this machine is: processor, cores, instruction sets, memory, board."""

import os
import platform
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Set, Tuple

from edgekit.sysfs import below, find, read_text

__all__ = [
    "Machine",
    "Swap",
    "available_memory_mib",
    "cpu_features",
    "cpu_model",
    "desktop",
    "free_swap_mib",
    "has_vnni",
    "is_x86",
    "physical_cores",
    "swaps",
    "this_machine",
    "total_memory_mib",
]

_CPUINFO = "/proc/cpuinfo"
_MEMINFO = "/proc/meminfo"
_SWAPS = "/proc/swaps"
_COMMANDS = "/proc/[0-9]*/comm"
_BOARD = "/proc/device-tree/model"
_QUOTA = "/sys/fs/cgroup/cpu.max"
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"

# Our name of an instruction set -> the kernel's names of it; what integer kernels are chosen by.
_FEATURES = {
    "avx2": ("avx2",),
    "avx512": ("avx512f",),
    "avx512_vnni": ("avx512_vnni",),
    "avx_vnni": ("avx_vnni",),
    "amx_int8": ("amx_int8",),
    "neon": ("asimd", "neon"),
    "dotprod": ("asimddp",),
    "i8mm": ("i8mm",),
}


# The kernel cuts names of processes to 15 characters.
_DESKTOPS = ("gnome-shell", "lxsession", "xfce4-session", "plasmashell", "unity-panel-ser", "weston", "Xorg")


@dataclass(frozen=True)
class Swap:
    """One area that memory is swapped to.

    Attributes:
        name: its file or device.
        kind: "zram" (compressed main memory: it helps less than it seems), "partition" or "file".
        size_mib, used_mib: its size, and how much of it is in use.
    """

    name: str
    kind: str
    size_mib: int
    used_mib: int


@dataclass(frozen=True)
class Machine:
    """A machine as a measurement must name it.

    Attributes:
        arch: "x86_64", "aarch64", …
        cpu: the processor's name.
        board: the board's name (Jetson and other device-tree machines), or None.
        cores: physical cores that this process may use.
        threads: hardware threads that this process may use.
        features: instruction sets that matter here, of avx2 avx512 avx512_vnni avx_vnni amx_int8 neon dotprod i8mm.
        memory_mib: main memory.
        system: kernel name and release.
        python: version of the interpreter.
    """

    arch: str
    cpu: str
    board: Optional[str]
    cores: int
    threads: int
    features: Tuple[str, ...]
    memory_mib: int
    system: str
    python: str

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return dict(self.__dict__, features=list(self.features))


def this_machine() -> Machine:
    """Describe the machine that this runs on."""
    return Machine(
        arch=platform.machine(),
        cpu=cpu_model(),
        board=read_text(_BOARD) or None,
        cores=physical_cores(),
        threads=len(_allowed_cpus()),
        features=cpu_features(),
        memory_mib=total_memory_mib() or 0,
        system="{} {}".format(platform.system(), platform.release()),
        python=platform.python_version(),
    )


def cpu_model() -> str:
    """The processor's name, or its architecture where the kernel does not say."""
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", read_text(_CPUINFO) or "", re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def cpu_features() -> Tuple[str, ...]:
    """The instruction sets of `Machine.features` that the processor has, in a fixed order."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", read_text(_CPUINFO) or "", re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    return tuple(name for name, kernel in _FEATURES.items() if flags & set(kernel))


def is_x86() -> bool:
    """True on 32- and 64-bit x86."""
    return platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")


def has_vnni() -> bool:
    """True where u8 x s8 products are summed without saturating (AVX512-VNNI, AVX-VNNI)."""
    return bool({"avx512_vnni", "avx_vnni"} & set(cpu_features()))


def physical_cores() -> int:
    """Physical cores that this process may use: affinity, hyper-threads and container quota counted; at least 1."""
    cores: Set[str] = set()
    for cpu in _allowed_cpus():
        cores.add(read_text(_SIBLINGS.format(cpu)) or str(cpu))
    quota = _quota_cpus()
    return max(1, len(cores) if quota is None else min(len(cores), quota))


def swaps(root: str = "/") -> List[Swap]:
    """The areas that memory is swapped to; none where there is no swap."""
    lines = (read_text(below(root, _SWAPS)) or "").splitlines()[1:]
    found = []
    for fields in (line.split() for line in lines):
        if len(fields) >= 4:
            kind = "zram" if "zram" in fields[0] else fields[1]
            found.append(Swap(fields[0], kind, int(fields[2]) // 1024, int(fields[3]) // 1024))
    return found


def desktop(root: str = "/") -> Optional[str]:
    """The process that draws a desktop, such as "gnome-shell", or None: on a Jetson it takes memory from the GPU."""
    running = {read_text(path) for path in find(root, _COMMANDS)}
    return next((name for name in _DESKTOPS if name in running), None)


def total_memory_mib(root: str = "/") -> Optional[int]:
    """Main memory in MiB; None where the kernel does not say."""
    return _meminfo_mib("MemTotal", root)


def available_memory_mib(root: str = "/") -> Optional[int]:
    """Memory that new work may take without swapping, in MiB; None where the kernel does not say."""
    return _meminfo_mib("MemAvailable", root)


def free_swap_mib(root: str = "/") -> int:
    """Unused swap in MiB; 0 where there is none."""
    return _meminfo_mib("SwapFree", root) or 0


def _meminfo_mib(name: str, root: str) -> Optional[int]:
    text = read_text(below(root, _MEMINFO)) or ""
    found = re.search(r"^{}:\s*(\d+) kB".format(name), text, re.MULTILINE)
    return int(found.group(1)) // 1024 if found else None


def _allowed_cpus() -> List[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quota_cpus() -> Optional[int]:
    """CPUs of the container's quota, rounded up, or None where there is no limit."""
    fields = (read_text(_QUOTA) or "").split()
    if len(fields) != 2 or fields[0] == "max":
        return None
    return max(1, -(-int(fields[0]) // int(fields[1])))
