"""The search: measure, choose, verify; every finished item is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from edgekit.config import read_toml
from edgekit.devices import this_machine
from edgekit.search.candidates import Workshop, Written
from edgekit.search.journal import Journal, open_journal
from edgekit.search.measured import (
    Measured,
    layer_rows,
    measure,
    plan_row,
    predicted,
    reference_rows,
    written,
)
from edgekit.search.plans import choose, combinations, frontier
from edgekit.search.recipe import SearchRecipe
from edgekit.search.result import PlanRow, Prediction, SearchResult, Verified
from edgekit.search.sensitivity import Probe
from edgekit.search.subject import Bits, Subject, digest_of, open_subject
from edgekit.search.write import write_plan, write_results
from edgekit.train.datasets import Report
from edgekit.train.interrupt import TrainingInterrupted

_LEAST_RANKED = 3
_STAGES = ("bundle", "layer ms", "sensitivity", "hq distances", "damage", "train", "scores", "ms")


def search(
    recipe: SearchRecipe | str | os.PathLike[str], *, resume: bool = False, progress: Report | None = None
) -> SearchResult:
    """Find widths within a budget, and verify the best.

    The folder of the recipe gets `search.json`, `report.html`, `pareto.png`, `plans/METHOD.toml` (training recipes with
    the widths) and `candidates/` (bundles). The first three are written anew whenever there is more to tell.

    Args:
        recipe: a recipe, or the path of its TOML file.
        resume: go on with the search in the recipe's folder; what is done is not done again.
        progress: called with (done, total, text).

    Raises:
        ConfigError: the recipe cannot be used, the budget is out of reach, or the folder holds another search.
        ModelError: the float weights are missing or of another network.
        DataError: pictures are missing, or none has an object.
        TrainingInterrupted: Ctrl-C in fine-tuning; a checkpoint was written.
    """
    if not isinstance(recipe, SearchRecipe):
        recipe = read_toml(recipe, SearchRecipe)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    subject = open_subject(recipe, progress)
    journal = open_journal(Path(recipe.out), _head(recipe, subject), resume)
    workshop, probe = Workshop(recipe, subject, progress), Probe(subject, journal, progress)
    measured = measure(recipe, subject, journal, workshop, probe)
    rows = _plans(recipe, subject, measured, journal, probe, workshop)
    draft = _draft(recipe, subject, measured, rows, probe)
    best = [row.name for row in rows if row.within][: recipe.finetune.top]
    checks = _Checks(recipe, journal, workshop)
    for name in best:
        write_results(_result(draft, checks, journal, finished=False))
        row = next(row for row in rows if row.name == name)
        checks.verify(name, row.widths)
    if best:
        checks.score_references(measured.references)
        checks.time()
    result = _result(draft, checks, journal, finished=True)
    write_results(result)
    return result


def _head(recipe: SearchRecipe, subject: Subject) -> dict[str, Any]:
    """What a resumed search may not change; names, places and threads are not results."""
    kept = {key: value for key, value in asdict(recipe).items() if key not in ("name", "out", "threads")}
    return {**kept, "training": asdict(subject.training), **digest_of(subject)}


def _plans(
    recipe: SearchRecipe, subject: Subject, measured: Measured, journal: Journal, probe: Probe, workshop: Workshop
) -> list[PlanRow]:
    """One plan a method, measured as a whole and written as a training recipe; the best within the budget first."""
    rows = []
    for method in recipe.search.methods:
        bits = choose(method, recipe, subject, measured.costs, measured.sensitivity, journal)
        row = plan_row(method, bits, subject, measured, recipe.budget.limits(), probe.plan(method, bits))
        path = write_plan(Path(recipe.out), workshop.training_recipe(method, row.widths))
        rows.append(replace(row, recipe=str(path)))
    return sorted(rows, key=lambda row: (not row.within, row.measured, row.name))


def _draft(
    recipe: SearchRecipe, subject: Subject, measured: Measured, rows: Sequence[PlanRow], probe: Probe
) -> SearchResult:
    """The result before anything is verified."""
    budget = recipe.budget.limits()
    centre = {name: rows[0].widths[name] for name in subject.searched}
    random = combinations(measured.costs, centre, recipe.search.combinations, recipe.search.seed)
    chosen = frontier(measured.sensitivity.damage(), measured.costs, recipe.search.points)
    return SearchResult(
        name=recipe.name,
        out=recipe.out,
        recipe=asdict(recipe),
        budget=budget,
        finished=False,
        references=tuple(reference_rows(subject, measured, budget)),
        plans=tuple(rows),
        frontier=tuple(plan_row("", bits, subject, measured, budget, None) for bits in chosen),
        prediction=_prediction(random, measured, probe),
        layers=layer_rows(subject, measured),
        machine=this_machine().to_json(),
        seconds={},
    )


def _prediction(random: Sequence[Bits], measured: Measured, probe: Probe) -> Prediction:
    expected = [predicted(bits, measured) for bits in random]
    found = [probe.plan(f"combination {number} of {len(random)}", bits) for number, bits in enumerate(random, 1)]
    ratios = [b / a for a, b in zip(expected, found, strict=True) if a > 0]
    known = len(set(expected)) >= _LEAST_RANKED and len(set(found)) >= _LEAST_RANKED
    return Prediction(
        tuple(expected),
        tuple(found),
        float(spearmanr(expected, found).statistic) if known else None,
        float(np.median(ratios)) if ratios else None,
    )


@dataclass(slots=True)
class _Checks:
    """What was verified so far.

    Attributes:
        bundles: name -> its bundle.
        scores: name -> its scores.
        ms: name -> its times.
    """

    recipe: SearchRecipe
    journal: Journal
    workshop: Workshop
    bundles: dict[str, Written] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    ms: dict[str, dict[str, Any]] = field(default_factory=dict)

    def verify(self, name: str, widths: Bits) -> None:
        """Train if the recipe says so, write the bundle, score it.

        Raises:
            TrainingInterrupted: Ctrl-C; a checkpoint was written.
        """
        if self.recipe.finetune.epochs:
            try:
                self.journal.once(f"train {name}", lambda: str(self.workshop.train(name, widths)))
            except TrainingInterrupted as error:
                raise TrainingInterrupted(
                    f"stopped while {name} was trained; everything is kept in {self.recipe.out}. "
                    "Go on with: edgekit search RECIPE --resume"
                ) from error
            self.bundles[name] = written(self.journal, name, lambda: self.workshop.trained(name, widths))
        else:
            self.bundles[name] = written(self.journal, name, lambda: self.workshop.calibrated(name, widths))
        self._score(name)

    def score_references(self, references: Mapping[str, Written]) -> None:
        """Score the networks that plans are compared with."""
        self.bundles.update(references)
        for name in references:
            self._score(name)

    def time(self) -> None:
        """Time all bundles in turns."""
        item = f"ms {', '.join(sorted(self.bundles))}"
        self.ms = self.journal.once(item, lambda: self.workshop.time(self.bundles))

    def of(self, row: PlanRow, epochs: int) -> PlanRow:
        """`row` with what was verified of it."""
        if row.name not in self.scores:
            return row
        bundle = self.bundles[row.name]
        scores, ms = self.scores[row.name], self.ms.get(row.name)
        return replace(row, verified=Verified(bundle.path, bundle.bytes, bundle.weight_bytes, epochs, scores, ms))

    def _score(self, name: str) -> None:
        self.scores[name] = self.journal.once(f"scores {name}", lambda: self.workshop.score(self.bundles[name]))


def _result(draft: SearchResult, checks: _Checks, journal: Journal, finished: bool) -> SearchResult:
    epochs = checks.recipe.finetune.epochs
    seconds = {stage: sum(s for item, s in journal.seconds.items() if item.startswith(stage)) for stage in _STAGES}
    return replace(
        draft,
        finished=finished,
        references=tuple(checks.of(row, 0) for row in draft.references),
        plans=tuple(checks.of(row, epochs) for row in draft.plans),
        seconds={stage: round(taken, 1) for stage, taken in seconds.items() if taken},
    )
