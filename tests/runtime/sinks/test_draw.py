import numpy as np
import pytest

from edgekit.detections import Detections
from edgekit.runtime.sinks.draw import class_colour, draw_detections, draw_status

CLASSES = ("person", "car")


def found(*rows, tracks=None):
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    count = len(boxes)
    track_id = None if tracks is None else np.array(tracks)
    return Detections(boxes, np.full(count, 0.5, np.float32), np.array([r[4] for r in rows], np.int64), track_id)


def canvas():
    return np.zeros((480, 640, 3), np.uint8)


def test_a_box_has_its_class_colour_and_nothing_inside():
    image = canvas()
    draw_detections(image, found((100, 200, 220, 300, 1)), CLASSES)
    assert tuple(image[250, 100]) == class_colour(1)
    assert tuple(image[200, 150]) == class_colour(1)
    assert not image[202:299, 102:219].any()


def test_a_tiny_box_has_no_label_without_a_track():
    image = canvas()
    draw_detections(image, found((300, 200, 308, 212, 0)), CLASSES)
    image[200:213, 300:309] = 0
    assert not image.any()


def test_a_tiny_box_has_its_track_number():
    image = canvas()
    draw_detections(image, found((300, 200, 308, 212, 0), tracks=[5]), CLASSES)
    assert image[180:199, 300:330].any()
    assert not image[202:211, 302:307].any()


def test_no_label_hides_another_box():
    image = canvas()
    upper, lower = (100, 180, 200, 198, 0), (100, 199, 200, 260, 1)
    draw_detections(image, found(upper, lower), CLASSES)
    assert not image[182:197, 102:199].any()  # the lower one's label is not in the upper box
    assert image[262:280, 100:190].any()  # but below its own


@pytest.mark.parametrize("box", [(-50, -50, 20, 20, 0), (600, 440, 700, 520, 1), (0, 0, 640, 480, 1)])
def test_boxes_over_the_border(box):
    draw_detections(canvas(), found(box, tracks=[3]), CLASSES)


def test_no_boxes():
    image = canvas()
    draw_detections(image, Detections.empty(), CLASSES)
    assert not image.any()


def test_status_stays_in_its_corner():
    image = np.full((480, 640, 3), 200, np.uint8)
    draw_status(image, found((1, 2, 3, 4, 1), (5, 6, 7, 8, 1)), CLASSES, "tiny | 8.1 ms")
    assert image[:15, :60].mean() < 150
    assert (image[80:] == 200).all()
    assert (image == np.array(class_colour(1))).all(axis=2).any()  # the legend


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (2160, 3840)])
def test_any_picture_size(size):
    image = np.zeros(size + (3,), np.uint8)
    draw_detections(image, found((0, 0, 10, 10, 0), tracks=[1]), CLASSES)
    draw_status(image, found((0, 0, 10, 10, 0)), CLASSES, "text")
