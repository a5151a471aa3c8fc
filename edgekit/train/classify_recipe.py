"""What a training run of a classifier is: one frozen dataclass, read from a strict TOML file with task = "classify"."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgekit.models.classifiers import CLASSIFIERS
from edgekit.train.binarised import Binary
from edgekit.train.pictures import Shifts
from edgekit.train.recipe import Distill, Optim, Quant

SGD = Optim(name="sgd", lr=0.1, min_ratio=0.0, weight_decay=1e-4, warmup_steps=0, clip_norm=0.0, ema=0.0)
"""IR-Net's on CIFAR-10, with Nesterov's momentum; no averaging of weights."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where pictures are, a folder for each class; environment variables are expanded.

    Attributes:
        train: trained on.
        val: scored.
    """

    train: str
    val: str


@dataclass(frozen=True, slots=True)
class ClassifyRecipe:
    """One reproducible training run of a classifier.

    Attributes:
        name: names the output files.
        model: key of `edgekit.models.classifiers.CLASSIFIERS`.
        out: folder of checkpoint and metrics.
        data: see `Folders`.
        task: classify.
        size: side of the network's input, pixels; 0 takes the model's own.
        epochs: passes over the training set.
        batch: pictures a step.
        seed: of weights, order and shifts.
        device: cpu | cuda | auto.
        threads: torch threads; 0 leaves torch's choice.
        eval_every: epochs between evaluations.
        init: float checkpoint that the run starts from; empty is random.
        teacher: float checkpoint of the same model that teaches; needs `distill`.
        augment: see `Shifts`.
        optim: see `edgekit.train.recipe.Optim`.
        binary: see `Binary`; without it no layer is binary.
        quant: see `edgekit.train.recipe.Quant`, for all layers that are not binary.
        distill: see `edgekit.train.recipe.Distill`.
    """

    name: str
    model: str
    out: str
    data: Folders
    task: str = "classify"
    size: int = 0
    epochs: int = 100
    batch: int = 128
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    eval_every: int = 1
    init: str = ""
    teacher: str = ""
    augment: Shifts = field(default_factory=Shifts)
    optim: Optim = SGD
    binary: Binary | None = None
    quant: Quant | None = None
    distill: Distill | None = None

    def __post_init__(self) -> None:
        if self.task != "classify":
            raise ValueError(f"task {self.task!r} has another recipe; this one is of classify")
        if self.model not in CLASSIFIERS:
            raise ValueError(f"model {self.model!r} is no classifier; choose one of {', '.join(CLASSIFIERS)}")
        for key, least, value in (
            ("epochs", 1, self.epochs),
            ("batch", 2, self.batch),
            ("eval_every", 1, self.eval_every),
            ("size", 0, self.size),
        ):
            if value < least:
                raise ValueError(f"{key} {value} must be {least} or more")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device {self.device!r} is unknown; choose auto, cpu or cuda")
        if bool(self.teacher) != bool(self.distill):
            raise ValueError("teacher and [distill] come together; give both or neither")
        if self.quant and self.quant.freeze_epoch >= self.epochs:
            raise ValueError(f"quant.freeze_epoch {self.quant.freeze_epoch} must be below epochs {self.epochs}")
