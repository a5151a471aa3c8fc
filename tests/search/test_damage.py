import math

import pytest

pytest.importorskip("torch")

import torch

from edgekit.search.damage import bernoulli_kl, damage_parts, output_grid, total_damage

GRID = output_grid((64, 64), (32, 64))


def output(objectness: float = 0.01) -> torch.Tensor:
    """(1, 5, 7): four cells of stride 32, one of 64; boxes as large as a cell."""
    y = torch.zeros(1, 5, 7)
    y[..., 4] = objectness
    y[..., 5] = 0.8
    y[..., 6] = 0.1
    return y


def of(reference: torch.Tensor, changed: torch.Tensor) -> float:
    return total_damage([damage_parts(reference, changed, GRID)])


def test_nothing_changed_is_no_damage() -> None:
    parts = damage_parts(output(), output(), GRID)
    assert parts == {"obj": 0.0, "cls": 0.0, "box": 0.0, "objects": pytest.approx(0.05)}


def test_the_formula_by_hand() -> None:
    reference, changed = output(), output()
    reference[0, 2, 4], changed[0, 2, 4] = 0.9, 0.6
    changed[0, 2, 5] = 0.5
    changed[0, 2, 0] = 1.0  # one stride to the right: no overlap is left
    objects = 0.9 + 4 * 0.01
    kl = 0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4)
    classes = 0.9 * (0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5))
    assert of(reference, changed) == pytest.approx((kl + classes + 5 * 0.9) / objects, rel=1e-5)


def test_a_false_alarm_counts_and_a_box_that_nobody_sees_does_not() -> None:
    alarm, moved = output(), output(1e-6)
    alarm[0, 0, 4] = 0.9
    moved[0, 0, :2] = 3.0
    assert of(output(), alarm) > 10
    assert damage_parts(output(1e-6), moved, GRID)["box"] < 1e-4


def test_small_changes_count_by_their_square() -> None:
    reference = output(0.3)
    one, two = output(0.3), output(0.3)
    one[..., 4] += 0.001
    two[..., 4] += 0.002
    assert of(reference, two) / of(reference, one) == pytest.approx(4, rel=0.02)


def test_certain_and_broken_outputs() -> None:
    certain = torch.tensor([0.0, 1.0, 1.0])
    assert torch.isfinite(bernoulli_kl(certain, torch.tensor([1.0, 0.0, 1.0]))).all()
    broken = output()
    broken[0, 0, 4] = float("nan")
    assert of(output(), broken) == math.inf


def test_pictures_weigh_by_their_objects() -> None:
    many, few = output(0.9), output(0.01)
    parts = [damage_parts(many, output(0.8), GRID), damage_parts(few, few, GRID)]
    assert total_damage(parts) == pytest.approx(total_damage(parts[:1]) * 0.9 / 0.91)
