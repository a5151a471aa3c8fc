import pytest
import torch

from edgekit.train.assign import make_grid
from edgekit.train.losses import BOX_LOSSES, DetectionLoss, Targets, decode_boxes

GT = torch.tensor([[20.0, 24, 44, 56], [80, 70, 120, 100]])
NONE = torch.zeros(0, 4)


def perfect_maps(gt_xyxy: torch.Tensor, class_id: list[int]) -> list[torch.Tensor]:
    """Raw maps that decode to the nearest object everywhere, with sure scores at cells near objects only."""
    sizes, strides = [(16, 16), (8, 8), (4, 4)], (8, 16, 32)
    grid = make_grid(sizes, strides)
    center = (gt_xyxy[:, :2] + gt_xyxy[:, 2:]) / 2
    distance = (grid.center[:, None] - center[None]).abs().amax(dim=2)
    nearest = distance.argmin(dim=1)
    offset = center[nearest] / grid.stride[:, None] - grid.corner
    size = ((gt_xyxy[:, 2:] - gt_xyxy[:, :2])[nearest] / grid.stride[:, None]).log()
    cls = torch.full((len(nearest), 3), -12.0)
    cls[torch.arange(len(nearest)), torch.tensor(class_id)[nearest]] = 12.0
    obj = torch.full((len(nearest), 1), -12.0)
    flat = torch.cat((offset, size, obj, cls), dim=1)
    maps, start = [], 0
    for height, width in sizes:
        part = flat[start : start + height * width]
        maps.append(part.T.reshape(1, 8, height, width).clone().requires_grad_())
        start += height * width
    return maps


def targets(ignore: torch.Tensor = NONE) -> list[Targets]:
    return [Targets(GT, torch.tensor([0, 2]), ignore)]


def test_perfect_boxes_and_classes_cost_nothing() -> None:
    sums = DetectionLoss((8, 16, 32))(perfect_maps(GT, [0, 2]), targets(), use_l1=True)
    assert float(sums["positives"]) == 20
    for name in ("box", "cls", "l1"):
        assert float(sums[name].detach()) == pytest.approx(0.0, abs=2e-3)


def test_gradient_reaches_every_level_and_empty_targets_are_finite() -> None:
    maps = [torch.randn(2, 8, s, s, requires_grad=True) for s in (16, 8, 4)]
    empty = Targets(NONE, torch.zeros(0, dtype=torch.int64), NONE)
    sums = DetectionLoss((8, 16, 32))(maps, [targets()[0], empty], use_l1=True)
    sum(sums[name] for name in ("box", "obj", "cls", "l1")).backward()
    assert all(m.grad is not None and torch.isfinite(m.grad).all() for m in maps)
    nothing = DetectionLoss((8, 16, 32))([m.detach() for m in maps], [empty, empty], use_l1=True)
    assert [float(nothing[k]) for k in ("box", "cls", "l1", "positives")] == [0.0, 0.0, 0.0, 0.0]
    assert float(nothing["obj"]) > 0


def test_ignored_regions_teach_no_objectness() -> None:
    region = torch.tensor([[0.0, 100, 128, 128]])
    maps = [torch.zeros(1, 8, s, s, requires_grad=True) for s in (16, 8, 4)]
    DetectionLoss((8, 16, 32))(maps, targets(region), use_l1=False)["obj"].backward()
    grad = maps[0].grad
    assert grad is not None
    assert (grad[0, 4, 13:] == 0).all()
    assert (grad[0, 4, :2] != 0).all()


def test_an_object_inside_an_ignored_region_is_still_taught() -> None:
    everything = torch.tensor([[0.0, 0, 128, 128]])
    maps = [torch.zeros(1, 8, s, s, requires_grad=True) for s in (16, 8, 4)]
    sums = DetectionLoss((8, 16, 32))(maps, targets(everything), use_l1=False)
    sums["obj"].backward()
    touched = sum(int((m.grad[0, 4] != 0).sum()) for m in maps if m.grad is not None)
    assert touched == int(sums["positives"])


def test_objectness_equals_plain_cross_entropy_without_ignored_regions() -> None:
    maps = perfect_maps(GT, [0, 2])
    sums = DetectionLoss((8, 16, 32))(maps, targets(), use_l1=False)
    # 20 positives at logit -12 cost 12 each, the negatives nothing
    assert float(sums["obj"].detach()) == pytest.approx(20 * 12.0, rel=1e-3)


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_box_losses_are_zero_on_equal_boxes_and_grow_with_distance(name: str) -> None:
    loss = BOX_LOSSES[name]
    assert float(loss(GT, GT).abs().max()) < 1e-5
    near, far = GT + 2.0, GT + 8.0
    assert (loss(near, GT) < loss(far, GT)).all()


def test_giou_and_ciou_teach_boxes_that_do_not_meet() -> None:
    for name, moves in (("iou", False), ("giou", True), ("ciou", True)):
        boxes = (GT + 200.0).requires_grad_()
        BOX_LOSSES[name](boxes, GT).sum().backward()
        assert boxes.grad is not None
        assert bool((boxes.grad.abs().sum() > 0)) is moves


def test_decoding_is_the_published_formula() -> None:
    grid = make_grid([(2, 2)], (8,))
    raw = torch.tensor([[[0.5, 0.25, 0.0, 0.0]] * 4])
    boxes = decode_boxes(raw, grid)
    assert boxes[0, 3].tolist() == [8.0, 6.0, 16.0, 14.0]
