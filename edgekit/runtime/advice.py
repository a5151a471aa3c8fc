"""What is in the way on this machine, each with the command that cures it; the worst first."""

import os
from typing import Any, Dict, Iterator, List, Optional

from edgekit.nvpmodel import mode_numbers
from edgekit.profiles import PowerMode, Profile
from edgekit.runtime.which_tensorrt import Advice, FoundTensorRT, tensorrt_advice
from edgekit.sysfs import find

_GPUS = ("/sys/class/devfreq/17000000.g*", "/sys/class/devfreq/57000000.gpu")
_ROOMY_MIB = 9000  # a board with more memory than this builds beside a desktop and without swap
_SWAP_MIB = 3500
_SLOW = 0.6  # of the fastest mode's arithmetic
_MAKE_SWAP = (
    "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile"
)


def all_advice(
    value: Dict[str, Any], profile: Optional[Profile], found: Optional[FoundTensorRT], python: str, root: str = "/"
) -> List[Advice]:
    """Advice on what `edgekit.runtime.doctor.examine` has found so far.

    Args:
        value: its result without `advice`.
        profile: of this machine, or None.
        found: the TensorRT that can be imported, or None.
        python: the running interpreter, such as "3.10".
        root: of the file system.
    """
    advice = list(_about_libraries(value))
    if profile is not None and profile.jetson:
        advice += list(_about_tensorrt(value, profile, found, python, root))
        advice += list(_about_power(value, profile, root))
        advice += list(_about_memory(value, profile))
        advice += list(_about_cameras(value))
    else:
        advice += list(_about_the_board(value, profile, root))
        advice += list(_about_a_card(value))
    return advice


def _about_libraries(value: Dict[str, Any]) -> Iterator[Advice]:
    if value["runs"]["backend"] is None:
        yield Advice("no inference library is installed: nothing can run", "pip install 'edgekit[ort]'")
    if not value["cache"]["writable"]:
        yield Advice("the cache {} cannot be written".format(value["cache"]["folder"]), "export EDGEKIT_CACHE=FOLDER")


def _about_tensorrt(
    value: Dict[str, Any], profile: Profile, found: Optional[FoundTensorRT], python: str, root: str
) -> Iterator[Advice]:
    wrong = tensorrt_advice(found, profile, value["l4t"], python, root)
    if wrong is not None:
        yield wrong
    elif value["libraries"]["cuda"] is None and value["libraries"]["pycuda"] is None:
        yield Advice("neither cuda-python nor PyCUDA is installed: TensorRT has no memory to work in", _binding(value))
    elif value["tensorrt"]["obstacle"] is not None:
        yield Advice(
            "TensorRT cannot run: {}".format(value["tensorrt"]["obstacle"]),
            "in a container: docker run --runtime nvidia",
        )


def _binding(value: Dict[str, Any]) -> str:
    branch = int((value["l4t"] or "36").split(".")[0])
    if branch <= 32:
        return "pip install 'pycuda<=2022.1'"  # the last for Python 3.6 and CUDA 10.2
    if branch <= 35:
        return "pip install pycuda"
    return "pip install 'cuda-python<13'" if branch == 36 else "pip install cuda-python"


def _about_power(value: Dict[str, Any], profile: Profile, root: str) -> Iterator[Advice]:
    state = value["power_mode"]
    if not state["agrees"]:
        yield Advice(state["message"], "sudo reboot")
    numbers = mode_numbers(profile, root)
    now = next((mode for mode in profile.modes if mode.name == state["name"]), None)
    best = max((mode for mode in profile.modes if mode.name in numbers), key=_arithmetic, default=now)
    if now is not None and best is not None and _arithmetic(now) < _SLOW * _arithmetic(best):
        yield Advice(
            "power mode {} holds the GPU to {:.0f} MHz and {} multiprocessors, {:.0%} of what {} gives".format(
                now.name, now.gpu_mhz, now.sm_count, _arithmetic(now) / _arithmetic(best), best.name
            ),
            "sudo nvpmodel -m {}, if supply and cooling allow it".format(numbers[best.name]),
        )


def _arithmetic(mode: PowerMode) -> float:
    return mode.gpu_mhz * mode.sm_count


def _about_memory(value: Dict[str, Any], profile: Profile) -> Iterator[Advice]:
    if profile.memory.total_mib > _ROOMY_MIB:
        return
    memory = value["memory"]
    disk = sum(swap["size_mib"] for swap in memory["swaps"] if swap["kind"] != "zram")
    if disk < _SWAP_MIB:
        have = "{} MiB of swap on disk".format(disk) if disk else "no swap but zram" if memory["swaps"] else "no swap"
        yield Advice("{}: the kernel may kill the build of an engine".format(have), _MAKE_SWAP)
    if memory["desktop"]:
        yield Advice(
            "a desktop runs ({}) and takes memory from the GPU".format(memory["desktop"]),
            "sudo systemctl isolate multi-user.target (for good: set-default instead of isolate)",
        )


def _about_cameras(value: Dict[str, Any]) -> Iterator[Advice]:
    if value["video"]["opencv"] is None or not value["video"]["gstreamer"]:
        yield Advice(
            "this OpenCV has no GStreamer: no CSI camera, no hardware decoder",
            "pip uninstall opencv-python opencv-python-headless; sudo apt-get install python3-opencv",
        )


def _about_the_board(value: Dict[str, Any], profile: Optional[Profile], root: str) -> Iterator[Advice]:
    jetson = value["jetson"]
    if profile is not None:
        return
    if jetson is not None and jetson["soc"] is not None:
        yield Advice(
            "no device profile fits {}: no power modes, sensors or prediction".format(jetson["model"]),
            "write one beside engines/profiles (engines/README.md says how)",
        )
    elif jetson is not None or any(find(root, pattern) for pattern in _GPUS):
        yield Advice(
            "this is a Jetson whose name the container hides: no profile, no power mode",
            "docker run --security-opt systempaths=unconfined -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro …",
        )


def _about_a_card(value: Dict[str, Any]) -> Iterator[Advice]:
    obstacle = value["tensorrt"]["obstacle"]
    there = os.path.exists("/dev/nvidia0") or value["profile"] is not None
    if there and obstacle is not None:
        yield Advice("there is an NVIDIA GPU, but {}".format(obstacle), "pip install tensorrt cuda-python")
