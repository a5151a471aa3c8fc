"""One step of all precisions: what is added up, what is shared out, and who teaches whom."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.models import build
from edgekit.quant import calibrate, freeze_norms, prepare
from edgekit.quant.layered import LayeredConv2d, calibration_pass, layered, set_precision
from edgekit.quant.modules import LayerBits
from edgekit.quant.swap import quant_layers
from edgekit.train.criterion import Criterion, criterion_for
from edgekit.train.loader import Batch, collate
from edgekit.train.once import backward_once, distance, min_norm_shares
from tests.train.toys import squares, toy_recipe


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(precisions: tuple[int, ...] = (8, 2)) -> nn.Module:
    torch.manual_seed(0)
    example = torch.rand(1, 3, 64, 64)
    model = layered(prepare(build("fasterx_gate", 2), example, lambda *_: LayerBits(8, 8)), precisions)
    calibrate(model, [example], run=lambda x: calibration_pass(model, x))
    freeze_norms(model.train())
    return model


def batch() -> Batch:
    made = collate(squares(2))
    return Batch(made.x_nchw[:, :, :64, :64], made.targets)


def step(model: nn.Module, recursive: float = 0.0, combine: str = "sum") -> dict[str, float]:
    model.zero_grad(set_to_none=True)
    return backward_once(model, batch(), criterion_of(model), full=False, recursive=recursive, combine=combine)


def criterion_of(model: nn.Module) -> Criterion:
    return criterion_for(model, toy_recipe(Path()))


def shared_weight(model: nn.Module) -> LayeredConv2d:
    layer = quant_layers(model)["neck.smooth4.conv"]
    assert isinstance(layer, LayeredConv2d)
    return layer


def gradients(precisions: tuple[int, ...]) -> list[Tensor]:
    """Of each precision alone."""
    model, found = network(precisions), []
    for bits in precisions:
        model.zero_grad(set_to_none=True)
        set_precision(model, bits)
        terms = criterion_of(model)(model(batch().x_nchw), batch(), False)
        sum(term.total / term.over.clamp(min=1) for term in terms).backward()
        gradient = shared_weight(model).weight.grad
        assert gradient is not None
        found.append(gradient.clone())
    return found


def test_sum_adds_the_gradients_of_all_precisions() -> None:
    model = network()
    named = step(model)
    gradient = shared_weight(model).weight.grad
    assert gradient is not None
    assert torch.allclose(gradient, sum(gradients((8, 2))), rtol=1e-4, atol=1e-6)
    assert named["loss"] == pytest.approx((named["loss/8"] + named["loss/2"]) / 2)
    assert shared_weight(model).bits == 8  # what is averaged and scored is the highest


def test_mgda_takes_the_shortest_combination() -> None:
    model = network((8, 4, 2))
    named = step(model, combine="mgda")
    shares = [named[f"share/{bits}"] for bits in (8, 4, 2)]
    assert sum(shares) == pytest.approx(1) and min(shares) >= 0
    combined = sum(3 * share * each for share, each in zip(shares, gradients((8, 4, 2)), strict=True))
    gradient = shared_weight(model).weight.grad
    assert gradient is not None and torch.allclose(gradient, combined, rtol=1e-3, atol=1e-5)
    own = shared_weight(model).norms["2"].bias.grad
    assert own is not None and own.abs().sum() > 0


def test_the_next_higher_precision_teaches_and_does_not_learn_from_it() -> None:
    alone, taught = network(), network()
    step(alone)
    named = step(taught, recursive=1.0)
    assert named["taught/2"] > 0 and "taught/8" not in named
    assert named["loss"] == pytest.approx((named["loss/8"] + named["loss/2"] + named["taught/2"]) / 2)
    for bits, same in (("8", True), ("2", False)):
        before, after = (shared_weight(model).norms[bits].bias.grad for model in (alone, taught))
        assert before is not None and after is not None
        assert torch.equal(before, after) == same


def maps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 7, size, size, generator=generator) for size in (4, 2, 1)]


def test_distance_is_nothing_for_the_same_maps_and_more_for_others() -> None:
    assert distance(maps(0), maps(0)).item() == pytest.approx(0, abs=1e-6)
    ours = [level.requires_grad_() for level in maps(1)]
    apart = distance(ours, maps(0))
    assert apart.item() > 0.1
    apart.backward()
    assert all(level.grad is not None and level.grad.isfinite().all() for level in ours)


def test_boxes_count_where_the_teacher_sees_an_object() -> None:
    teacher, ours = maps(0), maps(0)
    for level in (*teacher, *ours):
        level[:, 4] = -20.0
    ours[0][:, :4] += 1
    assert distance(ours, teacher).item() < 1e-3
    for level in (*teacher, *ours):
        level[:, 4, 0, 0] = 20.0
    assert distance(ours, teacher).item() > 0.1


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shares_give_the_shortest_vector(count: int) -> None:
    vectors = torch.randn(count, 7, generator=torch.Generator().manual_seed(count)).double()
    shares = min_norm_shares(vectors @ vectors.T)
    assert shares.sum().item() == pytest.approx(1) and (shares >= 0).all()
    shortest = (shares @ vectors).norm().item()
    others = torch.from_numpy(np.random.default_rng(0).dirichlet([1] * count, 20_000))
    assert shortest <= (others @ vectors).norm(dim=1).min().item() * 1.02


def test_one_gradient_against_another() -> None:
    opposed = torch.tensor([[1.0, 0.0], [-3.0, 0.0]])
    assert min_norm_shares(opposed @ opposed.T).tolist() == pytest.approx([0.75, 0.25])
    longer = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    assert min_norm_shares(longer @ longer.T).tolist() == [1.0, 0.0]
