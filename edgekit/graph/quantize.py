"""Post-training quantisation, the verb: a float network and a folder of pictures in, a `QuantPlan` out."""

import difflib
import logging
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgekit.errors import ConfigError, DataError
from edgekit.graph.bias import MODES, correct_bias
from edgekit.graph.calibrate import METHODS, Range
from edgekit.graph.calibrate.images import CalibrationImages, choose_images, prepared
from edgekit.graph.calibrate.stream import stream
from edgekit.graph.equalize import equalize
from edgekit.graph.families import Family, detect_family
from edgekit.graph.overflow import OverflowScan, overflowing
from edgekit.graph.plan import (
    WEIGHT_BITS,
    WEIGHT_CLIPS,
    PlanOptions,
    first_layers,
    keep_in_float,
    last_layers,
    make_plan,
    weighted_layers,
)
from edgekit.graph.ranges import RangeTable, difference, graph_digest, load_table, make_table, save_table
from edgekit.graph.sensitivity import FloatChoice, Judge, choose_float_layers
from edgekit.precision import QuantPlan

_logger = logging.getLogger(__name__)

AUTO_METHODS = ("mse", "minmax")
"""What "auto" chooses from: one clips where that lowers the error, one never clips. Which is better depends on how
much a network says with its largest values; on our three they differ by up to 0.3 of agreement, either way."""

FLOAT_LAYERS = ("auto", "search", "none", "stem", "head", "stem+head")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """What can be chosen; the defaults are what the accuracy figures in the README were got with.

    Attributes:
        method: calibration method, a key of `METHODS`, or "auto": that of `AUTO_METHODS` whose boxes agree best.
        images: how many pictures of a folder; None means all.
        seed: what chooses them.
        weight_clip: "auto", "max" or "mse", see `PlanOptions`.
        weight_bits: width of the weights, 2 to 8; the first and the last layers keep 8.
        layer_bits: (layer name, width) of layers that have another, first and last ones too; they stay integers,
            whatever `float_layers` says.
        float_layers: "auto" measures the stem and the head's last layers, "search" goes on to single layers (minutes);
            "none", "stem", "head" and "stem+head" do not measure.
        keep_float: names of layers that stay in float whatever is measured.
        judge_images: pictures that "auto", "search" and the bias correction measure on.
        equalize: hand range from layer to layer first (ReLU and LeakyReLU networks), see `equalize`.
        bias_correction: "none", "weights" or "sequential", see `bias`.
        ranges: folder of range tables to reuse and to write, or None.
        threads: of onnxruntime, 0 for its own choice.
    """

    method: str = "auto"
    images: int | None = None
    seed: int = 0
    weight_clip: str = "auto"
    weight_bits: int = 8
    layer_bits: tuple[tuple[str, int], ...] = ()
    float_layers: str = "auto"
    keep_float: tuple[str, ...] = ()
    judge_images: int = 8
    equalize: bool = False
    bias_correction: str = "none"
    ranges: str | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, ("auto", *METHODS)),
            ("weight_clip", self.weight_clip, WEIGHT_CLIPS),
            ("float_layers", self.float_layers, FLOAT_LAYERS),
            ("bias_correction", self.bias_correction, MODES),
        ):
            if value not in known:
                raise ConfigError(f"unknown {name} {value!r}, expected one of {', '.join(known)}")
        for name, bits in (("weight_bits", self.weight_bits), *self.layer_bits):
            if bits not in WEIGHT_BITS:
                raise ConfigError(f"{name} is {bits} bits, expected {WEIGHT_BITS[0]} to {WEIGHT_BITS[-1]}")
        twice = [name for name, _ in self.layer_bits if name in self.keep_float]
        if twice:
            raise ConfigError(f"layer {twice[0]!r} is to stay in float and to have a width; leave one of them out")


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """What was calibrated on, and what it cost; goes into the bundle's manifest.

    Attributes:
        method: calibration method.
        images: SHA-256 of each picture, in order.
        seed: what chose them.
        seconds: wall time of the pass over the pictures and the search; 0 when a table was reused.
        peak_mb: the process's largest resident memory so far, MB.
        reused: path of the range table that was used instead, or None.
    """

    method: str
    images: tuple[str, ...]
    seed: int
    seconds: float
    peak_mb: float
    reused: str | None = None


@dataclass(frozen=True, slots=True)
class Quantized:
    """A network ready to be lowered.

    Attributes:
        model: the canonical float graph that `plan` speaks about (its weights may have been adjusted).
        plan: the plan.
        family: head, preprocessing and class names.
        calibration: how the ranges were got.
        choice: what was measured to keep layers in float, or None when nothing was.
        overflow: tensors of the float network that float16 may not hold.
    """

    model: ir.Model
    plan: QuantPlan
    family: Family
    calibration: CalibrationRecord
    choice: FloatChoice | None
    overflow: OverflowScan


def quantize_model(
    model: ir.Model,
    images: str | CalibrationImages,
    options: QuantizeOptions | None = None,
    progress: Progress | None = None,
    family: Family | None = None,
    name: str = "model",
) -> Quantized:
    """Quantise a canonical graph.

    Args:
        model: from `load_canonical`; not changed.
        images: a folder of pictures, or a set chosen already.
        options: the defaults where None.
        progress: called with (done, total, text).
        family: the head, where `detect_family` is not to decide.
        name: of the network, for the range table.

    Raises:
        DataError: no pictures, too few, or one that cannot be read.
        ModelError: not a detector, or a tensor is not finite.
        ConfigError: a layer in `keep_float` or `layer_bits` does not exist.
    """
    options = options or QuantizeOptions()
    family = family or detect_family(model)
    if isinstance(images, str):
        chosen = choose_images(images, options.images, options.seed, family.preprocess.pairs)
    else:
        chosen = images
    _check_layers(model, options.keep_float, "to keep in float")
    _check_layers(model, [layer for layer, _ in options.layer_bits], "to give a width to")
    if options.equalize:
        model = model.clone()
        _logger.info("equalised %d pairs of layers", len(equalize(model)))
    table, record = _ranges(model, family, chosen, options, progress, name)
    candidate = _choose(model, family, chosen, options, table, progress)
    record = replace(record, method=candidate.method)
    plan = candidate.plan
    if options.bias_correction != "none":
        few = spaced(chosen.images, options.judge_images)
        inputs = [x for _, x in prepared(few, family.preprocess)]
        model = correct_bias(model, plan, inputs, options.bias_correction, options.threads, progress)
    overflow = OverflowScan(len(table.images), overflowing(table.ranges["minmax"]))
    return Quantized(model, plan, family, record, candidate.choice, overflow)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A plan by one method, and what was measured for it."""

    method: str
    plan: QuantPlan
    agreement: float
    choice: FloatChoice | None


def _choose(
    model: ir.Model,
    family: Family,
    chosen: CalibrationImages,
    options: QuantizeOptions,
    table: RangeTable,
    progress: Progress | None,
) -> _Candidate:
    """The best of the methods in question, each with its own float layers."""
    methods = _methods(options)
    judge = None
    if len(methods) > 1 or options.float_layers in ("auto", "search"):
        few = spaced(chosen.images, options.judge_images)
        judge = Judge(model, family, [x for _, x in prepared(few, family.preprocess)], options.threads)
    candidates = [_candidate(model, options, method, table.ranges[method], judge, progress) for method in methods]
    for candidate in candidates:
        _logger.info("%s: agreement %.3f", candidate.method, candidate.agreement)
    return max(candidates, key=lambda candidate: candidate.agreement)


def _candidate(
    model: ir.Model,
    options: QuantizeOptions,
    method: str,
    ranges: Mapping[str, Range],
    judge: Judge | None,
    progress: Progress | None,
) -> _Candidate:
    widths = dict(options.layer_bits)
    whole = make_plan(model, ranges, PlanOptions(method, options.weight_clip, {}, options.weight_bits, widths))

    def plan_with(keep: dict[str, str]) -> QuantPlan:
        kept = {name: why for name, why in keep.items() if name not in widths}
        return keep_in_float(whole, {**kept, **dict.fromkeys(options.keep_float, "asked for")})

    if judge is not None and options.float_layers in ("auto", "search"):
        single = options.float_layers == "search"
        choice = choose_float_layers(model, plan_with, judge, single_layers=single, progress=progress)
        return _Candidate(method, plan_with(choice.keep_float), choice.agreement, choice)
    plan = plan_with(_fixed_groups(model, options.float_layers))
    return _Candidate(method, plan, 0.0 if judge is None else judge.score(plan), None)


def _methods(options: QuantizeOptions) -> tuple[str, ...]:
    return AUTO_METHODS if options.method == "auto" else (options.method,)


def _needed(options: QuantizeOptions) -> tuple[str, ...]:
    """The methods to choose from, and the one that clips nothing: what float16 must hold."""
    return tuple(dict.fromkeys((*_methods(options), "minmax")))


def spaced(items: Sequence[str], count: int) -> list[str]:
    """`count` of `items` at even distances, in order; all of them where there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def _ranges(
    model: ir.Model,
    family: Family,
    chosen: CalibrationImages,
    options: QuantizeOptions,
    progress: Progress | None,
    name: str,
) -> tuple[RangeTable, CalibrationRecord]:
    known = _reusable(model, family, chosen, options, name)
    if known is not None:
        table, path = known
        return table, CalibrationRecord(options.method, chosen.sha256, chosen.seed, 0.0, _peak_mb(), path)
    begin = time.perf_counter()
    inputs = prepared(chosen.images, family.preprocess)
    histograms = stream(model, inputs, len(chosen.images), options.threads, progress)
    # a table that is kept has every method in it, for comparison; the search takes seconds
    methods = tuple(METHODS) if options.ranges is not None else _needed(options)
    table = make_table(name, model, histograms, chosen, family.preprocess, methods)
    seconds = time.perf_counter() - begin
    if options.ranges is not None:
        save_table(table, options.ranges)
    return table, CalibrationRecord(options.method, chosen.sha256, chosen.seed, seconds, _peak_mb())


def _reusable(
    model: ir.Model, family: Family, chosen: CalibrationImages, options: QuantizeOptions, name: str
) -> tuple[RangeTable, str] | None:
    if options.ranges is None:
        return None
    digest = graph_digest(model)
    path = os.path.join(options.ranges, f"{name}-{digest[:12]}.json")
    if not os.path.exists(path):
        return None
    try:
        table = load_table(path)
    except DataError as error:
        _logger.warning("%s", error)
        return None
    reasons = [difference(table, digest, chosen, family.preprocess, method) for method in _needed(options)]
    reason = next((r for r in reasons if r is not None), None)
    if reason is not None:
        _logger.warning("range table %s not used: %s; calibrating again", path, reason)
        return None
    return table, path


def _check_layers(model: ir.Model, names: Sequence[str], purpose: str) -> None:
    known = [str(node.name) for node in weighted_layers(model)]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ConfigError(f"no layer {name!r} {purpose}; {hint}layers are {', '.join(known[:4])}, …, {known[-1]}")


def _fixed_groups(model: ir.Model, choice: str) -> dict[str, str]:
    keep = {}
    if choice in ("stem", "stem+head"):
        keep.update(dict.fromkeys(first_layers(model), "stem"))
    if choice in ("head", "stem+head"):
        keep.update(dict.fromkeys(last_layers(model), "head's last layer"))
    return keep


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
