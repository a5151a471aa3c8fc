"""What this machine is, which libraries it has, what they let it run, and what is in the way."""

import os
import platform
import sys
from typing import Any, Dict, List, Optional

import edgekit
from edgekit import devices
from edgekit.builders.suitable import lowerings_for
from edgekit.bundle import default_cache_dir
from edgekit.jetson import gpu_state, jetson, l4t_release, this_profile
from edgekit.nvpmodel import power_mode
from edgekit.ops.library import native
from edgekit.profiles import Profile
from edgekit.runtime.advice import all_advice
from edgekit.runtime.device import gpu_obstacle
from edgekit.runtime.lowering import preferred_lowerings, tables_obstacle
from edgekit.runtime.versions import first_version
from edgekit.runtime.which_tensorrt import DISTRIBUTIONS, FoundTensorRT, dla_note, find_tensorrt

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
    ("tensorrt", DISTRIBUTIONS["tensorrt"]),
    ("tensorrt_rtx", DISTRIBUTIONS["tensorrt_rtx"]),
    ("cuda", ("cuda-python", "cuda-bindings")),
    ("pycuda", ("pycuda",)),
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


def examine(root: str = "/") -> Dict[str, Any]:
    """Look at this machine; nothing is run on it and no inference library is imported.

    Args:
        root: of the file system that the kernel's and JetPack's files are read from.

    Returns:
        Plain values: edgekit, executable, machine, l4t, jetson, profile, power_mode, gpu, memory, libraries, native,
        tensorrt, video, runs, runs_on_processor, cache, extras, advice.
    """
    profile = this_profile(root)
    board = jetson(root)
    found = find_tensorrt(root)
    libraries = library_versions()
    if found is not None:
        libraries[found.library] = found.version or "unknown version"
    value: Dict[str, Any] = {
        "edgekit": edgekit.__version__,
        "executable": sys.executable,
        "machine": devices.this_machine().to_json(),
        "l4t": l4t_release(root),
        "jetson": None if board is None else board.to_json(),
        "profile": None if profile is None else profile.to_json(),
        "power_mode": _power_mode(profile, root),
        "gpu": None if profile is None or not profile.jetson else dict(gpu_state(profile, root).__dict__),
        "memory": memory_state(root),
        "libraries": libraries,
        "native": dict(native()._asdict()),
        "tensorrt": tensorrt_state(found, profile, l4t_release(root)),
        "video": video_abilities(),
        "runs_on_processor": what_runs(libraries),
        "cache": cache_state(),
        "extras": missing_extras(libraries),
    }
    value["runs"] = what_a_gpu_runs(value["tensorrt"], profile) or value["runs_on_processor"]
    advice = all_advice(value, profile, found, "{}.{}".format(*platform.python_version_tuple()[:2]), root)
    value["advice"] = [dict(item._asdict()) for item in advice]
    return value


def memory_state(root: str = "/") -> Dict[str, Any]:
    """Main memory and what is left of it, swap areas, and the desktop that takes some."""
    return {
        "total_mib": devices.total_memory_mib(root),
        "available_mib": devices.available_memory_mib(root),
        "swaps": [dict(swap.__dict__) for swap in devices.swaps(root)],
        "free_swap_mib": devices.free_swap_mib(root),
        "desktop": devices.desktop(root),
    }


def tensorrt_state(found: Optional[FoundTensorRT], profile: Optional[Profile], l4t: Optional[str]) -> Dict[str, Any]:
    """The TensorRT that an import finds, what the GPU lets it do, and why it cannot run here (None where it can).

    `expected` is the version of the JetPack, and `lowerings` what a bundle would run with, by the one found, else by
    the one expected.
    """
    version = None if found is None else found.version
    software = profile.software_on(l4t) if profile is not None and l4t is not None else None
    expected = None if software is None else software.tensorrt
    generation = None if found is None else found.generation
    if generation is None and expected is not None:
        generation = int(expected.split(".")[0])
    return {
        "library": None if found is None else found.library,
        "version": version,
        "path": None if found is None else found.path,
        "origin": None if found is None else found.origin,
        "expected": expected,
        "generation": generation,
        "lowerings": [] if generation is None else list(lowerings_for(profile, generation)),
        "obstacle": gpu_obstacle(),
        "int8": None if profile is None else profile.chip.int8,
        "dla": None if profile is None or not profile.jetson else dla_note(profile, version or expected),
    }


def what_a_gpu_runs(tensorrt: Dict[str, Any], profile: Optional[Profile]) -> Optional[Dict[str, Any]]:
    """TensorRT and the lowerings that a bundle would run with, best first, and why; None where it cannot run."""
    lowerings = tensorrt["lowerings"]
    if tensorrt["obstacle"] is not None or not lowerings:
        return None
    title = "a GPU without a profile, taken to have INT8," if profile is None else profile.title
    if lowerings[0] == "fp16":
        why = "{} has no INT8, and a graph with Q/DQ would not build".format(title)
    elif lowerings[0] == "trt10":
        why = "{} has INT8, and TensorRT 10 and later read the types of every layer from the graph".format(title)
    else:
        why = "{} has INT8, and TensorRT {} makes the layers without Q/DQ FP16".format(title, tensorrt["generation"])
    backend = "{} {}".format(tensorrt["library"], tensorrt["version"])
    return {"backend": backend, "lowerings": lowerings, "why": why}


def library_versions() -> Dict[str, Optional[str]]:
    """Import name -> installed version, or None; read from the package records, nothing is imported."""
    return {name: first_version(distributions) for name, distributions in LIBRARIES}


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
    if not devices.is_x86():
        why = "ARM multiplies int8 by int8 at full speed"
    elif devices.has_vnni():
        why = "x86 with VNNI sums uint8 x int8 exactly"
    else:
        why = "x86 without VNNI would saturate with 8-bit weights; 7-bit ones cannot"
    if devices.is_x86():
        obstacle = tables_obstacle()
        why += "; SiLU and the like are " + ("lookups" if obstacle is None else "operators, not lookups: " + obstacle)
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


def _power_mode(profile: Optional[Profile], root: str) -> Optional[Dict[str, Any]]:
    if profile is None or not profile.jetson:
        return None
    return dict(power_mode(profile, root).__dict__)


def _build_facts(text: str) -> Dict[str, str]:
    """The 'name: value' lines of OpenCV's build information."""
    found = {}
    for line in text.splitlines():
        name, colon, value = line.strip().partition(":")
        if colon and name not in found:
            found[name] = value.strip()
    return found
