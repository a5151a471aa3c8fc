import pytest
import torch

from edgekit.train.assign import make_grid, pairwise_iou, simota

GRID = make_grid([(16, 16), (8, 8), (4, 4)], (8, 16, 32))


def perfect_predictions(gt_xyxy: torch.Tensor) -> torch.Tensor:
    """Every cell predicts the object that is nearest to it."""
    center = (gt_xyxy[:, :2] + gt_xyxy[:, 2:]) / 2
    nearest = torch.cdist(GRID.center, center).argmin(dim=1)
    return gt_xyxy[nearest]


def assign(pred: torch.Tensor, gt: torch.Tensor, classes: torch.Tensor):  # type: ignore[no-untyped-def]
    return simota(pred, torch.zeros(len(pred)), torch.zeros(len(pred), 3), gt, classes, GRID)


def test_grid_runs_along_rows_and_strides() -> None:
    assert len(GRID.stride) == 256 + 64 + 16
    assert GRID.center[1].tolist() == [12.0, 4.0]
    assert GRID.center[256].tolist() == [8.0, 8.0]


def test_each_object_gets_cells_near_its_centre_and_no_cell_twice() -> None:
    gt = torch.tensor([[10.0, 10, 30, 34], [60, 60, 100, 90], [14, 12, 26, 30]])
    found = assign(perfect_predictions(gt), gt, torch.tensor([0, 1, 2]))
    assert set(found.target.tolist()) == {0, 1, 2}
    assert len(set(found.cell.tolist())) == len(found.cell)
    center = (gt[:, :2] + gt[:, 2:]) / 2
    distance = (GRID.center[found.cell] - center[found.target]).abs().amax(dim=1)
    assert (distance < 1.5 * GRID.stride[found.cell]).all()


def test_k_is_the_sum_of_the_ten_best_ious() -> None:
    gt = torch.tensor([[50.0, 50, 80, 80]])
    everywhere = gt.expand(len(GRID.stride), 4)
    assert len(assign(everywhere, gt, torch.tensor([0])).cell) == 10
    nowhere = torch.zeros(len(GRID.stride), 4)
    assert len(assign(nowhere, gt, torch.tensor([0])).cell) == 1


def test_two_equal_objects_share_out_their_cells() -> None:
    gt = torch.tensor([[50.0, 50, 80, 80], [50, 50, 80, 80]])
    found = assign(gt[:1].expand(len(GRID.stride), 4), gt, torch.tensor([0, 1]))
    assert len(set(found.cell.tolist())) == len(found.cell)


def test_class_decides_between_equal_boxes() -> None:
    gt = torch.tensor([[50.0, 50, 80, 80], [50, 50, 80, 80]])
    pred = gt[:1].expand(len(GRID.stride), 4)
    logits = torch.full((len(pred), 3), -4.0)
    logits[:, 1] = 4.0
    found = simota(pred, torch.zeros(len(pred)), logits, gt, torch.tensor([0, 1]), GRID)
    assert (found.target == 1).all()


def test_no_objects_no_cells() -> None:
    found = assign(torch.rand(len(GRID.stride), 4), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert len(found.cell) == len(found.target) == len(found.iou) == 0


def test_iou_agrees_with_the_numpy_one() -> None:
    from edgekit.boxes import iou_matrix

    generator = torch.Generator().manual_seed(0)
    corner, size = torch.rand(63, 2, generator=generator) * 50, torch.rand(63, 2, generator=generator) * 30 + 1
    boxes = torch.cat((corner, corner + size), dim=1)
    ours = pairwise_iou(boxes, boxes[:17])
    assert torch.allclose(ours, torch.from_numpy(iou_matrix(boxes.numpy(), boxes[:17].numpy())), atol=1e-6)


def reference(pred, obj, cls, gt, gt_class):  # type: ignore[no-untyped-def]
    """SimOTA as its description reads, one pair at a time: {cell: object}."""
    import numpy as np

    from edgekit.boxes import iou_matrix

    iou = iou_matrix(gt.numpy(), pred.numpy()).astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-np.concatenate((obj[:, None].numpy(), cls.numpy()), axis=1).astype(np.float64)))
    wanted: dict[int, list[tuple[float, int]]] = {}
    candidates = {}
    for g, box in enumerate(gt.tolist()):
        center = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        candidates[g] = [
            n
            for n, (point, stride) in enumerate(zip(GRID.center.tolist(), GRID.stride.tolist(), strict=True))
            if max(abs(point[0] - center[0]), abs(point[1] - center[1])) < 1.5 * stride
        ]
    everyone = sorted(set().union(*candidates.values()))
    for g in range(len(gt)):
        cost = {}
        for n in candidates[g]:
            p = np.sqrt(sigmoid[n, 0] * sigmoid[n, 1:])
            one_hot = np.eye(len(p))[gt_class[g]]
            entropy = -(one_hot * np.log(p) + (1 - one_hot) * np.log(1 - p)).sum()
            cost[n] = entropy - 3 * np.log(iou[g, n] + 1e-8)
        k = max(1, int(np.sort(iou[g, everyone])[::-1][:10].astype(np.float32).sum()))
        for n in sorted(cost, key=cost.get)[:k]:
            wanted.setdefault(n, []).append((cost[n], g))
    return {n: min(bids)[1] for n, bids in wanted.items()}


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_slow_reference(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(9, 2, generator=generator) * 90
    gt = torch.cat((corner, corner + torch.rand(9, 2, generator=generator) * 40 + 5), dim=1)
    classes = torch.randint(0, 3, (9,), generator=generator)
    pred = perfect_predictions(gt) + torch.randn(len(GRID.stride), 4, generator=generator) * 4
    obj = torch.randn(len(pred), generator=generator)
    cls = torch.randn(len(pred), 3, generator=generator)
    found = simota(pred, obj, cls, gt, classes, GRID)
    got = dict(zip(found.cell.tolist(), found.target.tolist(), strict=True))
    assert got == reference(pred, obj, cls, gt, classes)
