"""Plans made real: trained or calibrated, written as a bundle, scored on the validation set, timed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.bench.timing import interleave, summary
from edgekit.bench.validate import validate
from edgekit.bundle import open_bundle
from edgekit.export import ExportOptions, bundle_from_model
from edgekit.files import storage_errors
from edgekit.models import export_onnx, network_preprocess
from edgekit.precision import QuantPlan
from edgekit.runtime.detector import open_detector
from edgekit.search.recipe import SearchRecipe
from edgekit.search.subject import Bits, Subject
from edgekit.train import train
from edgekit.train.datasets import Report
from edgekit.train.quantised import export_quantised, quantised_on
from edgekit.train.recipe import Quant, Recipe
from edgekit.train.run import latest_checkpoint
from edgekit.train.trained import export_checkpoint

_BATCH = 4
_WARM_UP = 3
FLOAT_LOWERING = "fp32"


@dataclass(frozen=True, slots=True)
class Written:
    """A bundle on disk.

    Attributes:
        path: the file.
        onnx: the float network beside it, whose weights its codes are rounded from.
        bytes: of the file.
        weight_bytes: of its `weights.bin`.
    """

    path: str
    onnx: str
    bytes: int
    weight_bytes: int

    @classmethod
    def of(cls, path: Path, onnx: Path) -> Written:
        """What lies there."""
        entries = open_bundle(path, verify=False).manifest["entries"]
        return cls(str(path), str(onnx), os.path.getsize(path), entries["weights.bin"]["size"])


class Workshop:
    """Makes bundles of a subject's plans.

    Args:
        recipe: of the search.
        subject: the network.
        progress: called with (done, total, text).
    """

    def __init__(self, recipe: SearchRecipe, subject: Subject, progress: Report | None = None):
        self._recipe = recipe
        self._subject = subject
        self._progress = progress

    def in_float(self) -> Written:
        """The float network."""
        folder = self._folder("float")
        onnx = folder / "float.onnx"
        training, preprocess = self._subject.training, self._preprocess()
        export_onnx(self._subject.model, onnx, self._subject.size_hw, self._subject.validation.classes, preprocess)
        options = ExportOptions(lowerings=(FLOAT_LOWERING,), name=training.name, gate=False)
        return self._bundle(folder / "float.ekb", onnx, None, options)

    def calibrated(self, name: str, widths: Bits) -> Written:
        """A plan (bits of every quantisable layer) with first steps from the pictures, untrained."""
        subject = self._subject
        quant = replace(subject.quant, layers=widths)
        model = quantised_on(subject.model, quant, self._batches(quant))
        folder = self._folder(name)
        onnx = folder / f"{name}.onnx"
        classes = subject.validation.classes
        plan = export_quantised(model, onnx, subject.size_hw, classes, self._preprocess())
        record = {"method": quant.method, "images": len(subject.images.images), "seed": subject.images.seed}
        return self._bundle(folder / f"{name}.ekb", onnx, (plan, record), self._options())

    def train(self, name: str, widths: Bits) -> Path:
        """Fine-tune a plan; goes on where an earlier sitting stopped.

        Returns:
            The checkpoint.

        Raises:
            TrainingInterrupted: Ctrl-C; a checkpoint was written.
        """
        recipe = self._fine_tuning(name, widths)
        return train(recipe, resume=latest_checkpoint(recipe).exists(), progress=self._progress)

    def trained(self, name: str, widths: Bits) -> Written:
        """The plan after fine-tuning."""
        folder = self._folder(name)
        onnx = folder / f"{name}.onnx"
        plan = export_checkpoint(latest_checkpoint(self._fine_tuning(name, widths)), onnx)
        return self._bundle(folder / f"{name}.ekb", onnx, plan, self._options())

    def training_recipe(self, method: str, widths: Bits) -> Recipe:
        """The training recipe with these widths."""
        training = self._subject.training
        name = f"{training.name}_{method.replace('-', '_')}"
        quant = replace(self._subject.quant, layers=dict(widths))
        return replace(training, name=name, out=str(Path(training.out).with_name(name)), quant=quant)

    def _fine_tuning(self, name: str, widths: Bits) -> Recipe:
        finetune = self._recipe.finetune
        return replace(
            self.training_recipe(name, widths),
            out=str(Path(self._recipe.out) / "candidates" / name / "train"),
            epochs=finetune.epochs,
            full_epochs=finetune.full_epochs,
            eval_every=finetune.epochs,
            threads=self._recipe.threads or self._subject.training.threads,
        )

    def score(self, written: Written) -> dict[str, Any]:
        """Average precision of a bundle on the validation set, as `edgekit val` prints it."""
        classes = self._subject.training.data.score_classes or None
        scored = validate(
            written.path, self._subject.validation, classes=classes, threads=self._threads(), progress=self._progress
        )
        return scored.to_json()

    def time(self, bundles: Mapping[str, Written]) -> dict[str, Any]:
        """Milliseconds of the networks of bundles, in turns: name -> summary and all samples."""
        if self._progress is not None:
            self._progress(0, 1, f"timing {len(bundles)} bundles in turns")
        detectors = {
            name: open_detector(written.path, threads=self._threads(), device="cpu")
            for name, written in bundles.items()
        }
        try:
            calls = {}
            for name, detector in detectors.items():
                session = detector.session
                spec = session.inputs[0]
                feeds = {spec.name: np.random.default_rng(0).random(spec.shape, np.float32)}
                calls[name] = lambda session=session, feeds=feeds: session.run(feeds)
            timings = interleave(calls, self._recipe.finetune.runs, _WARM_UP)
            return {
                name: {
                    "lowering": detectors[name].lowering,
                    "backend": detectors[name].session.backend,
                    "threads": detectors[name].session.threads,
                    **summary(timing.samples_ms),
                    "samples": [round(ms, 4) for ms in timing.samples_ms],
                }
                for name, timing in timings.items()
            }
        finally:
            for detector in detectors.values():
                detector.close()

    def _bundle(
        self, path: Path, onnx: Path, plan: tuple[QuantPlan, dict[str, Any]] | None, options: ExportOptions
    ) -> Written:
        bundle_from_model(
            str(onnx), str(path), plan=plan, images=self._subject.folder, options=options, progress=self._progress
        )
        return Written.of(path, onnx)

    def _options(self) -> ExportOptions:
        # A plan of 2 or 3 bits may find nothing before it is trained; that is a result, not a reason to stop.
        return ExportOptions(
            lowerings=self._recipe.finetune.lowerings or None, name=self._subject.training.name, gate=False
        )

    def _batches(self, quant: Quant) -> Iterator[Tensor]:
        pictures = (x_nchw for _, x_nchw in self._subject.inputs())
        while batch := list(islice(pictures, _BATCH)):
            yield torch.cat(batch)

    def _preprocess(self) -> dict[str, object]:
        return network_preprocess(*self._subject.size_hw).to_json()

    def _threads(self) -> int | None:
        return self._recipe.threads or None

    def _folder(self, name: str) -> Path:
        folder = Path(self._recipe.out) / "candidates" / name
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder
