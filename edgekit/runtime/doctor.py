"""What this machine is, which libraries it has, and what they let it run."""

import os
import re
import sys
from typing import Any, Dict, List, Optional, Tuple

import edgekit
from edgekit.bundle import default_cache_dir
from edgekit.devices import has_vnni, is_x86, this_machine
from edgekit.runtime.lowering import preferred_lowerings

L4T_RELEASE = "/etc/nv_tegra_release"

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
        Plain values: edgekit, executable, machine, l4t, libraries, video, runs, cache, extras.
    """
    libraries = library_versions()
    return {
        "edgekit": edgekit.__version__,
        "executable": sys.executable,
        "machine": this_machine().to_json(),
        "l4t": l4t_release(),
        "libraries": libraries,
        "video": video_abilities(),
        "runs": what_runs(libraries),
        "cache": cache_state(),
        "extras": missing_extras(libraries),
    }


def l4t_release(path: str = L4T_RELEASE) -> Optional[str]:
    """The Linux for Tegra release of a Jetson, such as 36.4.3; None elsewhere."""
    try:
        with open(path) as stream:
            found = re.search(r"R(\d+).*REVISION: ([\d.]+)", stream.readline())
    except OSError:
        return None
    return "{}.{}".format(*found.groups()) if found else None


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
    """The backend and the lowerings that a bundle would run with here, best first, and why."""
    if libraries["onnxruntime"] is None:
        return {"backend": None, "lowerings": [], "why": "no inference library; pip install 'edgekit[ort]'"}
    if not is_x86():
        why = "ARM multiplies int8 by int8 at full speed"
    elif has_vnni():
        why = "x86 with VNNI sums uint8 x int8 exactly"
    else:
        why = "x86 without VNNI would saturate with 8-bit weights; 7-bit ones cannot"
    return {"backend": "onnxruntime", "lowerings": list(preferred_lowerings()), "why": why}


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
