"""Scores of a model in training, through the same preprocessing, decoding and suppression as on the device."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch

from edgekit.data.dataset import Dataset, load_image, load_infrared
from edgekit.detections import Detections
from edgekit.metrics.detection import DetectionScores, coco_ap
from edgekit.models import DetectorModule
from edgekit.process import DecodeSpec, Preprocess, postprocess, prepare
from edgekit.quant.binary import binary_layers
from edgekit.quant.swap import quant_layers

Forward = Callable[[np.ndarray], np.ndarray]


def forward_of(model: DetectorModule) -> Forward:
    """The deployed model as a function of NumPy arrays: (1, C, H, W) -> (1, N, 5 + classes).

    A quantised one computes in eval mode what is deployed, and stays as it is.
    """
    deployed = (copy.deepcopy(model).eval() if quant_layers(model) or binary_layers(model) else model.deploy()).cpu()
    deployed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def forward(x_nchw: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(x_nchw).contiguous(memory_format=torch.channels_last)
        y: np.ndarray = deployed(x).numpy()
        return y

    return forward


def detect(
    forward: Forward, dataset: Dataset, preprocess: Preprocess, decode: DecodeSpec, conf: float = 0.001
) -> dict[int, Detections]:
    """Detections of every image by image id, in original pixels."""
    found = {}
    for sample in dataset.samples:
        infrared = load_infrared(sample) if preprocess.pairs else None
        x_nchw, letterbox = prepare(load_image(sample), preprocess, infrared_hw=infrared)
        found[sample.image_id] = postprocess([forward(x_nchw)], decode, letterbox, preprocess, conf=conf)
    return found


def evaluate(
    model: DetectorModule, dataset: Dataset, preprocess: Preprocess, score_classes: Sequence[str] = ()
) -> tuple[DetectionScores, DetectionScores]:
    """Scores over `score_classes` (all if empty) and over every class."""
    found = detect(forward_of(model), dataset, preprocess, model.decode_spec)
    everything = coco_ap(dataset, found)
    if not score_classes:
        return everything, everything
    return coco_ap(dataset, found, classes=score_classes), everything
