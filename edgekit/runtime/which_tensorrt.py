"""Which TensorRT `import tensorrt` would find, and whether it is the right one here; nothing of it is imported.

On a Jetson the right one is JetPack's: a module of the system's Python. `pip install tensorrt` gives there the build
for ARM servers, which has no kernels for Orin's sm_87 before 10.16, nor for the GPUs of Nano and Xavier at all.
"""

import os
import re
from importlib.util import find_spec
from typing import NamedTuple, Optional, Sequence, Tuple

from edgekit.nvidia.trt import LIBRARIES
from edgekit.profiles import Profile, Software
from edgekit.runtime.versions import first_version
from edgekit.sysfs import below, find, read_text

# Distributions of pip that bring each module.
DISTRIBUTIONS = {
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu13-bindings", "tensorrt-cu12-bindings"),
    "tensorrt_rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13-bindings"),
}
_SYSTEM = "/usr/lib/python3*/dist-packages/tensorrt"
_LIBRARY = "/usr/lib/*-linux-gnu/libnvinfer.so.*.*"
_FIRST_WITH_ORIN = (10, 16)  # of pip's builds for ARM; TensorRT 10.16 release notes
_UNINSTALL = "pip uninstall tensorrt tensorrt-cu12 tensorrt-cu12-bindings tensorrt-cu12-libs"


class Advice(NamedTuple):
    """Something in the way, and the command that cures it."""

    problem: str
    cure: str


class FoundTensorRT(NamedTuple):
    """A TensorRT that can be imported.

    Attributes:
        library: "tensorrt" or "tensorrt_rtx".
        version: such as "10.3.0", or None where neither the module nor its package record says.
        path: folder of the module.
        origin: "system" (a Debian package, as of JetPack) or "pip".
    """

    library: str
    version: Optional[str]
    path: str
    origin: str

    @property
    def generation(self) -> Optional[int]:
        """TensorRT's major version; TensorRT-RTX counts as 11: its networks too are typed by the graph alone."""
        if self.library != LIBRARIES[0]:
            return 11
        return None if self.version is None else int(self.version.split(".")[0])


def find_tensorrt(root: str = "/") -> Optional[FoundTensorRT]:
    """The TensorRT that an import would find, or None."""
    for library in LIBRARIES:
        spec = find_spec(library)
        if spec is None or not spec.origin:
            continue
        folder = os.path.dirname(spec.origin)
        system = folder.startswith(below(root, "/usr/lib/python3"))
        version = _own_version(spec.origin) or first_version(DISTRIBUTIONS[library])
        if version is None and system:
            version = system_version(root)
        return FoundTensorRT(library, version, folder, "system" if system else "pip")
    return None


def system_version(root: str = "/") -> Optional[str]:
    """Version of the system's libnvinfer, such as "10.3.0", whichever Python can use it; None where there is none."""
    versions = [path.rsplit(".so.", 1)[1] for path in find(root, _LIBRARY)]
    return max(versions, key=_numbers) if versions else None


def tensorrt_advice(
    found: Optional[FoundTensorRT], profile: Profile, l4t: Optional[str], python: str, root: str = "/"
) -> Optional[Advice]:
    """What is wrong with a Jetson's TensorRT, or None.

    Args:
        found: by `find_tensorrt`.
        profile: of the Jetson.
        l4t: its Linux for Tegra, or None.
        python: the running interpreter, such as "3.10".
        root: of the file system.
    """
    software = profile.software_on(l4t) if l4t else None
    if found is None:
        return _missing(software, python, root)
    version = found.version or "of unknown version"
    if found.origin == "pip" and found.library == "tensorrt" and not _has_kernels(found, profile):
        return Advice(
            "TensorRT {} in {} is pip's build for ARM servers, without kernels for sm_{}".format(
                version, found.path, profile.chip.sm
            ),
            "{}; then a Python that sees JetPack's: python3 -m venv --system-site-packages VENV".format(_UNINSTALL),
        )
    if software is not None and found.version is not None and not _same(found.version, software.tensorrt):
        return Advice(
            "TensorRT {} in {} is not the {} of JetPack {}: engines of one do not load in the other".format(
                version, found.path, software.tensorrt, software.jetpack
            ),
            _UNINSTALL if found.origin == "pip" else "sudo apt-get install --reinstall tensorrt python3-libnvinfer",
        )
    return None


def dla_note(profile: Profile, version: Optional[str]) -> str:
    """What the DLA cores of a Jetson are worth with that TensorRT."""
    dla = profile.dla
    if not dla.cores:
        return "none"
    cores = "{} of {}".format(dla.cores, dla.generation)
    if version is None:
        return "{}; TensorRT {} is the last that drives them here".format(cores, dla.last_tensorrt)
    if _numbers(version)[:2] > _numbers(dla.last_tensorrt)[:2]:
        return "{}, which TensorRT {} does not drive ({} is the last that does)".format(
            cores, version, dla.last_tensorrt
        )
    return "{}, in FP16 (--device dla:0)".format(cores)


def _missing(software: Optional[Software], python: str, root: str) -> Advice:
    if software is not None and python != software.python:
        return Advice(
            "the TensorRT of JetPack {} can be imported by Python {} alone, and this is {}".format(
                software.jetpack, software.python, python
            ),
            "install and run edgekit with python{}".format(software.python),
        )
    modules = find(root, _SYSTEM)
    if modules:
        return Advice(
            "TensorRT is in {}, and this Python does not look there".format(os.path.dirname(modules[0])),
            "python3 -m venv --system-site-packages VENV, and install edgekit in it",
        )
    return Advice("TensorRT is not installed", "sudo apt-get install tensorrt python3-libnvinfer")


def _has_kernels(found: FoundTensorRT, profile: Profile) -> bool:
    if profile.chip.sm < 87:
        return False
    return found.version is None or _numbers(found.version)[:2] >= _FIRST_WITH_ORIN


def _own_version(module: str) -> Optional[str]:
    """The `__version__` that the module's own file states."""
    stated = re.search(r'^__version__\s*=\s*["\']([\d.]+)["\']', read_text(module) or "", re.MULTILINE)
    return stated.group(1) if stated else None


def _same(version: str, other: str) -> bool:
    return _numbers(version)[:2] == _numbers(other)[:2]


def _numbers(version: str) -> Tuple[int, ...]:
    parts: Sequence[str] = re.findall(r"\d+", version)
    return tuple(int(part) for part in parts)
