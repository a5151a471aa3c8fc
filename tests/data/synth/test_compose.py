import numpy as np
import pytest

from edgekit.data.synth.compose import Patch, fixed, mark, paste


def _patch(x, y, alpha=255):
    bgrh = np.full((3, 5, 4), 200 * alpha // 255, np.uint8)
    return Patch(x, y, bgrh, np.full((3, 5), alpha, np.uint8))


def test_an_opaque_patch_replaces_and_a_half_one_mixes():
    canvas = np.full((10, 12, 4), 100, np.uint8)
    assert paste(canvas, _patch(2, 4)) == (2, 4, 7, 7)
    assert (canvas[4:7, 2:7] == 200).all() and (canvas[:4] == 100).all() and (canvas[:, 7:] == 100).all()
    paste(canvas, _patch(6, 0, alpha=128))
    assert np.abs(canvas[0:3, 6:11].astype(int) - 150).max() <= 1


@pytest.mark.parametrize(
    ("x", "y", "box"), [(-3, -1, (0, 0, 2, 2)), (10, 8, (10, 8, 12, 10)), (-5, 0, None), (12, 0, None), (0, 10, None)]
)
def test_only_the_part_inside_is_drawn(x, y, box):
    canvas = np.zeros((10, 12, 4), np.uint8)
    assert paste(canvas, _patch(x, y)) == box
    count = 0 if box is None else (box[2] - box[0]) * (box[3] - box[1])
    assert np.count_nonzero(canvas[:, :, 0]) == count


def test_a_pixel_is_marked_from_half_cover_on():
    ids = np.zeros((10, 12), np.uint16)
    patch = Patch(1, 1, np.zeros((1, 3, 4), np.uint8), np.array([[127, 128, 255]], np.uint8))
    mark(ids, patch, (1, 1, 4, 2), 7)
    assert ids[1].tolist()[:5] == [0, 0, 7, 7, 0]


def test_fixed_point_has_sixteenths():
    assert fixed(np.array([[1.0, 2.5]])).tolist() == [[16, 40]]
