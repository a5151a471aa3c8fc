"""What a test tells a fake TensorRT, and what it asks it afterwards."""

from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import numpy as np

Arrays = Dict[str, np.ndarray]


class FakeSegfaultError(AssertionError):
    """Here the real library would end the process."""


class Fake:
    """The knobs and the record of one fake TensorRT; its `module.fake`.

    Attributes:
        version: such as "10.3.0".
        rtx: whether it is TensorRT-RTX.
        sm, dla_cores, device_name: the GPU.
        driver: whether there is an NVIDIA driver.
        fail_nodes: layer name -> while what its kernels are missing: "int8" (it reads through a Q/DQ pair), "half" (it
            is not pinned to FP32), "always".
        fail_text: layer name -> what the log calls the node, where that is more than the layer's name.
        workspace_needed: layer name -> bytes of workspace below which there is no kernel.
        out_of_memory: of (workspace bytes, level or None): whether a build runs out of memory.
        compute: the network, from arrays to arrays by tensor name.
        compute_of: the same for one engine, by its kernels' precisions ("INT8", "FP16", "FP32"); None for `compute`.
        run_ms: how long a run takes, by these precisions; None for a tenth of a millisecond a kernel.
        gpu: memory and streams (see `tests.nvidia.fake_gpu.FakeGpu`); needed to execute, not to build.
        trace: one line for each call that matters.
        alive: objects that hold device memory and are still alive, by kind.
    """

    def __init__(self, version: str, sm: int, dla_cores: int) -> None:
        self.rtx = version.startswith("rtx-")
        self.version = version[4:] if self.rtx else version
        self.sm = sm
        self.dla_cores = dla_cores
        self.device_name = "fake GPU sm_{}".format(sm)
        self.driver = True
        self.fail_nodes: Dict[str, str] = {}
        self.fail_text: Dict[str, str] = {}
        self.workspace_needed: Dict[str, int] = {}
        self.out_of_memory: Optional[Callable[[int, Optional[int]], bool]] = None
        self.compute: Optional[Callable[[Arrays], Arrays]] = None
        self.compute_of: Optional[Callable[[Set[str]], Callable[[Arrays], Arrays]]] = None
        self.run_ms: Optional[Callable[[Set[str]], float]] = None
        self.gpu: Any = None
        self.trace: List[str] = []
        self.alive: Dict[str, int] = {}

    @property
    def numbers(self) -> Tuple[int, ...]:
        """The version as numbers; TensorRT-RTX 1.x behaves as TensorRT 11."""
        return (11, 4) if self.rtx else tuple(int(part) for part in self.version.split("."))

    def note(self, line: str, *values: Any) -> None:
        """Write a line of the trace."""
        self.trace.append(line.format(*values))

    def note_run(self, line: str, *values: Any) -> None:
        """Write a line of the trace, unless it is the last one: runs come by the hundred."""
        text = line.format(*values)
        if self.trace[-1:] != [text]:
            self.trace.append(text)

    def born(self, kind: str) -> None:
        """Count an object that holds device memory."""
        self.alive[kind] = self.alive.get(kind, 0) + 1

    def gone(self, kind: str) -> None:
        """Count its end."""
        self.alive[kind] -= 1
