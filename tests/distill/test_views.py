"""How models are run for a method: roles, pictures, stages, aliases."""

import pytest
import torch
from torch import Tensor, nn

from edgekit.distill import Distiller, Progress, Role, Stage, Step, View, start, views_of
from tests.distill.toys import Net, images, twins


class Small(Distiller):
    """The student sees another picture than the teacher, and an auxiliary reads the student's own pass."""

    roles = (Role("student", view="small"), Role("teacher"), Role("aux", alias_of="student"))
    stages = (Stage("first"), Stage("second", trained=("teacher",), frozen=("student",)))
    needs = frozenset({"boxes"})

    def taps(self, stage: Stage) -> dict[str, tuple[str, ...]]:
        return {"student": ("body.0",), "aux": ("body.1", "body.0"), "teacher": ("body.1",)}

    def build(self, stage: Stage, views: dict[str, View]) -> None:
        self.adapter = nn.Conv2d(views["student"].features["body.0"][0].shape[1], 1, 1)

    def losses(self, step: Step) -> dict[str, Tensor]:
        return {"one": self.adapter(step.views["aux"].features["body.0"][0]).mean()}

    def weight(self, name: str, progress: Progress) -> float:
        return 0.5 * (progress.epoch + 1)


def pictures() -> dict[str, Tensor]:
    return {"small": torch.rand(2, 3, 5, 5), "image": torch.rand(2, 3, 9, 9)}


def test_each_role_sees_its_own_picture() -> None:
    distiller, models = Small(), twins()
    views = views_of(distiller, distiller.stages[0], models, pictures())
    assert views["student"].image.shape[-1] == 5 and views["teacher"].image.shape[-1] == 9
    assert views["student"].out["out"].shape == (2, 2, 5, 5)


def test_an_alias_reads_the_same_pass_with_its_own_taps() -> None:
    distiller, models = Small(), twins()
    views = views_of(distiller, distiller.stages[0], models, pictures())
    assert views["aux"] is views["student"]
    assert set(views["student"].features) == {"body.0", "body.1"}


def test_frozen_roles_run_in_eval_mode_without_gradient() -> None:
    distiller, models = Small(), twins()
    for model in models.values():
        model.train()
    views = views_of(distiller, distiller.stages[0], models, pictures())
    assert not models["teacher"].training and models["student"].training
    assert not models["teacher"].drop.training
    assert not views["teacher"].features["body.1"][0].requires_grad
    assert views["student"].features["body.0"][0].requires_grad


def test_stages_freeze_and_thaw() -> None:
    distiller, models = Small(), twins()
    first = start(distiller, distiller.stages[0], models, pictures())
    assert {id(p) for p in models["student"].parameters()} <= {id(p) for p in first}
    assert any(p is distiller.adapter.weight for p in first)
    second = start(distiller, distiller.stages[1], models, pictures())
    assert {id(p) for p in models["teacher"].parameters()} <= {id(p) for p in second}
    assert not any(p.requires_grad for p in models["student"].parameters())


def test_in_place_activations_are_switched_off_where_features_are_read() -> None:
    distiller, models = Small(), twins()
    start(distiller, distiller.stages[0], models, pictures())
    assert not any(m.inplace for model in models.values() for m in model.modules() if isinstance(m, nn.ReLU))


def test_weights_follow_progress_and_targets_are_asked_for() -> None:
    distiller, models = Small(), twins()
    start(distiller, distiller.stages[0], models, pictures())
    views = views_of(distiller, distiller.stages[0], models, pictures())
    boxes = {"boxes": torch.zeros(0, 5)}
    early = distiller(Step(views, boxes))["one"].item()
    late = distiller(Step(views, boxes, Progress(7, 3, 4)))["one"].item()
    assert late == pytest.approx(4 * early)
    with pytest.raises(ValueError, match="Small needs the target 'boxes'"):
        distiller(Step(views))


def test_a_loss_is_a_scalar() -> None:
    class Wrong(Small):
        needs = frozenset()

        def losses(self, step: Step) -> dict[str, Tensor]:
            return {"wide": torch.zeros(3)}

    distiller, models = Wrong(), twins()
    views = views_of(distiller, distiller.stages[0], models, pictures())
    with pytest.raises(ValueError, match=r"loss 'wide' of Wrong has shape \(3,\)"):
        distiller(Step(views))


def test_a_role_without_a_model() -> None:
    distiller = Small()
    with pytest.raises(ValueError, match="Small needs a model for role 'teacher' in stage 'first'"):
        start(distiller, distiller.stages[0], {"student": Net()}, images())


def test_outputs_have_names() -> None:
    class Many(Net):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [super().forward(x), x]

    class Named(Net):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"boxes": super().forward(x)}

    distiller = Small()
    views = views_of(distiller, distiller.stages[0], {"student": Many(), "teacher": Named()}, pictures())
    assert views["student"].out.keys() == {"out/0", "out/1"}
    assert views["teacher"].out.keys() == {"boxes"}
