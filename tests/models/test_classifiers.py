import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgekit.errors import ModelError
from edgekit.models.bireal import BODY, Thinned
from edgekit.models.classifiers import CLASSIFIERS, build_classifier, classifier_preprocess, export_classifier


def parameters(name: str, classes: int) -> int:
    return sum(p.numel() for p in build_classifier(name, classes).parameters())


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("resnet18", 1000, 11_689_512),
        ("resnet18_cifar", 10, 11_173_962),
        ("resnet8_cifar", 10, 75_290),
        ("resnet20_cifar", 10, 269_722),
        ("vgg_small", 10, 4_660_106),
    ],
)
def test_parameter_counts_are_those_of_the_literature(name: str, classes: int, count: int) -> None:
    assert parameters(name, classes) == count


def test_what_is_binary_in_resnet18_and_what_is_left() -> None:
    from fnmatch import fnmatch

    model = build_classifier("resnet18", 1000)
    convolutions = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    body = {name: m for name, m in convolutions.items() if any(fnmatch(name, pattern) for pattern in BODY)}
    assert len(body) == 16 and sum(m.weight.numel() for m in body.values()) == 10_985_472
    rest = {name: m.weight.numel() for name, m in convolutions.items() if name not in body}
    assert rest == {
        "stem.0": 9_408,
        "stages.1.0.shortcut.0": 64 * 128,
        "stages.2.0.shortcut.0": 128 * 256,
        "stages.3.0.shortcut.0": 256 * 512,
    }
    assert sum(rest.values()) - 9_408 == 172_032 and model.fc.weight.numel() + model.fc.bias.numel() == 513_000


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_shapes_and_a_step(name: str) -> None:
    torch.manual_seed(0)
    model = build_classifier(name, 7)
    x = torch.randn(2, 3, *((64, 96) if name == "resnet18" else model.size_hw))
    y = model(x)
    assert y.shape == (2, 7)
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_units_stay_in_reach_of_a_sign() -> None:
    torch.manual_seed(0)
    model = build_classifier("resnet20_cifar", 10)
    seen: list[torch.Tensor] = []
    for unit in (unit for stage in model.stages for unit in stage):
        unit.register_forward_pre_hook(lambda m, x: seen.append(x[0].detach()))
    model(torch.randn(4, 3, 32, 32))
    assert len(seen) == 18
    for x in seen:
        assert x.abs().max() <= 1 and 0.2 < (x < 0).float().mean() < 0.8


def test_a_thinned_shortcut_by_hand() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    y = Thinned(1, 4, 2)(x)
    assert y.shape == (1, 4, 2, 2) and y[0, 1].tolist() == [[0, 2], [8, 10]]
    assert y[0, [0, 2, 3]].abs().max() == 0


def test_onnx_gives_the_logits_and_explains_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_classifier("resnet20_cifar", 3).eval()
    path = tmp_path / "net.onnx"
    export_classifier(model, path, (32, 32), ("a", "b", "c"), classifier_preprocess(32, 32))
    notes = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert notes["task"] == "classify" and notes["classes"] == ["a", "b", "c"]
    assert notes["preprocess"]["letterbox"] == "stretch"
    x = torch.randn(1, 3, 32, 32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["logits"], {"images": x.numpy()})[0], model(x).detach(), atol=1e-4)


def test_class_names_are_one_each(tmp_path: Path) -> None:
    model = build_classifier("resnet20_cifar", 3)
    with pytest.raises(ModelError, match=r"2 class names for a model of 3 classes"):
        export_classifier(model, tmp_path / "x.onnx", (32, 32), ("a", "b"), classifier_preprocess(32, 32))
    assert not list(tmp_path.iterdir())


def test_an_unknown_classifier_names_the_choices() -> None:
    with pytest.raises(ModelError, match=r"classifier 'resnet' is unknown; choose one of resnet18, "):
        build_classifier("resnet", 10)
