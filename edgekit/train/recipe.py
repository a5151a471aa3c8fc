"""What a training run is: one frozen dataclass, read from a strict TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgekit.config import dataclass_from_dict
from edgekit.data import FORMATS
from edgekit.distill import DISTILLERS
from edgekit.quant.layered import check_precisions
from edgekit.quant.observers import METHODS
from edgekit.train.anchor_loss import AnchorGains
from edgekit.train.binarised import Binary

IN_FLOAT = 32
"""In `Quant.layers`: the layer stays in float."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Where images and labels are; environment variables in paths are expanded.

    What a network looks at decides what is read: its picture, the infrared partner of it (`edgekit.data.pairs` says
    where that lies), or both.

    Attributes:
        train_images: folder of the training images; empty trains on rendered frames alone.
        train_labels: labels of the training images: COCO JSON, or what the format has.
        val_images: folder of the validation images; empty scores on rendered frames.
        val_labels: labels of the validation images.
        synth_frames: rendered frames added to the crop epochs (all epochs when there are no others).
        synth_kind: thermal (HIT-UAV's classes and sizes) | colour (all rendered classes) | pairs (colour and infrared,
            at HIT-UAV's sizes).
        synth_one_camera: of pairs: share of the objects that only one of the two cameras sees, half of them each.
        synth_val_frames: rendered frames to score on, when val_labels is empty.
        score_classes: classes that the reported AP is over; empty is all.
        format: of images and labels, a key of `edgekit.data.FORMATS`.
    """

    train_images: str = ""
    train_labels: str = ""
    val_images: str = ""
    val_labels: str = ""
    synth_frames: int = 0
    synth_kind: str = "thermal"
    synth_one_camera: float = 0.0
    synth_val_frames: int = 64
    score_classes: tuple[str, ...] = ()
    format: str = "coco"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"data.format {self.format!r} is unknown; choose one of {', '.join(FORMATS)}")
        if self.synth_kind not in ("thermal", "colour", "pairs"):
            raise ValueError(f"data.synth_kind {self.synth_kind!r} is unknown; choose thermal, colour or pairs")
        if self.synth_one_camera and self.synth_kind != "pairs":
            raise ValueError(f"data.synth_one_camera is of pairs, and synth_kind is {self.synth_kind!r}; choose pairs")
        if not self.train_labels and not self.synth_frames:
            raise ValueError("data names neither train_labels nor synth_frames; give one of them")


@dataclass(frozen=True, slots=True)
class Augment:
    """How a training sample is made.

    Attributes:
        scale: range of the zoom of crops.
        stretch: widths vary by this share.
        mosaic: probability of a mosaic of four crops.
        mixup: probability of blending in a second sample.
        flip_lr: probability of mirroring left and right.
        flip_ud: probability of mirroring up and down.
        gain: brightness is multiplied by 1 +- this.
        bias: brightness is shifted by +- this, grey levels.
        hsv: hue, saturation and value gains of colour images; ignored for grey ones.
        full_scale: range of the zoom in the last epochs, on full frames.
    """

    scale: tuple[float, ...] = (0.6, 1.6)
    stretch: float = 0.1
    mosaic: float = 0.5
    mixup: float = 0.0
    flip_lr: float = 0.5
    flip_ud: float = 0.0
    gain: float = 0.3
    bias: float = 20.0
    hsv: tuple[float, ...] = (0.015, 0.5, 0.4)
    full_scale: tuple[float, ...] = (0.85, 1.2)


@dataclass(frozen=True, slots=True)
class Optim:
    """Optimiser and schedule.

    Attributes:
        name: adamw | sgd (nesterov, momentum 0.9).
        lr: peak learning rate at the recipe's batch.
        min_ratio: the cosine ends at lr times this.
        weight_decay: on convolution weights only.
        warmup_steps: linear warm-up.
        clip_norm: gradient norm limit, 0 is none.
        ema: decay of the averaged weights.
    """

    name: str = "adamw"
    lr: float = 2e-3
    min_ratio: float = 0.01
    weight_decay: float = 0.05
    warmup_steps: int = 300
    clip_norm: float = 10.0
    ema: float = 0.9995

    def __post_init__(self) -> None:
        if self.name not in ("adamw", "sgd"):
            raise ValueError(f"optim.name {self.name!r} is unknown; choose adamw or sgd")


@dataclass(frozen=True, slots=True)
class Restoring:
    """SuperYOLO's second task: the network has to restore the picture at twice the size, from training pictures of it.

    Attributes:
        weight: of the mean absolute error, of pixels in [0, 1], beside the detection loss of an image. As published it
            is 0.1 beside the loss times its batch of 2, which is 0.05 here. 0 trains without the branch on the same
            samples: what a comparison needs.
    """

    weight: float = 0.05

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"super_resolution.weight {self.weight} must be 0 or more")


@dataclass(frozen=True, slots=True)
class Quant:
    """Quantisation in training: LSQ on weights and inputs of every convolution.

    Attributes:
        weight: bits of the weights, 2 to 8.
        input: bits of what a layer reads, 2 to 8; layers that TensorRT runs in float read float.
        first: bits of the weights of the first layer.
        last: bits of the weights of the layers that predict.
        layers: bits of the weights by the name of a layer or of a module above it; the longest name wins over all else.
            32 leaves a layer in float.
        images: pictures for the first steps of the inputs, augmented as in the last epochs.
        method: of the first steps of the inputs: minmax | percentile | mse | lsq.
        freeze_epoch: from this epoch on batch norms use running statistics; 0 from the start.
        precisions: train one network for all of these widths of the weights, 1 to 8 bits, the widest first, in the
            place of `weight`; layers whose width is 8 by `first`, `last` or `layers` keep it at every precision.
        recursive: with precisions: weight of what each learns from the next wider one.
        combine: with precisions: how their gradients are put together, sum | mgda.
    """

    weight: int = 8
    input: int = 8
    first: int = 8
    last: int = 8
    layers: dict[str, int] = field(default_factory=dict)
    images: int = 32
    method: str = "mse"
    freeze_epoch: int = 0
    precisions: tuple[int, ...] = ()
    recursive: float = 1.0
    combine: str = "sum"

    def __post_init__(self) -> None:
        widths = {"weight": self.weight, "input": self.input, "first": self.first, "last": self.last}
        if not isinstance(self.layers, dict):
            raise ValueError(f"quant.layers is a table of name = bits, got {self.layers!r}")
        for key, bits in widths.items():
            if type(bits) is not int or not 2 <= bits <= 8:
                raise ValueError(f"quant.{key} {bits!r} must be 2 to 8 bits")
        for name, bits in self.layers.items():
            if type(bits) is not int or not (2 <= bits <= 8 or bits == IN_FLOAT):
                raise ValueError(f"quant.layers.{name} {bits!r} must be 2 to 8 bits, or {IN_FLOAT} for float")
        if self.method not in METHODS:
            raise ValueError(f"quant.method {self.method!r} is unknown; choose {', '.join(METHODS)}")
        if self.images < 1:
            raise ValueError(f"quant.images {self.images} must be 1 or more")
        if self.precisions:
            self._check_precisions()

    def _check_precisions(self) -> None:
        check_precisions(self.precisions)
        if len(self.precisions) < 2:
            raise ValueError("quant.precisions names one width; give it as quant.weight")
        if self.weight != 8:
            raise ValueError(f"quant.weight {self.weight} is one width and quant.precisions are many; leave one out")
        for key, bits in {"first": self.first, "last": self.last, **self.layers}.items():
            if bits != 8:
                raise ValueError(f"quant.{key} {bits}: beside quant.precisions a layer has all of them, or 8 bits")
        if self.combine not in ("sum", "mgda"):
            raise ValueError(f"quant.combine {self.combine!r} is unknown; choose sum or mgda")
        if self.recursive < 0:
            raise ValueError(f"quant.recursive {self.recursive} must be 0 or more")


@dataclass(frozen=True, slots=True)
class Distill:
    """Extra losses from a teacher: the float network that the run starts from.

    Attributes:
        method: key of `edgekit.distill.DISTILLERS`.
        config: the method's own table, of the dataclass beside it there.
    """

    method: str
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in DISTILLERS:
            raise ValueError(f"distill.method {self.method!r} is unknown; choose {', '.join(DISTILLERS)}")
        if not isinstance(self.config, dict):
            raise ValueError(f"distill.config is a table, got {self.config!r}")
        self.options()

    def options(self) -> Any:
        """`config` as the dataclass of the method; raises `ConfigError` where it has other keys."""
        return dataclass_from_dict(self.config, DISTILLERS[self.method][1], "distill.config")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One reproducible training run.

    Attributes:
        name: names the output files.
        model: key of `edgekit.models.MODELS`.
        out: folder of checkpoints and metrics.
        height: network input height, pixels.
        width: network input width, pixels.
        crop: side of the square crops of the first epochs, pixels.
        epochs: passes over the training set, the full-frame ones included.
        full_epochs: last epochs on full frames: no mosaic, no mixup, L1 box loss added.
        batch: samples per step in all processes together.
        full_batch: the same on full frames.
        seed: of weights and augmentation.
        precision: 32-true | bf16-mixed | 64-true.
        device: auto | cpu | cuda.
        threads: torch threads; 0 leaves torch's choice.
        eval_every: epochs between evaluations.
        box_loss: iou | giou | ciou; of networks without anchors.
        init: checkpoint whose averaged weights the run starts from, or a plain ONNX file that edgekit wrote of one, of
            this model or of one with the same layers; empty is random.
        data: see `DataSet`.
        augment: see `Augment`.
        optim: see `Optim`.
        anchors: see `AnchorGains`; for networks with anchors.
        super_resolution: see `Restoring`; without it there is no such task.
        binary: see `edgekit.train.binarised.Binary`; without it no layer is binary.
        quant: see `Quant`; without it the network is float, but for binary layers.
        distill: see `Distill`; without it there is no teacher.
    """

    name: str
    model: str
    out: str
    data: DataSet
    height: int = 512
    width: int = 640
    crop: int = 320
    epochs: int = 100
    full_epochs: int = 10
    batch: int = 16
    full_batch: int = 8
    seed: int = 0
    precision: str = "32-true"
    device: str = "auto"
    threads: int = 0
    eval_every: int = 5
    box_loss: str = "iou"
    init: str = ""
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)
    anchors: AnchorGains = field(default_factory=AnchorGains)
    super_resolution: Restoring | None = None
    binary: Binary | None = None
    quant: Quant | None = None
    distill: Distill | None = None

    def __post_init__(self) -> None:
        for key, value in (("height", self.height), ("width", self.width), ("crop", self.crop)):
            if value % 64 or value <= 0:
                raise ValueError(f"{key} {value} must be a positive multiple of 64")
        if self.full_epochs > self.epochs:
            raise ValueError(f"full_epochs {self.full_epochs} is more than epochs {self.epochs}")
        if self.precision not in ("32-true", "bf16-mixed", "64-true"):
            raise ValueError(f"precision {self.precision!r} is unknown; choose 32-true, bf16-mixed or 64-true")
        if self.box_loss not in ("iou", "giou", "ciou"):
            raise ValueError(f"box_loss {self.box_loss!r} is unknown; choose iou, giou or ciou")
        if (self.quant or self.binary) and self.precision != "32-true":
            raise ValueError(
                f"precision {self.precision} does not hold codes times steps; [quant] and [binary] need 32-true"
            )
        if self.quant and self.quant.freeze_epoch >= self.epochs:
            raise ValueError(f"quant.freeze_epoch {self.quant.freeze_epoch} must be below epochs {self.epochs}")
        if self.binary and self.quant and self.quant.precisions:
            raise ValueError("quant.precisions and [binary] exclude each other; leave one of them out")
        if self.distill and self.quant and self.quant.precisions:
            raise ValueError("[distill] teaches one precision; with quant.precisions the next wider one is the teacher")
        if self.distill and not ((self.quant or self.binary) and self.init):
            raise ValueError(
                "[distill] has the float weights of init teach their quantised copy; give init and [quant] or [binary]"
            )

    @property
    def measures_norms(self) -> bool:
        """Whether batch norms learn that the file of `init` has folded, so that they have to be measured first."""
        return self.init.endswith(".onnx") and (self.quant is None or self.quant.freeze_epoch > 0)
