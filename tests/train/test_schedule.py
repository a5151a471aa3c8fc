import pytest

from edgekit.train.schedule import learning_rate


def lr(step: int) -> float:
    return learning_rate(step, 100, peak=0.1, warmup=10, min_ratio=0.05)


def test_warms_up_linearly_then_falls_to_its_floor() -> None:
    assert lr(0) == pytest.approx(0.01)
    assert lr(9) == pytest.approx(0.1)
    assert lr(10) == pytest.approx(0.1)
    assert lr(99) == pytest.approx(0.005)
    assert lr(500) == pytest.approx(0.005)
    falling = [lr(step) for step in range(10, 100)]
    assert falling == sorted(falling, reverse=True)


def test_a_run_shorter_than_its_warm_up_stays_finite() -> None:
    assert learning_rate(3, 4, peak=1.0, warmup=10, min_ratio=0.1) == pytest.approx(0.4)
