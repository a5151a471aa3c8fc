"""What a search is: one frozen dataclass, read from a strict TOML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from edgekit.quant.hq_search import BITS, THRESHOLD

FLOAT = 32
"""A choice beside 2 to 8 bits: the layer stays in float."""

METHODS = ("sensitivity", "hq", "hq-solved", "hq-scale-free", "hq-paper", "uniform")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a plan may cost; every limit that is given holds.

    Attributes:
        bytes: of the bundle's weights as they are stored, scales, biases and alignment included.
        mb: the same in 1e6 bytes.
        mean_bits: of a weight, over all weights of the network; 32 where a layer stays in float.
        gbops: 1e9 bit operations for one image: multiply-accumulates x bits of the weight x bits of the input.
        ms: of one image in onnxruntime on this machine.
    """

    bytes: int | None = None
    mb: float | None = None
    mean_bits: float | None = None
    gbops: float | None = None
    ms: float | None = None

    def __post_init__(self) -> None:
        given = {key: value for key, value in asdict(self).items() if value is not None}
        if not given:
            raise ValueError("budget has no limit; give bytes, mb, mean_bits, gbops or ms")
        for key, value in given.items():
            if not value > 0:
                raise ValueError(f"budget.{key} {value} must be above 0")
        if self.bytes is not None and self.mb is not None:
            raise ValueError("budget.bytes and budget.mb are the same limit; leave one out")

    def limits(self) -> dict[str, float]:
        """Resource ("bytes", "mean_bits", "gbops", "ms") -> limit in its unit."""
        size = self.bytes if self.mb is None else 1e6 * self.mb
        given = {"bytes": size, "mean_bits": self.mean_bits, "gbops": self.gbops, "ms": self.ms}
        return {name: float(limit) for name, limit in given.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class Search:
    """How widths are chosen.

    Attributes:
        methods: each gives one plan. sensitivity: least predicted damage within the budget, solved exactly. hq: GHOST's
            rule with the smallest threshold within the budget. hq-solved: least of all HQ distances within the budget,
            solved exactly. hq-scale-free: hq on weights divided by their deviation. hq-paper: GHOST's rule at
            `threshold`, whatever the budget. uniform: the largest width for all layers within the budget.
        bits: widths to choose from, 2 to 8; 32 leaves a layer in float, which is useful for a budget of ms alone.
        images: pictures that damage is measured on.
        seed: chooses them, and the random combinations.
        outer: search the first and the last layers too; else they keep `quant.first` and `quant.last` of the training
            recipe. Layers that its `quant.layers` names keep their width in any case.
        combinations: random plans that are measured as a whole, to say how good the prediction is.
        points: budgets between the least and the most bytes that the Pareto set is drawn from.
        threshold: of hq-paper.
    """

    methods: tuple[str, ...] = ("sensitivity", "hq", "uniform")
    bits: tuple[int, ...] = BITS
    images: int = 16
    seed: int = 0
    outer: bool = False
    combinations: int = 12
    points: int = 24
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise ValueError(f"search.methods has {method!r}, which is unknown; choose from {', '.join(METHODS)}")
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError("search.methods names each method once, and one at least")
        if len(set(self.bits)) < 2 or not set(self.bits) <= {*BITS, FLOAT}:
            raise ValueError(f"search.bits {list(self.bits)} must be two or more of 2 to 8, and 32 for float")
        if min(self.bits) == FLOAT or sorted(set(self.bits)) != list(self.bits):
            raise ValueError(f"search.bits {list(self.bits)} must ascend")
        for key, value, least in (("images", self.images, 1), ("combinations", self.combinations, 0)):
            if value < least:
                raise ValueError(f"search.{key} {value} must be {least} or more")
        if self.points < 2:
            raise ValueError(f"search.points {self.points} must be 2 or more")
        if not self.threshold > 0:
            raise ValueError(f"search.threshold {self.threshold} must be above 0")


@dataclass(frozen=True, slots=True)
class Finetune:
    """What is done with the best plans.

    Attributes:
        top: plans to verify, least measured damage first; 0 stops after the search.
        epochs: of training each; 0 verifies them as calibrated, untrained.
        full_epochs: how many of these, the last ones, are on full frames.
        lowerings: graphs of their bundles; empty for all that `edgekit export` writes.
        runs: timed runs of each bundle.
    """

    top: int = 3
    epochs: int = 0
    full_epochs: int = 0
    lowerings: tuple[str, ...] = ()
    runs: int = 30

    def __post_init__(self) -> None:
        if self.top < 0 or self.epochs < 0 or self.runs < 1:
            raise ValueError("finetune.top and finetune.epochs must be 0 or more, finetune.runs 1 or more")
        if not 0 <= self.full_epochs <= self.epochs:
            raise ValueError(f"finetune.full_epochs {self.full_epochs} must be 0 to epochs {self.epochs}")


@dataclass(frozen=True, slots=True)
class SearchRecipe:
    """One reproducible search.

    Attributes:
        name: for the report.
        train: path of the training recipe to start from: its `init` are the float weights, its `[quant]` says what is
            fixed, its `[data]` where the pictures are. Candidates are trained by it with other `quant.layers`.
        out: folder of the results.
        budget: see `Budget`.
        calibration: folder of pictures to measure damage on; empty takes the training images, or rendered frames
            where the training recipe has no others.
        threads: of torch and onnxruntime; 0 leaves the choice to them.
        search: see `Search`.
        finetune: see `Finetune`.
    """

    name: str
    train: str
    out: str
    budget: Budget
    calibration: str = ""
    threads: int = 0
    search: Search = field(default_factory=Search)
    finetune: Finetune = field(default_factory=Finetune)

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"threads {self.threads} must be 0 or more")
