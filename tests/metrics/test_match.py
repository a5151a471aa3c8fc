import numpy as np

from edgekit.detections import Detections
from edgekit.metrics.match import match_detections, total


def boxes(*rows):
    """Rows of x1, y1, x2, y2, score, class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


A = (10, 10, 50, 50, 0.9, 0)
B = (100, 100, 140, 160, 0.6, 1)


def test_the_same_boxes_in_another_order_agree():
    report = match_detections(boxes(A, B), boxes(B, A))
    assert (report.matched, report.missing, report.extra) == (2, 0, 0)
    assert report.max_dscore == 0.0 and report.max_dbox_px == 0.0
    assert report.agrees()


def test_nothing_against_nothing_agrees():
    assert match_detections(Detections.empty(), Detections.empty()).agrees()


def test_worst_differences_are_reported():
    moved = (10.5, 10, 50, 50.25, 0.875, 0)
    report = match_detections(boxes(A, B), boxes(moved, B))
    assert report.matched == 2
    assert report.max_dbox_px == 0.5
    assert abs(report.max_dscore - 0.025) < 1e-6
    assert not report.agrees()
    assert report.agrees(max_dscore=0.03)


def test_another_class_is_no_partner():
    report = match_detections(boxes(A), boxes(A[:5] + (1,)))
    assert (report.matched, report.missing, report.extra) == (0, 1, 1)


def test_a_box_is_paired_once():
    report = match_detections(boxes(A), boxes(A, A))
    assert (report.matched, report.missing, report.extra) == (1, 0, 1)


def test_equal_overlaps_go_to_the_nearer_score():
    low = A[:4] + (0.3, 0)
    report = match_detections(boxes(A, low), boxes(low, A))
    assert report.matched == 2 and report.max_dscore == 0.0


def test_a_lonely_box_at_the_threshold_is_borderline():
    faint, clear = (0, 0, 9, 9, 0.26, 2), (20, 20, 29, 29, 0.28, 2)
    report = match_detections(boxes(A, faint), boxes(A), threshold=0.25)
    assert report.agrees() and report.borderline == 1
    assert match_detections(boxes(A, clear), boxes(A), threshold=0.25).missing == 1
    assert match_detections(boxes(A), boxes(A, clear), threshold=0.25).extra == 1
    assert match_detections(boxes(A, faint), boxes(A)).missing == 1


def test_total_adds_counts_and_keeps_the_worst():
    near = match_detections(boxes(A), boxes((11, 10, 50, 50, 0.9, 0)))
    lost = match_detections(boxes(B), Detections.empty())
    both = total([near, lost])
    assert (both.matched, both.missing, both.max_dbox_px) == (1, 1, 1.0)
    assert total([]).agrees()
