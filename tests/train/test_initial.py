"""The weights that a run starts from."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.models import DetectorModule, build, export_onnx
from edgekit.train.initial import load_initial, measure_norms
from edgekit.train.run import start
from tests.train.toys import CLASSES, squares, toy_recipe


def pictures(count: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(4, 3, 64, 64, generator=generator) for _ in range(count))


def norms_of(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def trained_looking() -> DetectorModule:
    """The student with norms that are not as they were made."""
    model = build("fasterx_student", len(CLASSES)).eval()
    generator = torch.Generator().manual_seed(1)
    for norm in norms_of(model):
        for value, low in ((norm.weight, 0.5), (norm.bias, -0.5), (norm.running_mean, -0.2), (norm.running_var, 0.5)):
            value.data.copy_(low + torch.rand(value.shape, generator=generator))
    return model


def test_measured_norms_leave_the_function_and_are_what_a_batch_would_say(tmp_path: Path) -> None:
    export_onnx(trained_looking(), tmp_path / "plain.onnx", (64, 64), CLASSES)
    model = build("fasterx_student", len(CLASSES))
    load_initial(model, tmp_path / "plain.onnx")
    (x,) = pictures(1)
    before = model.eval()(x)
    measure_norms(model.train(), pictures(1))
    assert model.training
    for norm in norms_of(model):
        norm.momentum = 1.0
    kept = [norm.running_mean.clone() for norm in norms_of(model)]
    for old, new in zip(before, model.eval()(x), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-3)
    model.train()(x)  # every norm says what it reads, behind norms that use what this batch says
    for norm, mean in zip(norms_of(model), kept, strict=True):
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-3, atol=1e-3)


def test_a_channel_that_never_changes_stays_as_it_is() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2)).eval()
    x = torch.stack((torch.full((8, 8), 3.0), torch.arange(64.0).view(8, 8)))[None]
    before = model(x)
    measure_norms(model, [x, x + 0])
    torch.testing.assert_close(model(x), before)
    assert float(model[0].running_var[0]) == 0.0 and abs(float(model[0].running_mean[1]) - 31.5) < 1e-5


def test_a_float_run_starts_from_an_onnx_file(tmp_path: Path) -> None:
    """Of the same layers, though not of the same wiring."""
    plain = trained_looking()
    export_onnx(plain, tmp_path / "plain.onnx", (64, 64), CLASSES)
    recipe = toy_recipe(tmp_path / "run", model="fasterx_student_bireal", init=str(tmp_path / "plain.onnx"))
    assert recipe.measures_norms and not toy_recipe(tmp_path).measures_norms
    model = start(recipe, squares(8), CLASSES).model
    folded = plain.deploy().neck.smooth4.conv
    torch.testing.assert_close(model.neck.smooth4.conv.weight, folded.weight)
    norm = model.neck.smooth4.bn
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(scale, torch.ones_like(scale))
    torch.testing.assert_close(norm.bias - scale * norm.running_mean, folded.bias, rtol=1e-3, atol=1e-4)
    assert float(norm.running_var.min()) > 0 and float(norm.running_mean.abs().max()) > 0
