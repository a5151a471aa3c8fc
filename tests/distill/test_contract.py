"""What every method must keep, whatever it does; a new method joins by a line in `METHODS`."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from edgekit.distill import DISTILLERS, Distiller, Step, views_of
from edgekit.errors import ModelError
from tests.distill.toys import Net, built, ghost, rbd, step_of, twins

METHODS: dict[str, Callable[[], Distiller]] = {
    "ghost": ghost,
    "ghost/random_fixed": lambda: ghost("random_fixed"),
    "ghost/open": lambda: ghost("open"),
    "rbd": rbd,
    "rbd/plain": lambda: rbd(soft=False),
}

methods = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())


def total(distiller: Distiller, step: Step) -> torch.Tensor:
    return torch.stack(list(distiller(step).values())).sum()


def test_every_method_is_held_to_the_contract() -> None:
    assert {name.split("/")[0] for name in METHODS} == DISTILLERS.keys()


@methods
def test_a_student_that_is_its_teacher_has_nothing_to_learn(make: Callable[[], Distiller]) -> None:
    models, distiller = twins(), make()
    built(distiller, models)
    models["student"].eval()
    step = step_of(distiller, models)
    losses = distiller(step)
    assert losses and all(loss.item() == 0 for loss in losses.values())


@methods
def test_gradient_reaches_the_student_and_adapters_only(make: Callable[[], Distiller]) -> None:
    torch.manual_seed(1)
    models, distiller = twins(0.1), make()
    parameters = built(distiller, models)
    total(distiller, step_of(distiller, models)).backward()
    assert models["student"].body[0].conv.weight.grad.abs().sum() > 0
    assert models["student"].head.weight.grad is None  # behind the last tap
    assert all(p.grad is None for p in models["teacher"].parameters())
    assert not {id(p) for p in models["teacher"].parameters()} & {id(p) for p in parameters}
    assert {id(p) for p in distiller.parameters() if p.requires_grad} <= {id(p) for p in parameters}


@methods
def test_the_teacher_stays_bit_for_bit_and_adapters_move(make: Callable[[], Distiller]) -> None:
    torch.manual_seed(1)
    models, distiller = twins(0.1), make()
    optimizer = torch.optim.Adam(built(distiller, models), lr=1e-2)
    teacher = copy.deepcopy(models["teacher"].state_dict())
    before = {name: p.detach().clone() for name, p in distiller.named_parameters()}
    for _ in range(5):
        for module in (*models.values(), distiller):
            module.train()  # as a loop over a tree of modules would
        optimizer.zero_grad()
        total(distiller, step_of(distiller, models)).backward()
        optimizer.step()
    assert all(torch.equal(value, models["teacher"].state_dict()[name]) for name, value in teacher.items())
    moving = {name for name, p in distiller.named_parameters() if p.requires_grad} - distiller.static()
    assert all(not torch.equal(before[name], p) for name, p in distiller.named_parameters() if name in moving)
    fixed = before.keys() - {name for name, p in distiller.named_parameters() if p.requires_grad}
    assert all(torch.equal(before[name], dict(distiller.named_parameters())[name]) for name in fixed)


@methods
def test_static_parameters_get_no_gradient(make: Callable[[], Distiller]) -> None:
    torch.manual_seed(1)
    models, distiller = twins(0.1), make()
    built(distiller, models)
    total(distiller, step_of(distiller, models)).backward()
    gradients = {name: p.grad.abs().max().item() for name, p in distiller.named_parameters() if p.grad is not None}
    largest = max(gradients.values(), default=0.0)
    assert all(gradients.get(name, 0.0) <= 1e-3 * largest for name in distiller.static())


@methods
def test_a_step_teaches(make: Callable[[], Distiller]) -> None:
    torch.manual_seed(1)
    models, distiller = twins(0.3), make()
    built(distiller, models)
    step = step_of(distiller, models)
    values = []
    free = {k: [f.detach().clone().requires_grad_() for f in v] for k, v in step.views["student"].features.items()}
    optimizer = torch.optim.Adam([f for fs in free.values() for f in fs], lr=5e-2)
    view = type(step.views["student"])(step.views["student"].image, free, {})
    fixed = Step({"student": view, "teacher": step.views["teacher"]})
    for _ in range(100):
        optimizer.zero_grad()
        torch.manual_seed(2)  # the same draws of the gates each time
        loss = total(distiller, fixed)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > 0 and values[-1] < 0.1 * values[0]


@methods
def test_empty_maps_and_empty_labels_are_finite(make: Callable[[], Distiller]) -> None:
    models, distiller = twins(0.1), make()
    built(distiller, models)
    views = views_of(distiller, distiller.stages[0], models, {"image": torch.zeros(4, 3, 9, 7)})
    step = Step(views, {"boxes": torch.zeros(0, 5)})
    loss = total(distiller, step)
    loss.backward()
    gradients = [p.grad for p in models["student"].parameters() if p.grad is not None]
    assert loss.isfinite() and all(g.isfinite().all() for g in gradients)


@methods
def test_losses_are_float32_under_autocast(make: Callable[[], Distiller]) -> None:
    torch.manual_seed(1)
    models, distiller = twins(0.1), make()
    built(distiller, models)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = distiller(step_of(distiller, models))
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


@methods
def test_nothing_is_left_in_the_student(make: Callable[[], Distiller]) -> None:
    models, distiller = twins(0.1), make()
    statistics = copy.deepcopy(models["student"].state_dict())
    built(distiller, models)
    assert all(torch.equal(value, models["student"].state_dict()[name]) for name, value in statistics.items())
    total(distiller, step_of(distiller, models)).backward()
    assert models["student"].state_dict().keys() == Net().state_dict().keys()
    assert not any(module._forward_hooks for module in models["student"].modules())
    assert type(models["student"]) is Net


@methods
def test_two_instances_share_nothing(make: Callable[[], Distiller]) -> None:
    models, one, other = twins(0.1), make(), make()
    built(one, models)
    built(other, models)
    assert not {id(p) for p in one.parameters()} & {id(p) for p in other.parameters()}
    one(step_of(one, models))
    assert other.state() == {}


@methods
def test_a_missing_module_is_found_before_training(make: Callable[[], Distiller]) -> None:
    models = twins()
    models["student"].body[1] = nn.Identity()
    models["student"].body = nn.Sequential(models["student"].body[0])
    with pytest.raises(ModelError, match=r"the student has no module 'body.1'"):
        built(make(), models)


@methods
def test_weights_belong_to_losses(make: Callable[[], Distiller]) -> None:
    models, distiller = twins(0.1), make()
    built(distiller, models)
    step = step_of(distiller, models)
    torch.manual_seed(5)
    raw = distiller.losses(step)
    torch.manual_seed(5)
    weighted = distiller(step)
    assert raw.keys() == weighted.keys()
    for name, loss in raw.items():
        expected = loss.item() * distiller.weight(name, step.progress)
        assert weighted[name].item() == pytest.approx(expected, rel=1e-6)
