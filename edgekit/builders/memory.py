"""Will the build fit? A peak predicted before it starts, beside what is free.

On a board whose CPU and GPU share 4 GB, a build that does not fit is ended by the kernel after tens of minutes, with
one word: Killed.
"""

import sys
from dataclasses import dataclass
from typing import Any, Dict, Optional

from edgekit.errors import BackendError
from edgekit.profiles import Profile

MIB = 1 << 20

# TensorRT's own log on Jetson: "Init CUDA … +229", "Init cuBLAS/cuBLASLt +158", "Init cuDNN +240", each in MiB.
_CUDA_MIB, _LIBRARIES_MIB = 229, 400
# The builder's kernels: 8.6 loads a builder resource of 945 MB in parts; seen 150 to 400 MiB resident for CNNs.
_BUILDER_MIB = 300
# The network's own copy, the timed candidate's and the serialised engine's.
_WEIGHT_COPIES = 4


@dataclass(frozen=True)
class BuildMemory:
    """A build's memory, in MiB: an estimate from sizes, not a measurement.

    Attributes:
        parts: what it is made of.
        free_mib: what the machine could give now, page cache included; None where the kernel does not say.
        swap_mib: free swap, zram included.
    """

    parts: Dict[str, int]
    free_mib: Optional[int]
    swap_mib: int

    @property
    def peak_mib(self) -> int:
        """All parts together."""
        return sum(self.parts.values())

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return {
            "predicted_peak_mib": self.peak_mib,
            "parts_mib": self.parts,
            "free_mib": self.free_mib,
            "free_swap_mib": self.swap_mib,
        }

    def check(self, low_memory: bool) -> Optional[str]:
        """A warning where the build will swap, None where it fits.

        Raises:
            BackendError: it does not fit even with swap.
        """
        if self.free_mib is None or self.peak_mib <= self.free_mib:
            return None
        said = "the build needs about {} MiB, {} are free".format(self.peak_mib, self.free_mib)
        if self.peak_mib <= self.free_mib + self.swap_mib:
            return (
                "{}: it will use swap and take long; closing the desktop helps (systemctl isolate multi-user)".format(
                    said
                )
            )
        cure = "close the desktop (sudo systemctl isolate multi-user.target) or add swap"
        if not low_memory:
            cure = "use --low-memory, " + cure
        raise BackendError("{} and {} of swap: {}; --no-memory-check builds anyway".format(said, self.swap_mib, cure))


def predict_build_memory(
    weight_bytes: int,
    activation_bytes: int,
    workspace_mib: int,
    low_memory: bool,
    generation: int,
    free_mib: Optional[int],
    swap_mib: int,
) -> BuildMemory:
    """The peak of a build.

    Args:
        weight_bytes: of the graph's external weights.
        activation_bytes: of all tensors that are alive at once.
        workspace_mib: limit of the scratch memory.
        low_memory: whether cuDNN and cuBLAS are left out.
        generation: TensorRT's major version; from 10 on it does not load them by itself.
        free_mib, swap_mib: of the machine.
    """
    libraries = _LIBRARIES_MIB if generation < 10 and not low_memory else 0
    parts = {
        "CUDA": _CUDA_MIB,
        "builder": _BUILDER_MIB,
        "cuDNN and cuBLAS": libraries,
        "weights": -(-_WEIGHT_COPIES * weight_bytes // MIB),
        "activations": -(-2 * activation_bytes // MIB),  # the timed candidate's input and output beside the network's
        "workspace": workspace_mib,
    }
    return BuildMemory(parts, free_mib, swap_mib)


def refuse_torch(profile: Optional[Profile]) -> None:
    """On a small board nothing else may sit in the builder's process.

    Raises:
        BackendError: torch is loaded, which takes about a gigabyte.
    """
    if profile is not None and profile.memory.low_memory and "torch" in sys.modules:
        raise BackendError(
            "torch is loaded in this process and takes the memory that a build on {} needs; build in a process of "
            "its own: edgekit build BUNDLE".format(profile.title)
        )
