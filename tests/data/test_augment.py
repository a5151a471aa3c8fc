import numpy as np
import pytest

from edgekit.data.augment import (
    Labelled,
    affine,
    flip_lr,
    flip_ud,
    gain_bias,
    hsv,
    mixup,
    mosaic,
    random_crop,
)

_LEVELS = (40, 80, 160, 220)


def scene(width=97, height=63, colour=False):
    """A dark picture with one bright rectangle per box: its pixels say where the box has to be."""
    boxes = np.array([[10, 5, 30, 20], [50, 30, 62, 55], [80, 8, 92, 12]], np.float32)
    image = np.zeros((height, width), np.uint8)
    for level, (x1, y1, x2, y2) in zip(_LEVELS[1:], boxes.astype(int)):
        image[y1:y2, x1:x2] = level
    if colour:
        image = np.repeat(image[..., None], 3, axis=2)
    return Labelled(image, boxes, np.array([0, 1, 2], np.int64), np.zeros((0, 4), np.float32))


def pixels_of(item, class_id):
    """Tight box around the pixels of the rectangle of that class."""
    level = _LEVELS[1 + class_id]
    rows, columns = np.nonzero(np.abs(item.image.astype(int) - level) <= 12)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)


@pytest.mark.parametrize("flip", [flip_lr, flip_ud])
def test_flip_moves_boxes_with_their_pixels(flip):
    item = flip(scene())
    for box, class_id in zip(item.xyxy, item.class_id):
        np.testing.assert_array_equal(box, pixels_of(item, class_id))
    twice = flip(item)
    np.testing.assert_array_equal(twice.image, scene().image)
    np.testing.assert_array_equal(twice.xyxy, scene().xyxy)


def test_affine_by_whole_numbers_is_exact():
    item = affine(scene(), (2.0, 2.0), (-6.0, 4.0), (200, 140))
    assert item.image.shape == (140, 200)
    for box, class_id in zip(item.xyxy.astype(int), item.class_id):
        x1, y1, x2, y2 = box
        assert (item.image[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] == _LEVELS[1 + class_id]).all()
        assert (item.image[y1:y2, x1 - 2] == 0).all() and (item.image[y1:y2, x2 + 1] == 0).all()
        assert (item.image[y1 - 2, x1:x2] == 0).all() and (item.image[y2 + 1, x1:x2] == 0).all()


def test_box_mostly_cut_off_becomes_an_ignored_region():
    item = affine(scene(), (1.0, 1.0), (-25.0, 0.0), (97, 63), min_visible=0.35)
    assert item.class_id.tolist() == [1, 2]
    np.testing.assert_allclose(item.ignore_xyxy, [[0, 5, 5, 20]])


def test_box_wholly_outside_leaves_nothing():
    item = affine(scene(), (1.0, 1.0), (-40.0, 0.0), (97, 63))
    assert item.class_id.tolist() == [1, 2]
    assert len(item.ignore_xyxy) == 0


def test_ignored_regions_move_and_stay_ignored():
    start = scene()._replace(ignore_xyxy=np.array([[0, 0, 10, 10], [90, 50, 97, 63]], np.float32))
    item = affine(start, (2.0, 2.0), (0.0, 0.0), (100, 100))
    assert [0, 0, 20, 20] in item.ignore_xyxy.tolist()
    assert item.ignore_xyxy.max() <= 100


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("make", ["crop", "mosaic"])
def test_labels_stay_on_their_pixels_and_inside(make, seed):
    rng = np.random.default_rng(seed)
    if make == "crop":
        item = random_crop(scene(), (64, 64), rng)
    else:
        item = mosaic([scene()] * 4, (96, 64), rng)
    height, width = item.image.shape
    assert len(item.xyxy) == len(item.class_id)
    for box, class_id in zip(item.xyxy, item.class_id):
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
        x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
        assert abs(int(item.image[y, x]) - _LEVELS[1 + class_id]) <= 12


def test_crop_with_focus_holds_an_object():
    rng = np.random.default_rng(0)
    assert all(len(random_crop(scene(), (32, 32), rng, scale=(1, 1), focus=1.0).xyxy) for _ in range(20))


def test_crop_of_an_empty_picture():
    empty = Labelled(
        np.zeros((40, 30), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    )
    item = random_crop(empty, (64, 64), np.random.default_rng(0))
    assert item.image.shape == (64, 64)
    assert len(item.xyxy) == 0
    assert (item.image == 114).any()


def test_same_seed_same_sample():
    first, second = (mosaic([scene()] * 4, (64, 64), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.xyxy, second.xyxy)


def test_mosaic_needs_four():
    with pytest.raises(ValueError, match="made of 4 items, got 3"):
        mosaic([scene()] * 3, (64, 64), np.random.default_rng(0))


def test_mixup_keeps_both_sets_of_boxes():
    item = mixup(scene(), flip_lr(scene()), 0.5)
    assert len(item.xyxy) == 6
    with pytest.raises(ValueError, match="one size"):
        mixup(scene(), scene(width=80), 0.5)


def test_gain_bias_saturates():
    item = gain_bias(scene(), 2.0, 10.0)
    assert item.image.min() == 10
    assert item.image.max() == 255
    np.testing.assert_array_equal(item.xyxy, scene().xyxy)


def test_hsv_is_the_identity_at_no_change_and_for_colour_only():
    colour = scene(colour=True)
    assert np.abs(hsv(colour, 0.0, 1.0, 1.0).image.astype(int) - colour.image.astype(int)).max() <= 1
    with pytest.raises(ValueError, match="needs a .H, W, 3. image"):
        hsv(scene(), 0.0, 1.0, 1.0)
