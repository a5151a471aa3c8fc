"""What a search found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.search.subject import Bits


@dataclass(frozen=True, slots=True)
class Verified:
    """What was measured of a bundle.

    Attributes:
        bundle: path.
        bundle_bytes: on disk.
        weight_bytes: of them, its weights.
        epochs: of fine-tuning; 0 where it was calibrated alone.
        scores: as `edgekit val --json` has them.
        ms: summary and all samples of the network's time, in turns with the other bundles; None before that was done.
    """

    bundle: str
    bundle_bytes: int
    weight_bytes: int
    epochs: int
    scores: Mapping[str, Any]
    ms: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan and what is known of it.

    Attributes:
        name: the method that gave it, or what it is.
        widths: layer -> bits, of every quantisable layer.
        costs: resource -> cost: "bytes", "mean_bits", "gbops", and "ms" as the sum over layers.
        within: whether it is within the budget.
        predicted: damage as the sum over layers.
        measured: damage of the whole plan, untrained; None where it was not measured.
        verified: its bundle, where it was among the best.
        recipe: training recipe that has its widths, or None.
    """

    name: str
    widths: Bits
    costs: Mapping[str, float]
    within: bool
    predicted: float
    measured: float | None
    verified: Verified | None = None
    recipe: str | None = None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A searched layer.

    Attributes:
        name: of its module.
        weights: how many.
        macs: multiply-accumulates for one image.
        damage: bits -> damage of this layer alone.
        error: bits -> standard error of that over pictures; None for a single picture.
        int8_ms, float_ms: of its kernel; None where the profile does not name it.
    """

    name: str
    weights: int
    macs: int
    damage: Mapping[int, float]
    error: Mapping[int, float | None]
    int8_ms: float | None
    float_ms: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """How good the sum over layers is.

    Attributes:
        predicted, measured: damages of random plans.
        rank_correlation: Spearman's, None for fewer than three plans.
        ratio: median of measured / predicted.
    """

    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    rank_correlation: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found; plain values all through.

    Attributes:
        name: of the recipe.
        out: folder of the results.
        recipe: the search recipe as a dict.
        budget: resource -> limit.
        finished: False while candidates are still to be verified.
        references: the float network and the one with all searched layers at the widest integers.
        plans: one for each method, least measured damage first.
        frontier: plans of least predicted damage from the smallest to the largest size.
        prediction: of damage.
        layers: searched, in the order in which they run.
        machine: see `edgekit.devices.Machine`.
        seconds: stage -> time that it took, all sittings together.
    """

    name: str
    out: str
    recipe: Mapping[str, Any]
    budget: Mapping[str, float]
    finished: bool
    references: tuple[PlanRow, ...]
    plans: tuple[PlanRow, ...]
    frontier: tuple[PlanRow, ...]
    prediction: Prediction
    layers: tuple[LayerRow, ...]
    machine: Mapping[str, Any]
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """A plain dict."""
        return asdict(self)
