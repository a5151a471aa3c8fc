"""The build itself: try, read the log, give something up, try again."""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

from edgekit.builders.heal import Attempt, Failure, next_attempt
from edgekit.builders.here import Target
from edgekit.builders.options import BuildOptions, Settings
from edgekit.builders.rewire import layers_with_pairs, pin_to_float32, take_pairs_off
from edgekit.builders.timing_cache import read_timings, timing_cache_path, write_timings
from edgekit.engine import Concession, EngineKey
from edgekit.errors import BackendError
from edgekit.nvidia import trt_build
from edgekit.nvidia.trt import Message, TensorRT, errors_in, make_logger, optional
from edgekit.nvidia.trt_build import Progress

if TYPE_CHECKING:
    import tensorrt as trt

_LIBRARY_TACTICS = ("CUDNN", "CUBLAS", "CUBLAS_LT")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """What came out.

    Attributes:
        plan: the serialised engine, bytes-like.
        concessions: what was given up.
        facts: layers, quantizers, flags, attempts, timing cache, warnings, layers off the DLA.
    """

    plan: Any
    concessions: Tuple[Concession, ...]
    facts: Dict[str, Any] = field(default_factory=dict)


class _Parsed(NamedTuple):
    network: "trt.INetworkDefinition"
    parser: "trt.OnnxParser"  # owns the weights while the engine is built
    flags: List[str]
    strongly_typed: bool


def types_in_file(record: Dict[str, Any]) -> bool:
    """Whether a lowering's graph says itself what is float16, and so needs no builder flags where there are none."""
    requires = record.get("requires", {})
    return "STRONGLY_TYPED" in requires.get("flags", ()) or bool(requires.get("fp16"))


def build_plan(
    tensorrt: TensorRT,
    graph: str,
    record: Dict[str, Any],
    key: EngineKey,
    settings: Settings,
    options: BuildOptions,
    target: Target,
    progress: Optional[Progress] = None,
) -> Built:
    """Build until it works or nothing is left to give up.

    Args:
        tensorrt: the library.
        graph: path of the lowering as plain ONNX.
        record: the bundle's record of that lowering.
        key: of the engine; names the timing cache.
        settings, options, target: what is asked for, and the machine.
        progress: see `trt_build.report_progress`.

    Raises:
        BackendError: the importer or the builder refuses, and no concession helps.
    """
    messages: List[Message] = []
    logger = make_logger(tensorrt, messages)
    builder = trt_build.make_builder(tensorrt, logger, messages)
    strongly = _strongly_typed(tensorrt, record)
    # A typed graph has its FP32 islands written in; elsewhere the builder is told.
    pinned = {} if strongly else dict(record.get("hints", {}).get("pin_fp32", {}))
    attempt = Attempt(
        settings.workspace_mib,
        settings.level,
        without_pairs=frozenset(pinned),
        float32=frozenset(pinned),
        concessions=tuple(Concession(name, "pinned to FP32", str(why)) for name, why in sorted(pinned.items())),
    )
    for number in range(options.retries + 1):
        del messages[:]
        parsed = _parse(tensorrt, builder, logger, graph, record, target, strongly)
        take_pairs_off(tensorrt, parsed.network, set(attempt.without_pairs))
        pinned_now = pin_to_float32(tensorrt, parsed.network, set(attempt.float32))
        config = _configure(tensorrt, builder, parsed, settings, attempt, target, bool(pinned_now))
        timings = _load_timings(tensorrt, config, key, options)
        watching = trt_build.report_progress(tensorrt, config, progress) if progress is not None else None
        plan = trt_build.serialize(builder, parsed.network, config)
        del watching
        if plan is not None:
            facts = _facts(tensorrt, parsed, config, messages, settings, timings, number + 1)
            _save_timings(tensorrt, config, key, options)
            return Built(plan, attempt.concessions, facts)
        attempt = next_attempt(attempt, _failure(tensorrt, parsed, messages, target, attempt))
        _log.warning("the build failed and is tried again: %s", attempt.concessions[-1].what)
    raise BackendError(
        "TensorRT could not build the engine in {} tries; given up so far: {}".format(
            options.retries + 1, "; ".join("{0.layer} {0.what}".format(one).strip() for one in attempt.concessions)
        )
    )


def _parse(
    tensorrt: TensorRT,
    builder: "trt.Builder",
    logger: "trt.ILogger",
    graph: str,
    record: Dict[str, Any],
    target: Target,
    strongly: bool,
) -> _Parsed:
    network = trt_build.make_network(tensorrt, builder, strongly)
    parser = trt_build.parse(tensorrt, network, logger, graph)
    quantizers = trt_build.count_quantizers(tensorrt, network)
    if quantizers and not _has_int8(builder, target):
        raise BackendError(
            "{} has no INT8 and this graph has {} Q/DQ nodes; build the fp16 lowering".format(
                target.profile.title if target.profile is not None else target.device.name, quantizers
            )
        )
    flags = [] if strongly else _precision_flags(record, bool(quantizers))
    return _Parsed(network, parser, flags, strongly)


def _strongly_typed(tensorrt: TensorRT, record: Dict[str, Any]) -> bool:
    """Whether the network takes its types from the file: where it can, if they are there or no flag would set them."""
    flags = optional(tensorrt.module.BuilderFlag, "FP16") is not None
    return tensorrt.strongly_typed and (types_in_file(record) or not flags)


def _has_int8(builder: "trt.Builder", target: Target) -> bool:
    if target.profile is not None:
        return target.profile.chip.int8
    return bool(optional(builder, "platform_has_fast_int8", True))


def _precision_flags(record: Dict[str, Any], quantized: bool) -> List[str]:
    if not quantized and not types_in_file(record):
        return []  # the float32 reference stays one
    return ["FP16", "INT8"] if quantized else ["FP16"]


def _configure(
    tensorrt: TensorRT,
    builder: "trt.Builder",
    parsed: _Parsed,
    settings: Settings,
    attempt: Attempt,
    target: Target,
    pinned: bool,
) -> "trt.IBuilderConfig":
    config = builder.create_builder_config()
    trt_build.set_flags(tensorrt, config, parsed.flags + (["OBEY_PRECISION_CONSTRAINTS"] if pinned else []))
    trt_build.set_workspace(tensorrt, config, attempt.workspace_mib << 20)
    if attempt.level is not None:
        trt_build.set_level(config, attempt.level)
    if settings.low_memory:
        trt_build.drop_tactic_sources(tensorrt, config, _LIBRARY_TACTICS)
    trt_build.keep_layer_details(tensorrt, config)
    if settings.dla_core is not None:
        trt_build.use_dla(tensorrt, builder, config, settings.dla_core)
    if not target.here:
        trt_build.target_capability(tensorrt, config, target.device.sm)
    return config


def _load_timings(tensorrt: TensorRT, config: "trt.IBuilderConfig", key: EngineKey, options: BuildOptions) -> str:
    if not options.timing_cache or not tensorrt.keeps_timings:
        return "off" if tensorrt.keeps_timings else "TensorRT-RTX keeps none"
    timings = read_timings(timing_cache_path(key, options.cache_dir or ""), key)
    if trt_build.load_timing_cache(config, timings.data) or not timings.data:
        return timings.state
    _log.warning("TensorRT refuses the timing cache; this build times its kernels anew")
    return "refused by TensorRT"


def _save_timings(tensorrt: TensorRT, config: "trt.IBuilderConfig", key: EngineKey, options: BuildOptions) -> None:
    wanted = options.timing_cache and tensorrt.keeps_timings
    data = trt_build.saved_timing_cache(config) if wanted else b""
    if data:
        write_timings(timing_cache_path(key, options.cache_dir or ""), key, data)


def _failure(
    tensorrt: TensorRT,
    parsed: _Parsed,
    messages: List[Message],
    target: Target,
    attempt: Attempt,
) -> Failure:
    names = [layer.name for layer in trt_build.layers_of(parsed.network)]
    most = target.profile.memory.build_mib // 2 if target.profile is not None else 4 * attempt.workspace_mib
    return Failure(
        errors_in(messages),
        names,
        layers_with_pairs(tensorrt, parsed.network, names),
        not parsed.strongly_typed,
        most,
    )


def _facts(
    tensorrt: TensorRT,
    parsed: _Parsed,
    config: "trt.IBuilderConfig",
    messages: List[Message],
    settings: Settings,
    timings: str,
    attempts: int,
) -> Dict[str, Any]:
    facts: Dict[str, Any] = {
        "layers": parsed.network.num_layers,
        "quantizers": trt_build.count_quantizers(tensorrt, parsed.network),
        "flags": parsed.flags,
        "strongly_typed": parsed.strongly_typed,
        "attempts": attempts,
        "timing_cache": timings,
        "warnings": sorted({one.text.strip() for one in messages if one.severity == "WARNING"})[:20],
    }
    if settings.dla_core is not None:
        facts["off_dla"] = trt_build.off_dla(parsed.network, config)
    return facts
