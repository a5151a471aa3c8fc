import math

import pytest
import torch
from torch import nn

from edgekit.distill import Progress, Rbd, RbdConfig, Stage, Step, View, start, views_of
from edgekit.distill.rbd import direction, logits_loss
from edgekit.errors import ConfigError, ModelError
from tests.distill.toys import LAYERS, Net, built, images, rbd, step_of, twins


class Classifier(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).mean(dim=(2, 3))


def test_directions_forget_the_size_of_a_map() -> None:
    x = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    v = direction(x, None)
    torch.testing.assert_close(v.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(direction(7.5 * x, None), v)
    assert direction(torch.zeros(2, 3), 1.0).abs().max() == 0


def test_a_sharp_soft_sign_sees_signs_and_a_wide_one_the_map() -> None:
    x = torch.randn(3, 40, generator=torch.Generator().manual_seed(0)) + 0.01
    torch.testing.assert_close(direction(x, 1e4), torch.where(x < 0, -1.0, 1.0) / math.sqrt(40), atol=1e-3, rtol=0)
    torch.testing.assert_close(direction(x, 1e-3), direction(x, None), atol=1e-4, rtol=0)


def test_the_loss_by_hand() -> None:
    student, teacher = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 5.0], [0.0, -1.0]])
    views = {
        r: View(torch.zeros(2, 3), {"a": [f], "b": [f]}, {}) for r, f in (("student", student), ("teacher", teacher))
    }
    method = Rbd(RbdConfig(("a", "b"), weight=0.5, soft=False))
    step = Step(views)
    assert method.losses(step)["rbd"].item() == pytest.approx(2 * (2 + 4) / 2)
    assert method(step)["rbd"].item() == pytest.approx(3.0)
    assert method.state() == {"rbd_distance/a": pytest.approx(3.0), "rbd_distance/b": pytest.approx(3.0)}


def test_the_weight_falls_over_the_last_fifth() -> None:
    method = Rbd(RbdConfig(LAYERS, weight=2.0, kd=0.5))
    weights = [method.weight("rbd", Progress(0, epoch, 10)) for epoch in range(11)]
    assert weights[:9] == [2.0] * 9 and weights[9] == pytest.approx(1.0) and weights[10] == 0.0
    assert {method.weight("kd", Progress(0, epoch, 10)) for epoch in range(11)} == {0.5}


def test_the_sharpness_grows_as_the_estimators_do() -> None:
    from edgekit.quant.estimators import Schedule

    method = rbd()
    for epoch in range(7):
        assert method.sharpness(Progress(0, epoch, 7)) == pytest.approx(Schedule(0.1, 10.0).at(epoch, 7).t)


def test_logits_loss_is_hintons() -> None:
    z = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    other = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    expected = 9 * nn.functional.kl_div((z / 3).log_softmax(1), (other / 3).softmax(1), reduction="batchmean")
    torch.testing.assert_close(logits_loss(z, other, 3.0), expected)
    assert logits_loss(z, z, 3.0).item() == 0


def test_logits_teach_a_classifier() -> None:
    models: dict[str, nn.Module] = {"student": Classifier(), "teacher": Classifier()}
    method = Rbd(RbdConfig(LAYERS, kd=0.7))
    start(method, Stage(), models, images())
    losses = method(Step(views_of(method, Stage(), models, images())))
    assert set(losses) == {"rbd", "kd"} and losses["kd"] > 0
    losses["kd"].backward()
    assert models["student"].head.weight.grad.abs().sum() > 0


def test_logits_of_a_detector_are_refused_before_training() -> None:
    with pytest.raises(
        ConfigError, match=r"rbd.kd wants one output \(B, classes\), and the student has \(4, 2, 9, 7\)"
    ):
        built(Rbd(RbdConfig(LAYERS, kd=1.0)), twins())


def test_maps_of_other_shapes_are_refused_before_training() -> None:
    models = twins()
    models["teacher"].body[1].conv = nn.Conv2d(8, 8, 3, stride=2, padding=1)
    with pytest.raises(ModelError, match=r"body.1 is .* in the student and .* in the teacher"):
        built(rbd(), models)


def test_no_weight_no_gradient() -> None:
    models, method = twins(0.1), Rbd(RbdConfig(LAYERS, weight=0.0))
    built(method, models)
    method(step_of(method, models))["rbd"].backward()
    assert models["student"].body[0].conv.weight.grad.abs().max() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ()}, "rbd.layers is empty"),
        ({"weight": -1.0}, r"rbd.weight -1.0 and rbd.kd 0.0 must not be negative"),
        ({"t_min": 0.0}, "expected 0 < t_min <= t_max"),
        ({"temperature": 0.0}, "rbd.temperature 0.0 must be above 0"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RbdConfig(**{"layers": LAYERS, **change})
