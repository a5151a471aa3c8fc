"""Does a lowering compute what the plan says, and how far is that from the float network?

Three comparisons, on a few images:

codes       every layer's integers against the *canonical twin* (the same placement and grids as int8 codes with float
            bias, run node by node: the arithmetic of `edgekit.precision`), each layer from the same input codes; see
            `edgekit.graph.code_parity`. Gated: at most one step off, in at most a small share of the codes.
twin        boxes and outputs, end to end, against the twin. Lowerings without integers are gated by it, anchor by
            anchor before suppression: which of two boxes of nearly one score suppresses the other is no property of an
            implementation. With integers it is reported: single steps grow from layer to layer up to the level of the
            quantisation noise.
drift       boxes and outputs against the float network that was given: what quantisation costs. Gated only where next
            to nothing is left of the network. A network that was trained with its grids has no float network: without
            them it is another one.

A network with binary layers is a case of its own wherever these are not the native operators, whose signs are compared
exactly: a value of 1e-8 more is another sign, which moves a sum by several steps and, end to end, all that follows. No
single code, score or box is judged there, but the share of the codes and the noise in the outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgekit.detections import Detections
from edgekit.errors import GateError
from edgekit.graph.anchor_parity import AnchorParity, compare_anchors
from edgekit.graph.bake import bake_weights
from edgekit.graph.binary import planned_layers
from edgekit.graph.binary_sums import exact_sums
from edgekit.graph.code_parity import CodeParity, compare_codes
from edgekit.graph.families import Family
from edgekit.graph.half_arithmetic import rounding_to_half
from edgekit.graph.insert import CANONICAL, QdqStyle, insert_qdq
from edgekit.graph.lower import LoweredModel, ort_arm, ort_x86
from edgekit.graph.lower.binary import with_pairs
from edgekit.graph.runner import Runner
from edgekit.metrics.arrays import snr_db
from edgekit.metrics.match import MatchReport, match_detections, total
from edgekit.precision import QuantPlan
from edgekit.process.decode import postprocess
from edgekit.process.prepare import letterbox_of


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What passes; None is not looked at.

    Attributes:
        max_steps: how far off a single code may be.
        max_differing: largest share of codes that are off.
        min_output_snr_db: of the float part behind the last integers, from the same codes.
        max_binary_error: largest difference of what a binary layer gives, in parts of the largest value, and largest
            share of signs that differ where it gives signs alone.
        max_dscore: largest difference of an anchor's best score, where one side has a box there.
        max_dbox_px: largest difference of the coordinates of such an anchor's box, network pixels.
        min_twin_snr_db: of the outputs, end to end.
        min_drift_matched: least share of the float network's boxes that are found again.
    """

    max_steps: int | None = 1
    max_differing: float | None = None
    min_output_snr_db: float | None = None
    max_binary_error: float | None = None
    max_dscore: float | None = None
    max_dbox_px: float | None = None
    min_twin_snr_db: float | None = None
    min_drift_matched: float = 0.1


THRESHOLDS: dict[str, Thresholds] = {
    "fp32": Thresholds(max_dscore=0.001, max_dbox_px=0.1),
    "fp16": Thresholds(max_dscore=0.05, max_dbox_px=2.0),
    "trt8": Thresholds(max_differing=0.0, min_output_snr_db=100.0),
    "trt10": Thresholds(max_differing=0.05, min_output_snr_db=40.0),
    "ort-x86": Thresholds(max_differing=0.005, min_output_snr_db=80.0),
    "ort-x86-tables": Thresholds(max_differing=0.005, min_output_snr_db=80.0),
    "ort-x86-narrow": Thresholds(max_differing=0.005, min_output_snr_db=80.0),
    "ort-arm": Thresholds(max_differing=0.005, min_output_snr_db=80.0),
    "packed": Thresholds(max_differing=0.005, min_output_snr_db=80.0),
    "binary": Thresholds(max_differing=0.005, min_output_snr_db=80.0, max_binary_error=1e-4),
}

# onnxruntime runs these as their users do; the others node by node (no fused kernel of theirs runs here), and what is
# float16 rounded as `half_arithmetic` says.
RUNS_OPTIMISED = frozenset({"fp32", "ort-x86", "ort-x86-tables", "ort-x86-narrow", "packed", "binary"})
_STYLES = {
    "ort-x86": ort_x86.STYLE,
    "ort-x86-tables": ort_x86.STYLE,
    "ort-x86-narrow": ort_x86.NARROW,
    "ort-arm": ort_arm.STYLE,
    "packed": ort_x86.STYLE,
    "binary": ort_x86.STYLE,
}
_CODE_IMAGES = 2
_LEAST_BOXES = 10
_LEAST_SNR_DB_OF_SIGNS = 10.0


def thresholds_of(lowering: str, graph: ir.Graph, plan: QuantPlan) -> Thresholds:
    """What a lowering of this network has to keep to."""
    allowed = THRESHOLDS[lowering]
    if lowering == "binary" or not planned_layers(graph, plan):
        return allowed
    share = (
        None if allowed.max_differing is None else max(allowed.max_differing, THRESHOLDS["binary"].max_differing or 0)
    )
    return replace(
        allowed,
        max_steps=None,
        max_differing=share,
        max_dscore=None,
        max_dbox_px=None,
        min_twin_snr_db=_LEAST_SNR_DB_OF_SIGNS,
    )


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

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded for reading."""
        rows = {key: round(value, 4) for key, value in asdict(self.match).items()}
        return {"images": self.images, **rows, "snr_db": None if self.snr_db is None else round(self.snr_db, 2)}


@dataclass(frozen=True, slots=True)
class Parity:
    """The parity report of one lowering.

    Attributes:
        lowering: its name.
        codes: layer by layer against the twin; None for a graph without integers.
        anchors: anchor by anchor against the twin; None for a graph with integers.
        twin: end to end against the twin.
        drift: against the float network; None for a network that was trained with its grids.
        thresholds: what it was held to.
        failures: what is outside the thresholds, one phrase each.
    """

    lowering: str
    codes: CodeParity | None
    anchors: AnchorParity | None
    twin: Agreement
    drift: Agreement | None
    thresholds: Thresholds
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {
            "passed": not self.failures,
            "failures": list(self.failures),
            "thresholds": asdict(self.thresholds),
            "codes": None if self.codes is None else self.codes.to_json(),
            "anchors": None if self.anchors is None else self.anchors.to_json(),
            "twin": self.twin.to_json(),
            "drift": None if self.drift is None else self.drift.to_json(),
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
    """Runs every lowering of one network over the same images; the float network runs once, where there is one."""

    def __init__(
        self,
        original: ir.Model,
        model: ir.Model,
        plan: QuantPlan | None,
        family: Family,
        inputs: Sequence[np.ndarray],
    ) -> None:
        """Run the float network, unless the plan is one of training.

        Args:
            original: the canonical float graph as it was given: what drift is measured against.
            model: the canonical float graph that `plan` speaks about, perhaps with adjusted weights.
            plan: what is quantised, None for a float network.
            family: head and preprocessing.
            inputs: (1, 3, H, W) float32 each.
        """
        self._model, self._plan, self._family, self._inputs = model, plan or QuantPlan(), family, inputs
        trained = any(spec.source.startswith("qat") for spec in self._plan.activations.values())
        self._float = None if trained else self.run(original)
        self._twins: dict[tuple[str | None, QdqStyle], tuple[ir.Model, Outputs]] = {}

    def run(self, model: ir.Model, optimised: bool = True) -> Outputs:
        """The outputs of any graph of this network."""
        runner = Runner(model, optimised=optimised)
        spec = self._family.preprocess
        place = letterbox_of(spec.width, spec.height, spec)
        raw = [runner.run(x) for x in self._inputs]
        return Outputs(raw, [postprocess(each, self._family.decode, place, spec) for each in raw])

    def check(self, lowered: LoweredModel) -> Parity:
        """The parity report of `lowered`."""
        optimised = lowered.name in RUNS_OPTIMISED
        model = rounding_to_half(lowered.model)
        outputs = self.run(model, optimised)
        graph, expected = self._twin(lowered)
        twin = self._compare(expected, outputs)
        drift = None if self._float is None else self._compare(self._float, outputs)
        allowed = thresholds_of(lowered.name, self._model.graph, self._plan)
        codes = anchors = None
        if lowered.placement is None:
            anchors = compare_anchors(expected.raw, outputs.raw, self._family)
        else:
            signs = sign_codes(self._model.graph, self._plan)
            few = self._inputs[:_CODE_IMAGES]
            codes = compare_codes(model, graph, few, optimised, lowered.readings, signs)
        failures = _failures(codes, twin, drift, allowed, anchors)
        if not all(bool(np.isfinite(array).all()) for each in outputs.raw for array in each):
            failures.insert(0, "its outputs are not finite (float16 overflows above 65504)")
        return Parity(lowered.name, codes, anchors, twin, drift, allowed, tuple(failures))

    def _twin(self, lowered: LoweredModel) -> tuple[ir.Model, Outputs]:
        style = _STYLES.get(lowered.name)
        twin_style = CANONICAL if style is None else replace(style, activations="int8", bias="float32")
        native = lowered.name == "binary"
        key = ("native" if native else lowered.placement, twin_style)
        if key not in self._twins:
            if lowered.placement is None:
                graph = bake_weights(self._model, self._plan)
            elif native:
                graph = exact_sums(with_pairs(self._model, self._plan, twin_style), self._plan)
            else:
                graph = insert_qdq(self._model, self._plan, lowered.placement, twin_style)
            self._twins[key] = graph, self.run(graph, optimised=False)
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


def sign_codes(graph: ir.Graph, plan: QuantPlan) -> set[str]:
    """Names of the codes that are the signs in front of a binary layer."""
    return {f"{layer.node.inputs[0].name}_quantized" for layer in planned_layers(graph, plan).values()}  # type: ignore[union-attr]


def _not_finite(worst: float) -> float | None:
    return None if worst == math.inf else -999.0


def _failures(
    codes: CodeParity | None,
    twin: Agreement,
    drift: Agreement | None,
    allowed: Thresholds,
    anchors: AnchorParity | None = None,
) -> list[str]:
    """What is outside `allowed`, most telling first."""
    found = [] if codes is None else _failures_of_codes(codes, allowed)
    found += [] if anchors is None else _failures_of_anchors(anchors, allowed)
    snr, least = twin.snr_db, allowed.min_twin_snr_db
    if snr is not None and least is not None and snr < least:
        found.append(f"outputs are {snr:.1f} dB from those of its twin, at least {least:g} expected")
    boxes = 0 if drift is None else drift.match.matched + drift.match.missing
    if drift is not None and boxes >= _LEAST_BOXES and drift.match.matched < allowed.min_drift_matched * boxes:
        found.append(f"only {drift.match.matched} of the float network's {boxes} boxes are found again")
    return found


def _failures_of_anchors(anchors: AnchorParity, allowed: Thresholds) -> list[str]:
    found = []
    if allowed.max_dscore is not None and anchors.max_dscore > allowed.max_dscore:
        found.append(f"a score is {anchors.max_dscore:.3f} off its twin, allowed {allowed.max_dscore:g}")
    if allowed.max_dbox_px is not None and anchors.max_dbox_px > allowed.max_dbox_px:
        found.append(f"a box is {anchors.max_dbox_px:.2f} px off its twin, allowed {allowed.max_dbox_px:g}")
    return found


def _failures_of_codes(codes: CodeParity, allowed: Thresholds) -> list[str]:
    found = []
    if allowed.max_differing is not None:
        if allowed.max_steps is not None and codes.max_difference > allowed.max_steps:
            found.append(
                f"codes of {codes.worst} are up to {codes.max_difference} steps off, allowed {allowed.max_steps}"
            )
        if codes.differing > allowed.max_differing:
            found.append(f"{codes.differing:.2%} of the codes are off, allowed {allowed.max_differing:.2%}")
        snr, least = codes.output_snr_db, allowed.min_output_snr_db
        if snr is not None and least is not None and snr < least:
            found.append(f"outputs are {snr:.1f} dB from those of the same codes, at least {least:g} expected")
    if codes.binary is not None and allowed.max_binary_error is not None:
        worst = max(codes.binary.worst, codes.binary.signs)
        if worst > allowed.max_binary_error:
            found.append(f"a binary layer is {worst:.1e} off, allowed {allowed.max_binary_error:g}")
    return found
