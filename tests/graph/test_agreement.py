import numpy as np
import pytest

from edgekit.detections import Detections
from edgekit.graph.agreement import agreement


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))


ONE = (0.0, 0.0, 10.0, 10.0, 0.8, 1)


def test_same_is_one_and_nothing_is_one():
    assert agreement([boxes(ONE)], [boxes(ONE)]) == pytest.approx(1.0)
    assert agreement([boxes()], [boxes()]) == 1.0
    assert agreement([], []) == 1.0


def test_missing_or_other_class_or_elsewhere_is_zero():
    elsewhere = (50.0, 50.0, 60.0, 60.0, 0.8, 1)
    for other in (boxes(), boxes((*ONE[:5], 2)), boxes(elsewhere)):
        assert agreement([boxes(ONE)], [other]) == 0.0


def test_a_pair_counts_its_smaller_score_times_its_overlap():
    shifted = (0.0, 0.0, 10.0, 8.0, 0.4, 1)
    assert agreement([boxes(ONE)], [boxes(shifted)]) == pytest.approx(0.4 * 0.8 / 0.8)


def test_extra_weak_boxes_cost_their_score():
    extra = boxes(ONE, (30.0, 0.0, 40.0, 10.0, 0.2, 1))
    assert agreement([boxes(ONE)], [extra]) == pytest.approx(0.8 / 1.0)


def test_no_box_is_matched_twice():
    twins = boxes(ONE, ONE)
    assert agreement([twins], [boxes(ONE)]) == pytest.approx(0.5)
    assert agreement([boxes(ONE)], [twins]) == pytest.approx(0.5)
