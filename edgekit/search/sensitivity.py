"""Damage of each width of each layer, and of whole plans, measured on pictures one at a time.

While one layer has rounded weights all others, and every activation, are in float. A plan is predicted to do the sum of
what its layers do alone; plans that are measured as a whole say how good that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edgekit.errors import DataError
from edgekit.search.damage import damage_parts, output_grid, total_damage
from edgekit.search.journal import Journal
from edgekit.search.recipe import FLOAT
from edgekit.search.replay import Replay
from edgekit.search.subject import Bits, Subject
from edgekit.train.datasets import Report

Parts = dict[str, float]
"""Of one picture, see `edgekit.search.damage`."""

_FEW_OBJECTS = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity:
    """What was measured of single layers.

    Attributes:
        layers: searched, in the order in which they run.
        choices: widths, ascending.
        sums: (P, L, B), the sums of the damage's formula on each picture.
        objects: (P,), what they are divided by.
    """

    layers: tuple[str, ...]
    choices: tuple[int, ...]
    sums: NDArray[np.float64]
    objects: NDArray[np.float64]

    def damage(self) -> NDArray[np.float64]:
        """(L, B), over all pictures."""
        whole: NDArray[np.float64] = self.sums.sum(axis=0) / self.objects.sum()
        return whole

    def error(self) -> NDArray[np.float64]:
        """(L, B), the jackknife's standard error of `damage` over pictures; NaN for a single picture."""
        pictures = len(self.objects)
        if pictures < 2:
            return np.full(self.sums.shape[1:], np.nan)
        left_out = (self.sums.sum(axis=0) - self.sums) / (self.objects.sum() - self.objects)[:, None, None]
        spread: NDArray[np.float64] = np.sqrt((pictures - 1) * left_out.var(axis=0))
        return spread


class Probe:
    """Runs a subject with changed weights on its pictures; what was measured is in a journal.

    Args:
        subject: the network.
        journal: of the search.
        progress: called with (done, total, text).
    """

    def __init__(self, subject: Subject, journal: Journal, progress: Report | None = None):
        self._subject = subject
        self._journal = journal
        self._progress = progress
        self._pictures = list(subject.inputs())
        self._replay = Replay(subject.twin, self._pictures[0][1])
        self._grid = output_grid(subject.size_hw, subject.model.strides)
        self._references: dict[str, Tensor] = {}
        self._rounded: dict[tuple[str, int], Tensor] = {}

    def layers(self, choices: Sequence[int]) -> Sensitivity:
        """Measure each choice of each searched layer; a picture is an item of the journal.

        Raises:
            DataError: the float network sees nothing in any of the pictures.
        """
        widths = [bits for bits in choices if bits != FLOAT]
        tables = [self._table_of(number, widths) for number in range(len(self._pictures))]
        objects = np.array([table["objects"] for table in tables])
        if objects.sum() < _FEW_OBJECTS * len(objects):
            raise DataError(
                f"the float network sees no object in the {len(tables)} pictures of {self._subject.folder}; "
                "give pictures like those in flight, or more of them"
            )
        names = self._subject.searched
        sums = np.zeros((len(tables), len(names), len(choices)))
        for place, bits in enumerate(choices):
            if bits != FLOAT:
                sums[:, :, place] = [[_sum(table["layers"][name][str(bits)]) for name in names] for table in tables]
        return Sensitivity(names, tuple(choices), sums, objects)

    def plan(self, name: str, bits: Bits) -> float:
        """Measure a whole plan (bits of the searched layers; the fixed ones have theirs); an item of the journal."""
        widths = self._subject.widths(bits)
        parts = self._journal.once(f"damage {widths}", lambda: self._of_plan(name, widths))
        return total_damage(parts)

    def _table_of(self, number: int, widths: Sequence[int]) -> dict[str, Any]:
        digest, x_nchw = self._pictures[number]
        item = f"sensitivity {' '.join(map(str, widths))}, {digest}"
        return self._journal.once(item, lambda: self._of_picture(x_nchw, number, widths))

    def _of_picture(self, x_nchw: Tensor, number: int, widths: Sequence[int]) -> dict[str, Any]:
        reference = self._replay.see(x_nchw)
        layers = self._subject.searched
        table: dict[str, dict[str, Parts]] = {}
        for done, name in enumerate(layers, 1):
            outputs = {bits: self._replay.changed({name: self._weight(name, bits)}) for bits in widths}
            table[name] = {str(bits): damage_parts(reference, y, self._grid) for bits, y in outputs.items()}
            self._say(number * len(layers) + done, len(self._pictures) * len(layers), f"measuring {name}")
        return {"objects": float(reference[0, :, 4].double().sum()), "layers": table}

    def _of_plan(self, name: str, widths: Mapping[str, int]) -> list[Parts]:
        weights = {layer: self._weight(layer, bits) for layer, bits in widths.items() if bits != FLOAT}
        parts = []
        for number, (digest, x_nchw) in enumerate(self._pictures, 1):
            if digest not in self._references:
                self._references[digest] = self._replay.run(x_nchw)
            parts.append(damage_parts(self._references[digest], self._replay.run(x_nchw, weights), self._grid))
            self._say(number, len(self._pictures), f"measuring {name}")
        return parts

    def _weight(self, layer: str, bits: int) -> Tensor:
        if (layer, bits) not in self._rounded:
            self._rounded[layer, bits] = self._subject.rounded(layer, bits)
        return self._rounded[layer, bits]

    def _say(self, done: int, total: int, text: str) -> None:
        if self._progress is not None:
            self._progress(done, total, text)


def _sum(parts: Parts) -> float:
    return parts["obj"] + parts["cls"] + parts["box"]
