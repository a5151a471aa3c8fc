"""Everything that is measured before widths are chosen: references, costs, sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.bundle import open_bundle
from edgekit.runtime.detector import open_detector
from edgekit.search.candidates import Workshop, Written
from edgekit.search.costs import Costs, Known, costs_of
from edgekit.search.journal import Journal
from edgekit.search.latency import LayerMs, layer_ms, layer_nodes
from edgekit.search.recipe import FLOAT, SearchRecipe
from edgekit.search.result import LayerRow, PlanRow
from edgekit.search.sensitivity import Probe, Sensitivity
from edgekit.search.subject import Bits, Subject

IN_FLOAT = "float"
_LAYER_RUNS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What plans are judged by.

    Attributes:
        costs: of each width of each searched layer.
        times: of each layer; None where the profile does not name every one.
        sensitivity: damage of each width of each searched layer.
        references: the float network, and the one with all searched layers at the widest integers.
        widest: name of the latter.
    """

    costs: Costs
    times: LayerMs | None
    sensitivity: Sensitivity
    references: Mapping[str, Written]
    widest: str


def measure(recipe: SearchRecipe, subject: Subject, journal: Journal, workshop: Workshop, probe: Probe) -> Measured:
    """Measure what is not in the journal yet.

    Raises:
        ConfigError: the budget is out of reach.
        DataError: the float network sees no object in the pictures.
    """
    bits = max(choice for choice in recipe.search.bits if choice != FLOAT)
    widest, widths = f"{bits}-bit", subject.widths(dict.fromkeys(subject.searched, bits))
    references = {
        IN_FLOAT: written(journal, IN_FLOAT, workshop.in_float),
        widest: written(journal, f"{widest}, calibrated", lambda: workshop.calibrated(widest, widths)),
    }
    times = _layer_ms(recipe, subject, journal, references[widest], references[IN_FLOAT])
    known = Known(widths, references[widest].weight_bytes, stored_biases(subject, references[widest]))
    costs = costs_of(subject, recipe.search.bits, known, times)
    costs.limits(recipe.budget.limits())  # out of reach is said before anything takes long
    return Measured(costs, times, probe.layers(costs.choices), references, widest)


def stored_biases(subject: Subject, bundle: Written) -> frozenset[str]:
    """The layers whose bias a bundle stores as floats; others have theirs as integers in the graphs."""
    stored = {record["name"] for record in open_bundle(bundle.path, verify=False).manifest["weights"]}
    nodes = layer_nodes(subject, bundle.onnx)
    biased = {name: node.inputs[2] for name, node in nodes.items() if len(node.inputs) > 2}
    return frozenset(name for name, bias in biased.items() if bias is not None and bias.name in stored)


def written(journal: Journal, name: str, make: Callable[[], Written]) -> Written:
    """A bundle that is an item of the journal."""
    return Written(**journal.once(f"bundle {name}", lambda: asdict(make())))


def _layer_ms(
    recipe: SearchRecipe, subject: Subject, journal: Journal, integers: Written, in_float: Written
) -> LayerMs | None:
    threads = recipe.threads or None

    def profiled() -> dict[str, Any] | None:
        bundle = open_bundle(integers.path)
        with open_detector(integers.path, threads=threads, device="cpu") as detector:
            lowering = detector.lowering
        found = layer_ms(subject, bundle.materialise(lowering), in_float.onnx, _LAYER_RUNS, threads)
        return None if found is None else asdict(found)

    kept = journal.once("layer ms", profiled)
    return None if kept is None else LayerMs(**kept)


def reference_rows(subject: Subject, measured: Measured, budget: Mapping[str, float]) -> list[PlanRow]:
    """The references as plans."""
    everything = {layer.name: FLOAT for layer in subject.shape.layers}
    size = measured.references[IN_FLOAT].weight_bytes
    work = sum(layer.macs for layer in subject.shape.layers) * FLOAT**2 / 1e9
    costs = {"bytes": float(size), "mean_bits": float(FLOAT), "gbops": work}
    within = all(name in costs and costs[name] <= limit for name, limit in budget.items())
    bits = dict.fromkeys(subject.searched, max(c for c in measured.costs.choices if c != FLOAT))
    return [
        PlanRow(IN_FLOAT, everything, costs, within, 0.0, 0.0),
        plan_row(measured.widest, bits, subject, measured, budget, None),
    ]


def plan_row(
    name: str, bits: Bits, subject: Subject, measured: Measured, budget: Mapping[str, float], damage: float | None
) -> PlanRow:
    """A plan (bits of the searched layers) with its costs and its predicted damage."""
    return PlanRow(
        name=name,
        widths=subject.widths(bits),
        costs=measured.costs.of(bits),
        within=measured.costs.fits(bits, budget),
        predicted=predicted(bits, measured),
        measured=damage,
    )


def predicted(bits: Bits, measured: Measured) -> float:
    """The sum of what the layers of a plan do alone."""
    choice = measured.costs.choice(bits)
    return float(measured.sensitivity.damage()[range(len(choice)), choice].sum())


def layer_rows(subject: Subject, measured: Measured) -> tuple[LayerRow, ...]:
    """The searched layers with what was measured of each."""
    layers = {layer.name: layer for layer in subject.shape.layers}
    damage, error, times = measured.sensitivity.damage(), measured.sensitivity.error(), measured.times
    choices = measured.costs.choices
    rows = []
    for place, name in enumerate(subject.searched):
        errors = {bits: float(e) if e == e else None for bits, e in zip(choices, error[place], strict=True)}
        rows.append(
            LayerRow(
                name=name,
                weights=layers[name].weights,
                macs=layers[name].macs,
                damage={bits: float(d) for bits, d in zip(choices, damage[place], strict=True)},
                error=errors,
                int8_ms=None if times is None else times.int8[name],
                float_ms=None if times is None else times.in_float[name],
            )
        )
    return tuple(rows)
