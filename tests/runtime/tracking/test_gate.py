import numpy as np
import pytest

from edgekit.runtime.tracking.gate import GATES

HERE = np.array([[0.0, 0.0, 10.0, 10.0]], np.float32)
BESIDE = np.array([[12.0, 0.0, 22.0, 10.0]], np.float32)
FAR = np.array([[200.0, 0.0, 210.0, 10.0]], np.float32)


@pytest.mark.parametrize("name", sorted(GATES))
def test_the_same_box_is_1_and_a_far_one_is_0(name):
    assert GATES[name](HERE, HERE, 2.0)[0, 0] == pytest.approx(1)
    assert GATES[name](HERE, FAR, 2.0)[0, 0] == pytest.approx(0)


@pytest.mark.parametrize("name", sorted(GATES))
def test_shape_is_predicted_by_detected(name):
    assert GATES[name](np.repeat(HERE, 3, 0), np.repeat(FAR, 5, 0), 2.0).shape == (3, 5)


def test_boxes_that_do_not_touch_meet_only_where_the_gate_is_wider():
    assert GATES["iou"](HERE, BESIDE, 2.0)[0, 0] == 0
    # Sides of 20 that share 8 x 20 of 2 x 400.
    assert GATES["biou"](HERE, BESIDE, 2.0)[0, 0] == pytest.approx(160 / (800 - 160.0))
    # 12 px apart; both diagonals are 10 sqrt 2.
    assert GATES["centre"](HERE, BESIDE, 2.0)[0, 0] == pytest.approx(1 - 12 / (20 * np.sqrt(2)))


def test_biou_without_expansion_is_iou():
    other = np.array([[5.0, 0.0, 15.0, 10.0]], np.float32)
    assert GATES["biou"](HERE, other, 1.0)[0, 0] == pytest.approx(GATES["iou"](HERE, other, 1.0)[0, 0])
