"""The machine that an engine is for: this one, or with TensorRT-RTX one that is described by a profile."""

from dataclasses import dataclass, replace
from typing import Optional

from edgekit.engine import EngineKey
from edgekit.jetson import this_profile
from edgekit.nvidia.cuda import CudaDevice, open_cuda
from edgekit.nvidia.trt import TensorRT
from edgekit.nvpmodel import power_mode
from edgekit.profiles import Profile, profile_of

MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """What an engine is built for.

    Attributes:
        device: the GPU.
        profile: what kind of device it is, None for one without a profile.
        power_mode: nvpmodel's mode as the clocks confirm it; "" where there are no modes.
        here: whether it is this machine's GPU.
    """

    device: CudaDevice
    profile: Optional[Profile]
    power_mode: str
    here: bool


def this_target(index: int = 0, root: str = "/") -> Target:
    """The GPU of this machine.

    Raises:
        BackendError: there is none that CUDA can use.
    """
    cuda = open_cuda(index)
    cuda.close()
    return target_here(cuda.device, root)


def target_here(device: CudaDevice, root: str = "/") -> Target:
    """This machine with one of its GPUs, as CUDA describes it."""
    profile = this_profile(root) or profile_of(device.name)
    mode = power_mode(profile, root).name if profile is not None and profile.jetson else ""
    return Target(device, profile, mode, True)


def target_of(profile: Profile) -> Target:
    """The GPU that a profile describes, in its default mode."""
    mode = profile.mode()
    device = CudaDevice(
        name=profile.models[0] if profile.models else profile.title,
        sm=profile.chip.sm,
        sm_count=mode.sm_count,
        memory_mib=profile.memory.total_mib,
        integrated=profile.memory.shared,
        driver="",
    )
    return Target(device, profile, mode.name if profile.jetson else "", False)


def key_of(key: EngineKey, tensorrt: TensorRT, target: Target) -> EngineKey:
    """`key` with everything about library and machine as it is now: what an engine built here would have."""
    return replace(
        key,
        library=tensorrt.library,
        tensorrt=tensorrt.version,
        cuda=target.device.driver,
        sm=target.device.sm,
        sm_count=target.device.sm_count,
        gpu=target.device.name,
        power_mode=target.power_mode,
    )


def new_key(bundle: str, lowering: str, tensorrt: TensorRT, target: Target, dla_core: Optional[int]) -> EngineKey:
    """A key without settings."""
    return key_of(EngineKey(bundle, lowering, "", "", "", 0, 0, "", dla_core=dla_core), tensorrt, target)
