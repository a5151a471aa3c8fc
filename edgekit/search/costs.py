"""What each width of each layer costs: bytes in the bundle, bits, bit operations, milliseconds.

A bundle stores a layer of b bits as its codes, ceil(b n / 8) bytes, and two vectors of scales, 4 bytes a channel each
(as planned, and as graphs hold them); a layer in float as 4 bytes a weight, and its bias, which graphs of integers may
hold themselves. Each of these starts at a multiple of 64. All else is the same whatever is chosen; it is what a bundle
of known widths has beyond that.

Between 2 and 8 bits time does not change: onnxruntime and TensorRT compute all of these as INT8. A layer's milliseconds
are therefore two numbers, one as INT8 and one in float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle import ALIGNMENT
from edgekit.errors import ConfigError
from edgekit.models.cost_trace import WeightedLayer
from edgekit.search.latency import LayerMs
from edgekit.search.recipe import FLOAT
from edgekit.search.solve import Limit
from edgekit.search.subject import Subject

UNITS = {"bytes": "bytes", "mean_bits": "bits", "gbops": "1e9 bit operations", "ms": "ms"}


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """What widths cost of one thing.

    Attributes:
        table: (L, B), of each choice of each searched layer, in units of 1 / `divisor`.
        fixed: what is there whatever is chosen, in that unit.
        divisor: units of `table` in a unit of the budget.
    """

    table: NDArray[np.float64]
    fixed: float
    divisor: float

    def total(self, choice: NDArray[np.intp]) -> float:
        """Of a plan (L,), in the budget's unit."""
        return (self.fixed + float(self.table[np.arange(len(choice)), choice].sum())) / self.divisor

    def least(self) -> float:
        """Of the cheapest plan."""
        return (self.fixed + float(self.table.min(axis=1).sum())) / self.divisor

    def limit(self, budget: float) -> Limit:
        """The limit that a plan is held to."""
        return Limit(self.table, budget * self.divisor - self.fixed)


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """The resources of a network.

    Attributes:
        layers: searched, in the order in which they run.
        choices: widths, ascending.
        resources: "bytes", "mean_bits", "gbops", and "ms" where it was measured.
    """

    layers: tuple[str, ...]
    choices: tuple[int, ...]
    resources: Mapping[str, Resource]

    def choice(self, bits: Mapping[str, int]) -> NDArray[np.intp]:
        """Bits of the searched layers as an index into `choices` for each of `layers`."""
        return np.array([self.choices.index(bits[name]) for name in self.layers], np.intp)

    def bits(self, choice: Sequence[int] | NDArray[np.intp]) -> dict[str, int]:
        """The way back."""
        return {name: self.choices[int(index)] for name, index in zip(self.layers, choice, strict=True)}

    def of(self, bits: Mapping[str, int]) -> dict[str, float]:
        """Resource -> what a plan costs."""
        choice = self.choice(bits)
        return {name: resource.total(choice) for name, resource in self.resources.items()}

    def limits(self, budget: Mapping[str, float]) -> list[Limit]:
        """The limits of a budget (resource -> limit).

        Raises:
            ConfigError: the budget is below what the cheapest plan costs, or of milliseconds that were not measured.
        """
        limits = []
        for name, wanted in budget.items():
            if name not in self.resources:
                raise ConfigError(
                    "budget.ms cannot be kept: onnxruntime's profile does not name every layer; leave it out"
                )
            resource = self.resources[name]
            if resource.least() > wanted:
                least = f"{resource.least():.10g} {UNITS[name]}"
                raise ConfigError(
                    f"budget.{name} {wanted:.10g} is out of reach; the smallest is {least} "
                    f"(the cheapest of {', '.join(map(str, self.choices))} bits in every searched layer)"
                )
            limits.append(resource.limit(wanted))
        return limits

    def fits(self, bits: Mapping[str, int], budget: Mapping[str, float]) -> bool:
        """Whether a plan is within every limit."""
        choice = self.choice(bits)
        return all(self.resources[name].limit(wanted).holds(choice) for name, wanted in budget.items())


@dataclass(frozen=True, slots=True)
class Known:
    """A bundle whose size is known.

    Attributes:
        widths: of every quantisable layer.
        weight_bytes: of its `weights.bin`.
        biases: layers whose bias it stores as floats.
    """

    widths: Mapping[str, int]
    weight_bytes: int
    biases: frozenset[str]


def weight_bytes(layer: WeightedLayer, bits: int) -> int:
    """Bytes that a bundle stores for the weights of a layer, bias not counted, alignment included."""
    if bits == FLOAT:
        return _aligned(4 * layer.weights)
    return _aligned((layer.weights * bits + 7) // 8) + 2 * _aligned(4 * layer.channels)


def costs_of(subject: Subject, choices: Sequence[int], known: Known, times: LayerMs | None) -> Costs:
    """The resources of a subject.

    Args:
        subject: the network.
        choices: widths, ascending.
        known: a bundle to start from.
        times: measured milliseconds; None where some layer's are not known.
    """
    layers = {layer.name: layer for layer in subject.shape.layers}
    searched = [layers[name] for name in subject.searched]
    others = [layer for layer in subject.shape.layers if layer.name not in subject.searched]

    def bits_of(layer: WeightedLayer) -> int:
        return subject.fixed.get(layer.name, FLOAT)

    def table(cost: Callable[[WeightedLayer, int], int | float]) -> NDArray[np.float64]:
        return np.array([[cost(layer, bits) for bits in choices] for layer in searched], np.float64)

    def stored(layer: WeightedLayer, bits: int) -> int:
        bias = 4 * layer.biases if bits == FLOAT and layer.name not in known.biases else 0
        return weight_bytes(layer, bits) + _aligned(bias)

    of_known = sum(stored(layer, known.widths[layer.name]) for layer in searched)
    resources = {
        "bytes": Resource(table(stored), float(known.weight_bytes - of_known), 1.0),
        "mean_bits": Resource(
            table(lambda layer, bits: layer.weights * bits),
            float(sum(layer.weights * bits_of(layer) for layer in others)),
            float(sum(layer.weights for layer in subject.shape.layers)),
        ),
        "gbops": Resource(
            table(lambda layer, bits: _bit_operations(layer, bits, subject)),
            float(sum(_bit_operations(layer, bits_of(layer), subject) for layer in others)),
            1e9,
        ),
    }
    if times is not None:
        fixed = times.rest + sum(times.of(layer.name, bits_of(layer)) for layer in others)
        resources["ms"] = Resource(table(lambda layer, bits: times.of(layer.name, bits)), fixed, 1.0)
    return Costs(subject.searched, tuple(choices), resources)


def _bit_operations(layer: WeightedLayer, bits: int, subject: Subject) -> int:
    """A layer in float works on floats; one that reads float multiplies its codes by them."""
    width = FLOAT if bits == FLOAT else subject.input_bits[layer.name]
    return layer.macs * bits * width


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
