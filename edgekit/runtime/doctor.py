"""What this machine is, which libraries it has, and what they let it run."""

import os
import platform
import sys
from typing import Any, Dict, List, Optional, Tuple

import edgekit
from edgekit.bundle import default_cache_dir

# distributions that one import name may come from, the first found counts
LIBRARIES = (
    ("numpy", ("numpy",)),
    (
        "cv2",
        (
            "opencv-python-headless",
            "opencv-python",
            "opencv-contrib-python-headless",
            "opencv-contrib-python",
        ),
    ),
    ("onnxruntime", ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")),
    ("tensorrt", ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt_lean")),
    ("onnx", ("onnx",)),
    ("onnx_ir", ("onnx-ir",)),
    ("faster_coco_eval", ("faster-coco-eval",)),
    ("torch", ("torch",)),
    ("lightning_fabric", ("lightning-fabric", "lightning", "pytorch-lightning")),
    ("safetensors", ("safetensors",)),
)

# extra of the package -> the libraries it brings, and the verbs that need them
EXTRAS = (
    ("ort", ("onnxruntime",), "run, bench, check"),
    ("export", ("onnx", "onnx_ir", "onnxruntime", "faster_coco_eval"), "quantize, export, val"),
    ("train", ("torch", "lightning_fabric", "safetensors"), "train"),
)


def examine() -> Dict[str, Any]:
    """Look at this machine; nothing is run on it and no inference library is imported.

    Returns:
        Plain values: edgekit, python, machine, libraries, video, runs, cache, extras.
    """
    libraries = library_versions()
    return {
        "edgekit": edgekit.__version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "machine": machine(),
        "libraries": libraries,
        "video": video_abilities(),
        "runs": what_runs(libraries),
        "cache": cache_state(),
        "extras": missing_extras(libraries),
    }


def machine() -> Dict[str, Any]:
    """Processor, memory and, on a Jetson, its board and Linux for Tegra release."""
    flags = cpu_flags()
    return {
        "cpu": cpu_name(),
        "architecture": platform.machine(),
        "cores": available_cores(),
        "memory_mb": memory_mb(),
        "features": {
            "avx2": "avx2" in flags,
            "avx512": "avx512f" in flags,
            "vnni": bool(flags & {"avx512_vnni", "avx_vnni", "avx512vnni"}),
            "neon": bool(flags & {"neon", "asimd"}),
            "dotprod": "asimddp" in flags,
        },
        "board": _first_line("/proc/device-tree/model"),
        "l4t": _first_line("/etc/nv_tegra_release"),
        "system": "{} {}".format(platform.system(), platform.release()),
    }


def cpu_flags(cpuinfo: str = "/proc/cpuinfo") -> "frozenset":
    """The instruction sets that Linux reports, in lower case; none where it does not say."""
    for line in _lines(cpuinfo):
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(value.lower().split())
    return frozenset()


def cpu_name(cpuinfo: str = "/proc/cpuinfo") -> str:
    """The processor's marketing name, or its architecture where Linux does not say."""
    for line in _lines(cpuinfo):
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores that this process may use: affinity and containers counted."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def memory_mb(meminfo: str = "/proc/meminfo") -> Optional[int]:
    """Physical memory, 10^6 bytes."""
    for line in _lines(meminfo):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024 // 10**6
    return None


def library_versions() -> Dict[str, Optional[str]]:
    """Import name -> installed version, or None; read from the package records, nothing is imported."""
    return {name: _first_version(distributions) for name, distributions in LIBRARIES}


def video_abilities() -> Dict[str, Any]:
    """How this OpenCV was built: its version, GStreamer and FFmpeg, and the window toolkit."""
    try:
        import cv2
    except ImportError as error:
        return {"opencv": None, "problem": str(error)}
    build = _build_facts(cv2.getBuildInformation())
    window = build.get("GUI", "NONE").split(" ")[0]
    return {
        "opencv": cv2.__version__,
        "gstreamer": build.get("GStreamer", "NO").startswith("YES"),
        "ffmpeg": build.get("FFMPEG", "NO").startswith("YES"),
        "window": window not in ("NONE", "") and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
        "window_toolkit": None if window in ("NONE", "") else window,
    }


def what_runs(libraries: Dict[str, Optional[str]]) -> Dict[str, Any]:
    """The backend and the lowering that a bundle would run with here, and why."""
    lowerings, why = preferred_lowerings()
    backend = "onnxruntime" if libraries["onnxruntime"] else None
    if backend is None:
        why = "no inference library: pip install 'edgekit[ort]'"
    return {"backend": backend, "lowerings": list(lowerings) if backend else [], "why": why}


def preferred_lowerings() -> Tuple[Tuple[str, ...], str]:
    """Lowerings in the order that this machine tries them, and the reason for the first."""
    arch = platform.machine().lower()
    if arch in ("aarch64", "arm64") or arch.startswith("armv"):
        return ("ort-arm", "fp32"), "ARM: int8 activations run at full speed"
    flags = cpu_flags()
    if flags & {"avx512_vnni", "avx_vnni", "avx512vnni"}:
        return ("ort-x86", "fp32"), "x86 with VNNI: uint8 activations, 8-bit weights"
    return ("ort-x86-narrow", "ort-x86", "fp32"), "x86 without VNNI: 7-bit weights cannot saturate"


def cache_state() -> Dict[str, Any]:
    """The folder that unpacked graphs go to, its size and whether it can be written."""
    folder = default_cache_dir()
    used = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                used += os.path.getsize(os.path.join(parent, name))
            except OSError:  # another process cleaned up
                continue
    there = folder
    while there and not os.path.isdir(there):
        there = os.path.dirname(there)
    return {"folder": folder, "bytes": used, "writable": os.access(there or ".", os.W_OK)}


def missing_extras(libraries: Dict[str, Optional[str]]) -> List[Dict[str, Any]]:
    """The package's extras: what each is for, what it lacks here and the line that brings it."""
    rows = []
    for extra, needs, verbs in EXTRAS:
        missing = [name for name in needs if libraries[name] is None]
        rows.append(
            {
                "extra": extra,
                "verbs": verbs,
                "missing": missing,
                "install": "pip install 'edgekit[{}]'".format(extra) if missing else None,
            }
        )
    return rows


def _first_version(distributions: Tuple[str, ...]) -> Optional[str]:
    for distribution in distributions:
        found = _version(distribution)
        if found is not None:
            return found
    return None


def _version(distribution: str) -> Optional[str]:
    try:
        from importlib import metadata
    except ImportError:  # Python < 3.8
        import pkg_resources  # type: ignore[import-not-found]

        try:
            return str(pkg_resources.get_distribution(distribution).version)
        except pkg_resources.ResolutionError:
            return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _build_facts(text: str) -> Dict[str, str]:
    """The 'name: value' lines of OpenCV's build information."""
    found = {}
    for line in text.splitlines():
        name, colon, value = line.strip().partition(":")
        if colon and name not in found:
            found[name] = value.strip()
    return found


def _lines(path: str) -> List[str]:
    try:
        with open(path, errors="replace") as stream:
            return stream.read().splitlines()
    except OSError:
        return []


def _first_line(path: str) -> Optional[str]:
    lines = _lines(path)
    return lines[0].strip("\0 ") if lines else None
