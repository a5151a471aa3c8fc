"""Does a lowering compute what the plan says, and how far is that from the float network?

exactness   the lowered graph, run as its backend runs it where onnxruntime can stand in for it, against its *canonical
            twin*: the same placement and grids as int8 codes with float bias, run node by node with every optimisation
            off. That is the arithmetic of `edgekit.precision`. It is gated.
drift       the lowered graph against the float network that was given. It is what quantisation costs; reported, and
            gated only where nothing is left of the network.

Detections are matched at IoU >= 0.9; tensors are compared by signal to noise ratio. Integer kernels round once where
the twin rounds in float steps, so a code differs by one here and there: thresholds are a share of boxes, not each box.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgekit.detections import Detections
from edgekit.errors import GateError
from edgekit.graph.bake import bake_weights
from edgekit.graph.families import Family
from edgekit.graph.insert import CANONICAL, insert_qdq
from edgekit.graph.lower import LoweredModel, ort_arm, ort_x86
from edgekit.graph.runner import Runner
from edgekit.metrics.arrays import snr_db
from edgekit.metrics.match import MatchReport, match_detections, total
from edgekit.precision import QuantPlan
from edgekit.process.decode import postprocess
from edgekit.process.prepare import letterbox_of

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What passes.

    Attributes:
        max_dscore: largest score difference of a pair.
        max_dbox_px: largest difference of a pair's coordinate, network pixels.
        max_unmatched: largest share of boxes without a partner.
        min_snr_db: least signal to noise ratio of the raw outputs.
        min_drift_matched: least share of the float network's boxes that are found again.
    """

    max_dscore: float
    max_dbox_px: float
    max_unmatched: float
    min_snr_db: float
    min_drift_matched: float = 0.2


THRESHOLDS: dict[str, Thresholds] = {
    "fp32": Thresholds(0.001, 0.1, 0.0, 60.0),
    "fp16": Thresholds(0.02, 1.0, 0.02, 25.0),
    "trt8": Thresholds(0.001, 0.1, 0.0, 60.0),
    "trt10": Thresholds(0.05, 4.0, 0.05, 12.0),
    "ort-x86": Thresholds(0.05, 4.0, 0.05, 12.0),
    "ort-x86-narrow": Thresholds(0.05, 4.0, 0.05, 12.0),
    "ort-arm": Thresholds(0.02, 1.0, 0.02, 25.0),
}

# onnxruntime runs these as their users do; the others node by node (no fused kernel of theirs runs here).
RUNS_OPTIMISED = frozenset({"fp32", "ort-x86", "ort-x86-narrow"})


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two runs over the same images.

    Attributes:
        images: how many.
        match: the boxes, all images together.
        snr_db: least over the outputs, each over all images; None for a perfect copy.
    """

    images: int
    match: MatchReport
    snr_db: float | None

    @property
    def unmatched(self) -> float:
        """Share of boxes without a partner, borderline ones not counted."""
        lonely = self.match.missing + self.match.extra
        return lonely / max(2 * self.match.matched + lonely, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded for reading."""
        rows = {key: round(value, 4) for key, value in asdict(self.match).items()}
        return {"images": self.images, **rows, "snr_db": None if self.snr_db is None else round(self.snr_db, 2)}


@dataclass(frozen=True, slots=True)
class Parity:
    """The parity report of one lowering.

    Attributes:
        lowering: its name.
        exactness: against the canonical twin.
        drift: against the float network.
        failures: what is outside the thresholds, one phrase each.
    """

    lowering: str
    exactness: Agreement
    drift: Agreement
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {
            "passed": not self.failures,
            "failures": list(self.failures),
            "thresholds": asdict(THRESHOLDS[self.lowering]),
            "exactness": self.exactness.to_json(),
            "drift": self.drift.to_json(),
        }

    def gate(self) -> None:
        """Pass, or say what does not.

        Raises:
            GateError: something is outside the thresholds.
        """
        if self.failures:
            raise GateError(
                f"lowering {self.lowering} is not faithful: {'; '.join(self.failures)}; export without it "
                "(--lowering names the ones to write) or look at the report with --no-gate"
            )


@dataclass(frozen=True, slots=True)
class Outputs:
    """One graph over some images: raw outputs of each image, and the boxes in them."""

    raw: list[list[np.ndarray]]
    boxes: list[Detections]


class ParityCheck:
    """Runs every lowering of one network over the same images; the float network runs once."""

    def __init__(
        self,
        original: ir.Model,
        model: ir.Model,
        plan: QuantPlan | None,
        family: Family,
        inputs: Sequence[np.ndarray],
    ) -> None:
        """Run the float network.

        Args:
            original: the canonical float graph as it was given: what drift is measured against.
            model: the canonical float graph that `plan` speaks about, perhaps with adjusted weights.
            plan: what is quantised, None for a float network.
            family: head and preprocessing.
            inputs: (1, 3, H, W) float32 each.
        """
        self._model, self._plan, self._family, self._inputs = model, plan or QuantPlan(), family, inputs
        self._float = self.run(original)
        self._twins: dict[Any, Outputs] = {}

    def run(self, model: ir.Model, optimised: bool = True) -> Outputs:
        """The outputs of any graph of this network."""
        runner = Runner(model, optimised=optimised)
        spec = self._family.preprocess
        place = letterbox_of(spec.width, spec.height, spec)
        raw = [runner.run(x) for x in self._inputs]
        return Outputs(raw, [postprocess(each, self._family.decode, place, spec) for each in raw])

    def check(self, lowered: LoweredModel) -> Parity:
        """The parity report of `lowered`."""
        outputs = self.run(lowered.model, lowered.name in RUNS_OPTIMISED)
        exactness = self._compare(self._twin(lowered), outputs)
        drift = self._compare(self._float, outputs)
        failures = tuple(_failures(exactness, drift, THRESHOLDS[lowered.name], _all_finite(outputs)))
        return Parity(lowered.name, exactness, drift, failures)

    def _twin(self, lowered: LoweredModel) -> Outputs:
        style = {"ort-x86": ort_x86.STYLE, "ort-x86-narrow": ort_x86.NARROW, "ort-arm": ort_arm.STYLE}.get(lowered.name)
        twin_style = CANONICAL if style is None else replace(style, activations="int8", bias="float32")
        key = (lowered.placement, twin_style)
        if key not in self._twins:
            if lowered.placement is None:
                graph = bake_weights(self._model, self._plan)
            else:
                graph = insert_qdq(self._model, self._plan, lowered.placement, twin_style)
            self._twins[key] = self.run(graph, optimised=False)
        return self._twins[key]

    def _compare(self, reference: Outputs, other: Outputs) -> Agreement:
        threshold = self._family.decode.conf
        reports = [
            match_detections(one, two, threshold=threshold)
            for one, two in zip(reference.boxes, other.boxes, strict=True)
        ]
        ratios = [
            snr_db(np.stack(one), np.stack(two))
            for one, two in zip(zip(*reference.raw, strict=True), zip(*other.raw, strict=True), strict=True)
        ]
        worst = min(ratios, key=lambda value: -math.inf if math.isnan(value) else value)
        return Agreement(len(reports), total(reports), worst if math.isfinite(worst) else _not_finite(worst))


def _not_finite(worst: float) -> float | None:
    return None if worst == math.inf else -999.0


def _all_finite(outputs: Outputs) -> bool:
    return all(bool(np.isfinite(array).all()) for each in outputs.raw for array in each)


def _failures(exactness: Agreement, drift: Agreement, allowed: Thresholds, finite: bool) -> list[str]:
    """What is outside `allowed`, most telling first."""
    found = []
    match = exactness.match
    if not finite:
        found.append("its outputs are not finite (float16 overflows above 65504)")
    if exactness.unmatched > allowed.max_unmatched:
        found.append(f"{match.missing} boxes missing and {match.extra} extra of {match.matched} against its twin")
    if match.max_dscore > allowed.max_dscore:
        found.append(f"a score is {match.max_dscore:.3f} off its twin, allowed {allowed.max_dscore:g}")
    if match.max_dbox_px > allowed.max_dbox_px:
        found.append(f"a box is {match.max_dbox_px:.2f} px off its twin, allowed {allowed.max_dbox_px:g}")
    if exactness.snr_db is not None and exactness.snr_db < allowed.min_snr_db:
        found.append(f"{exactness.snr_db:.1f} dB against its twin, at least {allowed.min_snr_db:g} expected")
    boxes = drift.match.matched + drift.match.missing
    if boxes and drift.match.matched < allowed.min_drift_matched * boxes:
        found.append(f"only {drift.match.matched} of the float network's {boxes} boxes are found again")
    return found
