"""The builder: when a build fails, and with which words."""

from typing import Any, Dict, Iterator, Optional

from tests.nvidia.fake_tensorrt.plan import plan_of
from tests.nvidia.fake_tensorrt.vocabulary import Strict, check_logger, said

NO_INT8 = (53, 60, 62)
NO_FP16 = (50, 52, 61)
PRECISIONS = ("FP16", "INT8", "BF16", "FP8", "INT4")


class Builder(Strict):
    """`trt.Builder`."""

    def __init__(self, logger: Any) -> None:
        check_logger(self._trt, logger)
        fake = self._trt.fake
        if not fake.driver and not fake.rtx:
            said(logger, "WARNING", "CUDA initialization failure with error: 35. Please check your CUDA installation")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger
        self._threads = 1

    @property
    def logger(self) -> Any:
        return self._logger

    @property
    def num_DLA_cores(self) -> int:
        return self._trt.fake.dla_cores

    @property
    def max_DLA_batch_size(self) -> int:
        return 32

    @property
    def max_threads(self) -> int:
        return self._threads

    @max_threads.setter
    def max_threads(self, value: int) -> None:
        self._threads = value

    @property
    def platform_has_fast_fp16(self) -> bool:
        return self._trt.fake.sm not in NO_FP16

    @property
    def platform_has_fast_int8(self) -> bool:
        return self._trt.fake.sm not in NO_INT8

    @property
    def platform_has_tf32(self) -> bool:
        return self._trt.fake.sm >= 80

    def create_network(self, flags: int = 0) -> Any:
        kinds = self._trt.NetworkDefinitionCreationFlag.__members__
        on = [name for name, flag in kinds.items() if flags & (1 << int(flag))]
        if flags >> len(kinds):
            raise ValueError("create_network: flags {} has bits that this version does not know".format(flags))
        self._trt.fake.note("builder.create_network({})", "|".join(on))
        major = self._trt.fake.numbers[0]
        explicit = major >= 10 or "EXPLICIT_BATCH" in on
        strongly = major >= 11 or "STRONGLY_TYPED" in on
        return self._trt.INetworkDefinition(self._logger, explicit, strongly, flags)

    def create_builder_config(self) -> Any:
        return self._trt.IBuilderConfig(self._logger)

    def create_optimization_profile(self) -> Any:
        return self._trt.IOptimizationProfile()

    def is_network_supported(self, network: Any, config: Any) -> bool:
        return self._refusal(network, config) is None

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        self._trt.fake.note("builder.build_serialized_network({})", _sizes(network))
        refusal = self._refusal(network, config)
        if refusal is not None:
            said(self._logger, "ERROR", refusal)
            return None
        if not _progress(config, network.num_layers):
            said(self._logger, "ERROR", "IBuilder::buildSerializedNetwork: the build was cancelled by the monitor")
            return None
        if config._cache is not None:
            config._cache._entries.update((layer.name, 1.0) for layer in network._layers)
        return self._trt.IHostMemory(plan_of(self._trt, network, config))

    def build_engine(self, network: Any, config: Any) -> Any:
        plan = self.build_serialized_network(network, config)
        return None if plan is None else self._trt.Runtime(self._logger).deserialize_cuda_engine(plan)

    def reset(self) -> None:
        self._threads = 1

    def _refusal(self, network: Any, config: Any) -> Optional[str]:
        for rule in (self._unsupported_gpu, self._shapes, self._types, self._quantizers, self._memory, self._kernels):
            text: Optional[str] = rule(network, config)
            if text is not None:
                return text
        return None

    def _unsupported_gpu(self, network: Any, config: Any) -> Optional[str]:
        fake = self._trt.fake
        least = 0 if fake.rtx else {8: 50, 10: 70}.get(fake.numbers[0], 75)
        if fake.sm >= least:
            return None
        text = "IBuilder::buildSerializedNetwork: Error Code 9: API Usage Error (Target GPU SM {} is not supported by "
        return (text + "this TensorRT release.)").format(fake.sm)

    def _shapes(self, network: Any, config: Any) -> Optional[str]:
        if not any(-1 in tensor._shape for tensor in network._inputs) or config._profiles:
            return None
        return (
            "IBuilder::buildSerializedNetwork: Error Code 4: Internal Error (Network has dynamic or shape inputs, but "
            "no optimization profile has been defined.)"
        )

    def _types(self, network: Any, config: Any) -> Optional[str]:
        known = self._trt.BuilderFlag.__members__
        on = [name for name in PRECISIONS if name in known and config.get_flag(known[name])]
        if network._strongly_typed and on:
            text = "IBuilder::buildSerializedNetwork: Error Code 3: API Usage Error (a strongly typed network takes no "
            return text + "precision flags, but {} is set.)".format(on[0])
        return None

    def _quantizers(self, network: Any, config: Any) -> Optional[str]:
        if not any(layer.type.name in ("QUANTIZE", "DEQUANTIZE") for layer in network._layers):
            return None
        if not self._trt.fake.rtx and self._trt.fake.sm in NO_INT8:
            return "Networks with QuantizeLayer/DequantizeLayer layers require hardware with Int8 support."
        flag = self._trt.BuilderFlag.__members__.get("INT8")
        if flag is not None and not network._strongly_typed and not config.get_flag(flag):
            return "Networks with QuantizeLayer/DequantizeLayer layers require the INT8 builder flag."
        return None

    def _memory(self, network: Any, config: Any) -> Optional[str]:
        ask = self._trt.fake.out_of_memory
        level = config._level if hasattr(type(config), "builder_optimization_level") else None
        if ask is None or not ask(config._workspace, level):
            return None
        text = (
            "[virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (Requested amount of GPU memory "
        )
        return text + "({} bytes) could not be allocated.)".format(config._workspace)

    def _kernels(self, network: Any, config: Any) -> Optional[str]:
        for layer in _used(network):
            fake = self._trt.fake
            missing = fake.fail_nodes.get(layer.name)
            failed = missing is not None and _misses(missing, layer, network, config)
            if failed or config._workspace < fake.workspace_needed.get(layer.name, 0):
                return _no_implementation(fake, fake.fail_text.get(layer.name, layer.name))
        return None


def _no_implementation(fake: Any, node: str) -> str:
    where = "[optimizer.cpp::computeCosts::3728]" if fake.numbers[0] < 10 else "IBuilder::buildSerializedNetwork:"
    text = "{} Error Code 10: Internal Error (Could not find any implementation for node {}.)"
    return text.format(where, node)


def _misses(missing: str, layer: Any, network: Any, config: Any) -> bool:
    if missing == "int8":
        return reads_pair(layer, network)
    if missing == "half":
        obeyed = layer._trt.BuilderFlag.__members__.get("OBEY_PRECISION_CONSTRAINTS")
        pinned = layer._precision is not None and layer._precision.name == "FLOAT"
        return not (pinned and obeyed is not None and config.get_flag(obeyed))
    if missing == "always":
        return True
    raise ValueError("fail_nodes: 'int8', 'half' or 'always', got {!r}".format(missing))


def makers(network: Any) -> Dict[int, Any]:
    """Tensor identity -> the layer that writes it."""
    return {id(tensor): layer for layer in network._layers for tensor in layer._outputs}


def reads_pair(layer: Any, network: Any) -> bool:
    """Whether the layer's first input is an activation behind a Q/DQ pair."""
    maker = makers(network).get(id(layer.get_input(0)))
    return maker is not None and maker.type.name == "DEQUANTIZE"


def _used(network: Any) -> Iterator[Any]:
    """The layers that outputs depend on, in their order: the rest is removed before kernels are sought."""
    made = makers(network)
    wanted, ahead = set(), list(network._outputs)
    while ahead:
        layer = made.get(id(ahead.pop()))
        if layer is not None and id(layer) not in wanted:
            wanted.add(id(layer))
            ahead += layer._inputs
    return (layer for layer in network._layers if id(layer) in wanted)


def _progress(config: Any, steps: int) -> bool:
    monitor = config._monitor
    if monitor is None:
        return True
    monitor.phase_start("Building Engine", None, steps)
    going = all(monitor.step_complete("Building Engine", step) for step in range(steps))
    monitor.phase_finish("Building Engine")
    return going


def _sizes(network: Any) -> str:
    return "{} layers, {} inputs, {} outputs".format(network.num_layers, network.num_inputs, network.num_outputs)
