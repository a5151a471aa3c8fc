import pytest
import torch

from edgekit.train.anchor_assign import AnchorTargets, assign_to_anchors

ANCHORS = ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0))


def places(box: tuple[float, float, float, float], size_hw: tuple[int, int] = (16, 16)) -> AnchorTargets:
    one = torch.zeros(1, dtype=torch.int64)
    return assign_to_anchors(one, torch.tensor([box]), one + 2, ANCHORS, 4, size_hw)


def cells(found: AnchorTargets) -> set[tuple[int, int, int]]:
    return set(zip(found.anchor.tolist(), found.column.tolist(), found.row.tolist(), strict=True))


@pytest.mark.parametrize(
    ("centre", "expected"),
    [
        ((21.0, 21.0), {(5, 5), (4, 5), (5, 4)}),  # a quarter into the cell: left and above
        ((23.0, 23.0), {(5, 5), (6, 5), (5, 6)}),  # three quarters: right and below
        ((21.0, 23.0), {(5, 5), (4, 5), (5, 6)}),
        ((22.0, 22.0), {(5, 5)}),  # the middle is as far from all neighbours
        ((1.0, 21.0), {(0, 5), (0, 4)}),  # there is no cell to the left of the first
        ((63.0, 62.0), {(15, 15)}),  # nor one to the right of the last, nor one below it
    ],
)
def test_three_cells_predict_an_object(centre: tuple[float, float], expected: set[tuple[int, int]]) -> None:
    x, y = centre
    found = cells(places((x - 5, y - 6.5, x + 5, y + 6.5)))
    assert {(column, row) for anchor, column, row in found if anchor == 0} == expected


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (10, 13, {0, 1, 2}),  # 3.3 times narrower than the third, 1.8 times lower
        (39.9, 13, {0, 1, 2}),
        (40.1, 13, {1, 2}),  # 4.01 times the first
        (8.3, 13, {0, 1, 2}),
        (8.2, 13, {0, 1}),  # a 4.02th of the third
        (16, 125, set()),  # 4.2 times as tall as the tallest
    ],
)
def test_the_shape_chooses_the_anchors(width: float, height: float, expected: set[int]) -> None:
    found = places((32 - width / 2, 32 - height / 2, 32 + width / 2, 32 + height / 2), (32, 32))
    assert {anchor for anchor, _, _ in cells(found)} == expected


def test_objects_keep_their_image_class_and_box() -> None:
    boxes = torch.tensor([[16.0, 16, 28, 30], [40, 8, 52, 22]])
    found = assign_to_anchors(torch.tensor([1, 0]), boxes, torch.tensor([3, 2]), ANCHORS, 4, (16, 16))
    assert set(zip(found.image.tolist(), found.class_id.tolist(), strict=True)) == {(1, 3), (0, 2)}
    first = found.image == 1
    assert torch.equal(found.xyxy[first], boxes[:1].expand(int(first.sum()), 4))


def test_no_objects_no_places() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    found = assign_to_anchors(none, torch.zeros(0, 4), none, ANCHORS, 4, (16, 16))
    assert [len(column) for column in found] == [0] * 6
