"""What a build does with TensorRT, each step in one function that holds for 8.2 to 11."""

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence

from edgekit.errors import BackendError
from edgekit.nvidia.trt import Message, TensorRT, errors_in, optional

if TYPE_CHECKING:
    import tensorrt as trt

Progress = Callable[[int, int, str], None]


def make_builder(tensorrt: TensorRT, logger: "trt.ILogger", messages: List[Message]) -> "trt.Builder":
    """A builder.

    Raises:
        BackendError: TensorRT gives none, as without a GPU.
    """
    try:
        return tensorrt.module.Builder(logger)
    except TypeError as error:  # the bindings' way of saying that the C++ factory returned nothing
        said = "; ".join(errors_in(messages)[:1]) or str(error)
        raise BackendError("TensorRT {} gives no builder here: {}".format(tensorrt.version, said)) from error


def make_network(tensorrt: TensorRT, builder: "trt.Builder", strongly_typed: bool) -> "trt.INetworkDefinition":
    """An empty network with a static batch.

    Args:
        strongly_typed: take the types of the ONNX file as they are; needs TensorRT 10 or later.
    """
    names = ["EXPLICIT_BATCH"] + (["STRONGLY_TYPED"] if strongly_typed else [])
    flags = 0
    for name in names:
        flag = optional(tensorrt.module.NetworkDefinitionCreationFlag, name)
        if flag is not None:
            flags |= 1 << int(flag)
    return builder.create_network(flags)


def parse(tensorrt: TensorRT, network: "trt.INetworkDefinition", logger: "trt.ILogger", graph: str) -> "trt.OnnxParser":
    """Read an ONNX file, with its external weights beside it, into `network`.

    Returns:
        The parser, which owns the weights: keep it until the engine is built.

    Raises:
        BackendError: the importer refuses the graph; the message has its words.
    """
    parser = tensorrt.module.OnnxParser(network, logger)
    if not parser.parse_from_file(os.path.abspath(graph)):
        said = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise BackendError(
            "TensorRT {} cannot read {}: {}; see edgekit check --lowering for the rule".format(
                tensorrt.version, os.path.basename(graph), " | ".join(said[:2]) or "no reason given"
            )
        )
    return parser


def layers_of(network: "trt.INetworkDefinition") -> "Iterator[trt.ILayer]":
    """The layers, in their order."""
    for index in range(network.num_layers):
        yield network.get_layer(index)


def count_quantizers(tensorrt: TensorRT, network: "trt.INetworkDefinition") -> int:
    """How many Q and DQ layers there are."""
    kinds = (tensorrt.module.LayerType.QUANTIZE, tensorrt.module.LayerType.DEQUANTIZE)
    return sum(layer.type in kinds for layer in layers_of(network))


def set_flags(tensorrt: TensorRT, config: "trt.IBuilderConfig", names: Sequence[str]) -> List[str]:
    """Set the builder flags that this version has; their names."""
    applied = []
    for name in names:
        flag = optional(tensorrt.module.BuilderFlag, name)
        if flag is not None:
            config.set_flag(flag)
            applied.append(name)
    return applied


def set_workspace(tensorrt: TensorRT, config: "trt.IBuilderConfig", nbytes: int) -> None:
    """Limit the scratch memory of one tactic."""
    limit = optional(config, "set_memory_pool_limit")
    if limit is not None:
        limit(optional(tensorrt.module.MemoryPoolType, "WORKSPACE"), nbytes)
    else:
        config.max_workspace_size = nbytes  # pyright: ignore[reportAttributeAccessIssue]  (VERSIONED: to 8.6)


def set_level(config: "trt.IBuilderConfig", level: int) -> bool:
    """Set how long the builder searches (0 to 5); False before 8.6, which has no levels."""
    if optional(config, "builder_optimization_level") is None:
        return False
    config.builder_optimization_level = level
    return True


def drop_tactic_sources(tensorrt: TensorRT, config: "trt.IBuilderConfig", names: Sequence[str]) -> List[str]:
    """Do without the kernels of these libraries, whose loading takes memory; the names that were on."""
    sources = config.get_tactic_sources()
    dropped = []
    for name in names:
        source = optional(tensorrt.module.TacticSource, name)
        if source is not None and sources & (1 << int(source)):
            sources &= ~(1 << int(source))
            dropped.append(name)
    if dropped:
        config.set_tactic_sources(sources)
    return dropped


def load_timing_cache(config: "trt.IBuilderConfig", data: bytes) -> bool:
    """Give the builder timings of an earlier build; False where it refuses them, then it starts with none."""
    if data:
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return True
    fresh = config.create_timing_cache(b"")
    if fresh is not None:
        config.set_timing_cache(fresh, False)
    return False


def saved_timing_cache(config: "trt.IBuilderConfig") -> bytes:
    """The timings after a build; empty where this library keeps none."""
    cache = config.get_timing_cache()
    return b"" if cache is None else bytes(memoryview(cache.serialize()))


def keep_layer_details(tensorrt: TensorRT, config: "trt.IBuilderConfig") -> None:
    """Let the engine say later what its layers became."""
    config.profiling_verbosity = tensorrt.module.ProfilingVerbosity.DETAILED


def use_dla(tensorrt: TensorRT, builder: "trt.Builder", config: "trt.IBuilderConfig", core: int) -> None:
    """Put what can run there on DLA core `core`, the rest on the GPU.

    Raises:
        BackendError: there is no such core, or this TensorRT does not drive it.
    """
    cores = builder.num_DLA_cores
    if core >= cores:
        raise BackendError(
            "there is no DLA core {} for TensorRT {} here, it sees {}; build for the GPU".format(
                core, tensorrt.version, cores
            )
        )
    config.default_device_type = tensorrt.module.DeviceType.DLA
    config.DLA_core = core
    set_flags(tensorrt, config, ["GPU_FALLBACK"])


def off_dla(network: "trt.INetworkDefinition", config: "trt.IBuilderConfig") -> List[str]:
    """Names of the layers that the DLA cannot run and that fall back to the GPU."""
    return [layer.name for layer in layers_of(network) if not config.can_run_on_DLA(layer)]


def target_capability(tensorrt: TensorRT, config: "trt.IBuilderConfig", sm: int) -> None:
    """Build for another GPU than this machine's (TensorRT-RTX only).

    Raises:
        BackendError: this library cannot, or does not know that GPU.
    """
    kinds = optional(tensorrt.module, "ComputeCapability")
    wanted = optional(kinds, "SM{}".format(sm))
    if wanted is None:
        raise BackendError("{} {} cannot build for sm_{}".format(tensorrt.library, tensorrt.version, sm))
    config.num_compute_capabilities = 1  # pyright: ignore[reportAttributeAccessIssue]  (TensorRT-RTX)
    optional(config, "set_compute_capability")(wanted, 0)


def report_progress(tensorrt: TensorRT, config: "trt.IBuilderConfig", progress: Progress) -> Any:
    """Call `progress` with (steps done, steps, phase) while the engine is built; TensorRT 10 and later.

    Returns:
        The monitor, to be kept until the build is over; None before 10.
    """
    monitor = optional(tensorrt.module, "IProgressMonitor")
    if monitor is None:
        return None

    class Monitor(monitor):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            monitor.__init__(self)
            self._steps: Dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: Optional[str], num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress(step + 1, self._steps.get(phase_name, step + 1), phase_name)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    kept = Monitor()
    config.progress_monitor = kept  # pyright: ignore[reportAttributeAccessIssue]  (VERSIONED: from 10.0)
    return kept


def serialize(builder: "trt.Builder", network: "trt.INetworkDefinition", config: "trt.IBuilderConfig") -> Any:
    """The engine as a buffer, or None where the build failed: the log says why."""
    return builder.build_serialized_network(network, config)
