import platform

import cv2
import numpy as np
import pytest

from edgekit.ops import letterbox
from edgekit.ops.tables import column_taps, taps
from edgekit.process import Preprocess, prepare

# OpenCV's wheels for ARM resize by code of the processor's maker at some ratios, and round otherwise.
OPENCV_LSB = 0 if platform.machine() in ("x86_64", "AMD64") else 2

SIZES = [
    # source height and width, target height and width
    ((1, 1), (4, 5)),
    ((31, 1), (96, 3)),
    ((1, 65), (2, 33)),
    ((7, 5), (96, 80)),
    ((63, 65), (64, 64)),
    ((64, 96), (64, 96)),
    ((96, 128), (48, 64)),
    ((99, 147), (33, 49)),
    ((333, 501), (64, 96)),
    ((480, 640), (416, 416)),
    ((540, 960), (117, 208)),
]


def picture(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def planes_of(image, size_hw, dtype=np.uint8, **more):
    planes = np.full((3,) + size_hw, 77, dtype)
    place = {"top": 0, "left": 0, "height": size_hw[0], "width": size_hw[1], "reverse": False, "pad": 114}
    place.update(more)
    assert letterbox.fill(image, planes, **place)
    return planes


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_the_reference_is_opencv_on_x86_bit_for_bit(source, target):
    image = picture(*source)
    expected = cv2.resize(image, target[::-1], interpolation=cv2.INTER_LINEAR)
    found = letterbox.resize_reference(image, *target)
    np.testing.assert_allclose(found.astype(int), expected, rtol=0, atol=OPENCV_LSB)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_native_is_the_reference_bit_for_bit(opened, source, target):
    image = picture(*source)
    expected = letterbox.resize_reference(image, *target).transpose(2, 0, 1)
    np.testing.assert_array_equal(planes_of(image, target), expected)


def test_every_ratio_of_a_grid_is_the_reference(opened):
    for source in (2, 3, 17, 64):
        for target in range(1, 70):
            image = picture(source, source + 1, target)
            expected = letterbox.resize_reference(image, target, target + 2).transpose(2, 0, 1)
            np.testing.assert_array_equal(planes_of(image, (target, target + 2)), expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_native_pads_as_the_reference(opened, reverse):
    image = picture(37, 91)
    place = {"top": 5, "left": 3, "height": 20, "width": 50, "reverse": reverse, "pad": 9}
    expected = np.zeros((3, 31, 64), np.uint8)
    letterbox.letterbox_reference(image, expected, **place)
    np.testing.assert_array_equal(planes_of(image, (31, 64), **place), expected)


def test_native_floats_are_pixel_times_gain_plus_offset(opened):
    image = picture(37, 91)
    gain, offset = np.float32([0.017, 1.0, -3.3]), np.float32([-1.8, 0.0, 0.1])
    place = {"top": 5, "left": 3, "height": 20, "width": 50, "reverse": True, "pad": 200}
    found = planes_of(image, (31, 65), np.float32, gain=gain, offset=offset, **place)
    expected = np.zeros((3, 31, 65), np.uint8)
    letterbox.letterbox_reference(image, expected, **place)
    np.testing.assert_array_equal(found, expected.astype(np.float32) * gain[:, None, None] + offset[:, None, None])


def test_takes_a_crop_and_leaves_its_surroundings_alone(opened):
    whole = picture(60, 80)
    crop = whole[7:50, 11:70]
    np.testing.assert_array_equal(planes_of(crop, (32, 33)), planes_of(crop.copy(), (32, 33)))


@pytest.mark.parametrize(
    "image",
    [
        picture(8, 8)[:, ::-1],
        picture(8, 8)[::-1],
        picture(8, 8)[:, ::2],
        picture(8, 8).astype(np.float32),
        picture(8, 8)[..., :1],
        np.zeros((8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_leaves_to_others_what_lies_otherwise_in_memory(image):
    planes = np.full((3, 4, 4), 77, np.uint8)
    assert not letterbox.fill(image, planes, 0, 0, 4, 4, False, 0)
    assert (planes == 77).all()


def test_leaves_to_others_what_is_too_large():
    image = np.zeros((1, 65537, 3), np.uint8)
    assert not letterbox.fill(image, np.zeros((3, 4, 4), np.uint8), 0, 0, 4, 4, False, 0)


def test_refuses_a_place_outside_of_the_planes(opened):
    with pytest.raises(ValueError, match=r"4 x 5 pixels from \(0, 0\) do not fit"):
        letterbox.fill(picture(8, 8), np.zeros((3, 4, 4), np.uint8), 0, 0, 4, 5, False, 0)
    with pytest.raises(ValueError, match="gain and an offset of three"):
        letterbox.fill(picture(8, 8), np.zeros((3, 4, 4), np.float32), 0, 0, 4, 4, False, 0, np.float32([1]), None)


def test_taps_of_the_same_size_are_the_pixels():
    first, weight0, weight1 = taps(5, 5)
    assert first.tolist() == [0, 1, 2, 3, 4]
    assert weight0.tolist() == [2048] * 5
    assert not weight1.any()


def test_columns_beyond_the_border_are_the_border():
    first, weight0, weight1 = column_taps(2, 8)
    assert first.tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert weight0.tolist() == [2048, 2048, 1792, 1280, 768, 256, 2048, 2048]
    assert weight1.tolist() == [0, 0, 256, 768, 1280, 1792, 0, 0]


@pytest.mark.parametrize("mode", ["topleft", "center", "stretch"])
@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("size", [(333, 501), (96, 96), (288, 96), (31, 1), (50, 300)])
def test_prepare_gives_the_same_with_the_library_and_without(opened, mode, rgb, size, monkeypatch):
    spec = Preprocess(96, 112, mode, 114, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), 1.0, rgb)
    for value in (spec, Preprocess(96, 112, mode, rgb=rgb), Preprocess(96, 112, mode, scale=1 / 255, rgb=rgb)):
        image = picture(*size)
        with_it, place = prepare(image, value)
        with monkeypatch.context() as patch:
            patch.setenv("EDGEKIT_NATIVE", "off")
            without, same_place = prepare(image, value)
        tolerance = OPENCV_LSB * value.scale / min(value.std) * 1.001
        np.testing.assert_allclose(with_it, without, rtol=0, atol=tolerance)
        assert place == same_place
