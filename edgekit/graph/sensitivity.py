"""Which layers must stay in float: measured, not guessed.

The measure is the `agreement` of the quantised network's detections with the float network's on a few calibration
pictures, with the arithmetic of the canonical Q/DQ graph, in the worse of the two placements: a plan serves every
target, and one that keeps the start of the network in float by itself must not hide what the others do to it. Groups
come first (the stem, the head's last layers), single layers after, and only while they pay.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.detections import Detections
from edgekit.graph.agreement import agreement
from edgekit.graph.families import Family
from edgekit.graph.insert import insert_qdq
from edgekit.graph.plan import first_layers, last_layers, weighted_layers
from edgekit.graph.runner import Runner
from edgekit.precision import QuantPlan
from edgekit.process.decode import postprocess
from edgekit.process.prepare import letterbox_of

_logger = logging.getLogger(__name__)
_CONF = 0.05
_JUDGED = ("trt", "every-tensor", "looked-up")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """What one layer, or group of layers, does to the result.

    Attributes:
        layers: names.
        label: what to call it in a table.
        agreement: of the detections with these layers in float and all others in integers ("all but these").
        gain: how much that is above all layers in integers.
    """

    layers: tuple[str, ...]
    label: str
    agreement: float
    gain: float


@dataclass(frozen=True, slots=True)
class FloatChoice:
    """The layers to keep in float, and what was measured to choose them.

    Attributes:
        keep_float: layer name -> reason.
        agreement: with them in float.
        agreement_all_int8: with none in float.
        rows: everything that was tried, best first.
    """

    keep_float: dict[str, str]
    agreement: float
    agreement_all_int8: float
    rows: tuple[LayerSensitivity, ...]


class Judge:
    """Scores plans of one network on a few prepared pictures."""

    def __init__(self, model: ir.Model, family: Family, inputs: Sequence[np.ndarray], threads: int = 0) -> None:
        """Run the float network once.

        Args:
            model: canonical.
            family: its head.
            inputs: pictures, (1, 3, H, W) float32 each; a handful.
            threads: of onnxruntime.
        """
        self._model, self._family, self._inputs, self._threads = model, family, list(inputs), threads
        self._reference = self._detections(Runner(model, None, threads))

    def score(self, plan: QuantPlan, model: ir.Model | None = None) -> float:
        """Agreement of `plan` (of `model`'s weights where given) with the float network, in its worst placement."""
        return min(self.score_in(placement, plan, model) for placement in _JUDGED)

    def score_in(self, placement: str, plan: QuantPlan, model: ir.Model | None = None) -> float:
        """The same in one placement, "trt" or "every-tensor"."""
        lowered = insert_qdq(model or self._model, plan, placement)
        return agreement(self._reference, self._detections(Runner(lowered, None, self._threads, integers=False)))

    def _detections(self, runner: Runner) -> list[Detections]:
        spec = self._family.preprocess
        place = letterbox_of(spec.width, spec.height, spec)
        return [postprocess(runner.run(x), self._family.decode, place, spec, conf=_CONF) for x in self._inputs]


def choose_float_layers(
    model: ir.Model,
    plan_with: Callable[[dict[str, str]], QuantPlan],
    judge: Judge,
    least_gain: float = 0.01,
    target: float = 0.9,
    single_layers: bool = True,
    progress: Progress | None = None,
) -> FloatChoice:
    """The smallest set of float layers that reaches `target`, or beyond which nothing pays.

    Args:
        model: canonical.
        plan_with: makes the plan for a `keep_float`.
        judge: measures plans.
        least_gain: a group or layer stays in float only if agreement rises by this.
        target: agreement at which the search ends.
        single_layers: go on to single layers when the groups do not reach `target`.
        progress: called for every plan measured.
    """
    search = _Search(plan_with, judge, least_gain, progress)
    groups = {"stem": tuple(first_layers(model)), "head": tuple(last_layers(model))}
    search.total = 1 + len(groups)
    search.start()
    search.add_best(groups, target)
    if single_layers and search.best < target:
        layers = [str(node.name) for node in weighted_layers(model)]
        search.total += len(layers)
        search.add_in_order({name: (name,) for name in layers if name not in search.keep}, target)
    rows = sorted(search.rows, key=lambda row: (-row.gain, row.label))
    return FloatChoice(dict(search.keep), search.best, search.all_int8, tuple(rows))


class _Search:
    def __init__(
        self,
        plan_with: Callable[[dict[str, str]], QuantPlan],
        judge: Judge,
        least_gain: float,
        progress: Progress | None,
    ) -> None:
        self._plan_with, self._judge, self._least_gain, self._progress = plan_with, judge, least_gain, progress
        self.keep: dict[str, str] = {}
        self.rows: list[LayerSensitivity] = []
        self.best = self.all_int8 = 0.0
        self.total, self._done = 1, 0

    def start(self) -> None:
        self.best = self.all_int8 = self._measure({}, "all in integers")

    def add_best(self, groups: dict[str, tuple[str, ...]], target: float) -> None:
        """Take the group that gains most, again and again, while one gains enough."""
        left = dict(groups)
        while left and self.best < target:
            scored = {label: self._try(label, layers) for label, layers in left.items()}
            label = max(scored, key=lambda name: scored[name])
            if scored[label] - self.best < self._least_gain:
                break
            self._take(label, left.pop(label), scored[label])

    def add_in_order(self, groups: dict[str, tuple[str, ...]], target: float) -> None:
        """Measure each once, then add them from the most sensitive down while the sum still gains."""
        scored = {label: self._try(label, layers) for label, layers in groups.items()}
        for label in sorted(scored, key=lambda name: (-scored[name], name)):
            if self.best >= target or scored[label] - min(scored.values()) < self._least_gain:
                break
            score = self._measure({**self.keep, **dict.fromkeys(groups[label], "")}, f"with {label}")
            if score - self.best >= self._least_gain:
                self._take(label, groups[label], score)

    def _try(self, label: str, layers: tuple[str, ...]) -> float:
        score = self._measure({**self.keep, **dict.fromkeys(layers, "")}, label)
        self.rows.append(LayerSensitivity(layers, label, score, score - self.best))
        return score

    def _take(self, label: str, layers: tuple[str, ...], score: float) -> None:
        reason = f"sensitivity: agreement {self.best:.3f} -> {score:.3f} with {label} in float"
        self.keep.update(dict.fromkeys(layers, reason))
        _logger.info("%s", reason)
        self.best = score

    def _measure(self, keep: dict[str, str], label: str) -> float:
        score = self._judge.score(self._plan_with(keep))
        self._done += 1
        if self._progress is not None:
            self._progress(min(self._done, self.total), self.total, label)
        return score
