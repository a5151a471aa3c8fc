import math

import pytest
import torch
from torch.nn import functional

from edgekit.models import build
from edgekit.train.anchor_loss import AnchorGains, AnchorLoss
from edgekit.train.criterion import AnchorCriterion, restoring_terms, total_of
from edgekit.train.loader import Batch
from edgekit.train.losses import Targets
from tests.train.toys import toy_recipe

FINE = ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0))
NONE = torch.zeros(0, 4)


def targets(ignore: torch.Tensor = NONE) -> list[Targets]:
    """One object of the first anchor's size in the middle of cell (4, 4): three anchors take it, one cell each."""
    return [Targets(torch.tensor([[13.0, 11.5, 23.0, 24.5]]), torch.tensor([1]), ignore)]


def loss() -> AnchorLoss:
    return AnchorLoss((4,), (FINE,), AnchorGains())


def test_sums_of_a_flat_map_are_those_of_pen_and_paper() -> None:
    """Raw 0 is p = 1/2: the box lies in the cell's middle and has the anchor's size."""
    raw = torch.zeros(1, 3, 8, 8, 7)
    level = loss()([raw], targets())[0]
    assert (level.positives, level.places) == (3, 192)
    # the first anchor fits; the others have the same centre, so that CIoU is IoU less the aspect term
    ious, missing = [], []
    for width, height in FINE:
        inter = min(10, width) * min(13, height)
        iou = inter / (130 + width * height - inter)
        aspect = 4 / math.pi**2 * (math.atan(10 / 13) - math.atan(width / height)) ** 2
        ious.append(iou)
        missing.append(1 - iou + aspect**2 / (1 - iou + aspect + 1e-9))
    assert float(level.box) == pytest.approx(0.05 * 3 * sum(missing), rel=1e-4)
    # two classes at p = 1/2 cost ln 2 each, whichever is right; the mean over the classes is taken
    assert float(level.cls) == pytest.approx(0.5 * 3 * 2 / 80 * 3 * math.log(2), rel=1e-5)
    # cross-entropy at p = 1/2 is ln 2 whatever is asked for; one level weighs 4 and three times its share
    assert float(level.obj) == pytest.approx(2.56 * 3 * 4 * 192 * math.log(2), rel=1e-5)


def test_objectness_is_asked_for_the_overlap_that_the_box_has_now() -> None:
    raw = torch.zeros(1, 3, 8, 8, 7, requires_grad=True)
    loss()([raw], targets())[0].obj.backward()
    assert raw.grad is not None
    gradient = raw.grad[0, :, 4, 4, 4] / (2.56 * 12)  # of cross-entropy: p less what is asked for
    assert float(0.5 - gradient[0]) == pytest.approx(1.0, abs=1e-5)
    assert float(0.5 - gradient[2]) < 0.2
    assert float(raw.grad[0, 0, 0, 0, 4] / (2.56 * 12)) == pytest.approx(0.5)


def test_finer_levels_weigh_more_and_three_share_the_gains() -> None:
    levels = AnchorLoss((4, 8, 16), (FINE,) * 3, AnchorGains())(
        [torch.zeros(1, 3, n, n, 7) for n in (8, 4, 2)], targets()
    )
    each = [float(level.obj) / level.places / math.log(2) for level in levels]
    assert each == pytest.approx([2.56 * 4, 2.56, 2.56 * 0.4], rel=1e-5)
    assert float(levels[0].box) == pytest.approx(float(loss()([torch.zeros(1, 3, 8, 8, 7)], targets())[0].box) / 3)


def test_ignored_regions_teach_no_objectness_but_objects_inside_do() -> None:
    raw = torch.zeros(1, 3, 8, 8, 7, requires_grad=True)
    loss()([raw], targets(torch.tensor([[0.0, 0, 32, 20]])))[0].obj.backward()
    assert raw.grad is not None
    taught = raw.grad[0, 0, :, :, 4] != 0
    assert bool(taught[5:].all())
    assert taught[:5].nonzero().tolist() == [[4, 4]]


def test_where_two_objects_want_one_place_the_better_box_sets_its_objectness() -> None:
    """In either order of the labels."""
    boxes = torch.tensor([[13.0, 11.5, 23.0, 24.5], [10.0, 6.0, 26.0, 30.0]])
    asked = []
    for order in ([0, 1], [1, 0]):
        raw = torch.zeros(1, 3, 8, 8, 7, requires_grad=True)
        loss()([raw], [Targets(boxes[order], torch.tensor([0, 1])[order], NONE)])[0].obj.backward()
        assert raw.grad is not None
        asked.append(0.5 - raw.grad[0, 0, 4, 4, 4] / (2.56 * 12))
    assert float(asked[0]) == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(asked[0], asked[1])


def test_pictures_without_objects_teach_objectness_alone() -> None:
    raw = torch.randn(2, 3, 8, 8, 7, requires_grad=True)
    empty = Targets(NONE, torch.zeros(0, dtype=torch.int64), NONE)
    level = loss()([raw], [empty, empty])[0]
    assert (level.box.item(), level.cls.item(), level.positives) == (0.0, 0.0, 0)
    (level.box + level.cls + level.obj).backward()
    assert raw.grad is not None
    assert bool(torch.isfinite(raw.grad).all())


def test_maps_of_any_memory_layout_give_the_same_sums() -> None:
    raw = torch.randn(2, 21, 8, 8).unflatten(1, (3, 7)).permute(0, 1, 3, 4, 2)
    twice = targets() * 2
    assert torch.equal(loss()([raw], twice)[0].obj, loss()([raw.contiguous()], twice)[0].obj)


@pytest.mark.parametrize(
    ("gains", "message"), [({"box": -1.0}, "must be 0 or more"), ({"ratio": 1.0}, "ratio 1.0 must be above 1")]
)
def test_gains_that_cannot_be_used_are_refused(gains: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnchorGains(**gains)


def test_restoring_is_the_mean_error_of_colour_and_of_infrared() -> None:
    sharp = torch.zeros(2, 4, 8, 8)
    picture = torch.cat((torch.full((2, 3, 8, 8), 0.3), torch.full((2, 1, 8, 8), 0.5)), dim=1)
    total, named = total_of(restoring_terms(picture, sharp, 0.1), 1, lambda values: values)
    assert float(total) == pytest.approx(0.1 * 0.3 + 0.1 * 0.5)
    assert named["restored"] == pytest.approx(0.08)
    single, _ = total_of(restoring_terms(picture[:, :3], sharp[:, :3], 0.1), 1, lambda values: values)
    assert float(single) == pytest.approx(0.03)


def test_two_processes_make_the_step_of_one(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Means over positives and places are those of both batches, however unevenly these fell."""
    torch.manual_seed(0)
    model = build("ghost_rgb", 2)
    criterion = AnchorCriterion(model, toy_recipe(tmp_path, model="ghost_rgb"))
    maps = [torch.randn(2, 3, n, n, 7) for n in (16, 8, 4)]
    box = torch.tensor([[13.0, 11.5, 23.0, 24.5], [30, 30, 60, 56]])
    labels = [Targets(box, torch.tensor([0, 1]), NONE), Targets(box[:1] + 9, torch.tensor([1]), NONE)]
    picture = torch.zeros(2, 3, 64, 64)

    def terms(images: slice):  # type: ignore[no-untyped-def]
        outputs = type("Outputs", (), {"maps": [m[images] for m in maps], "picture": None})()
        return criterion(outputs, Batch(picture[images], labels[images]), False)

    def stacked(of):  # type: ignore[no-untyped-def]
        return torch.stack([torch.stack([t.total for t in of]), torch.stack([t.over for t in of])])

    whole, _ = total_of(terms(slice(0, 2)), 1, lambda values: values)
    halves = [terms(slice(0, 1)), terms(slice(1, 2))]
    both = sum(stacked(half) for half in halves)
    shares = [total_of(half, 2, lambda values: both)[0] for half in halves]
    assert float(sum(shares) / 2) == pytest.approx(float(whole), rel=1e-5)


def test_the_loss_reaches_the_detector_and_restoring_the_branch(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from edgekit.train.recipe import Restoring

    model = build("superyolo_small_mf", 2, super_resolution=True)
    criterion = AnchorCriterion(model, toy_recipe(tmp_path, super_resolution=Restoring(0.1)))
    sharp = torch.rand(1, 4, 128, 128)
    labels = [Targets(torch.tensor([[13.0, 11.5, 23.0, 24.5]]), torch.tensor([1]), NONE)]
    batch = Batch(functional.avg_pool2d(sharp, 2), labels, sharp)
    terms = criterion(model(batch.x_nchw), batch, False)
    assert [term.name for term in terms] == ["box", "obj", "cls", "restored", "restored"]
    torch.stack([term.total for term in terms]).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
