from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.process import Preprocess, letterbox_of, prepare

RNG = np.random.RandomState(0)


def picture(height, width):
    return RNG.randint(0, 256, (height, width, 3)).astype(np.uint8)


def yolox_preproc(image, size_hw):
    """The demo code of YOLOX, as an oracle."""
    canvas = np.full((size_hw[0], size_hw[1], 3), 114, np.uint8)
    ratio = min(size_hw[0] / image.shape[0], size_hw[1] / image.shape[1])
    size = int(image.shape[1] * ratio), int(image.shape[0] * ratio)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    canvas[: resized.shape[0], : resized.shape[1]] = resized
    return canvas.transpose(2, 0, 1)[None].astype(np.float32)


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (333, 501), (96, 96), (288, 96), (96, 480), (31, 1)])
def test_topleft_is_yolox_preproc_bit_for_bit(size):
    image = picture(*size)
    x, place = prepare(image, Preprocess(96, 96))
    np.testing.assert_array_equal(x, yolox_preproc(image, (96, 96)))
    assert (place.pad_x, place.pad_y) == (0, 0)


def test_normalises_in_the_order_of_the_network():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:] = (10, 20, 30)
    spec = Preprocess(4, 4, mean=(1.0, 2.0, 3.0), std=(0.5, 1.0, 2.0), scale=0.1, rgb=True)
    x, _ = prepare(image, spec)
    np.testing.assert_allclose(x[0, :, 2, 2], [(3 - 1) / 0.5, (2 - 2) / 1.0, (1 - 3) / 2.0], rtol=1e-6, atol=1e-6)
    x, _ = prepare(image, Preprocess(4, 4, mean=(1.0, 2.0, 3.0), std=(0.5, 1.0, 2.0), scale=0.1))
    np.testing.assert_allclose(x[0, :, 2, 2], [(1 - 1) / 0.5, (2 - 2) / 1.0, (3 - 3) / 2.0], rtol=1e-6, atol=1e-6)


def test_padding_is_normalised_like_a_pixel():
    image = np.full((10, 20, 3), 77, np.uint8)
    x, _ = prepare(image, Preprocess(20, 20, letterbox="center", pad_value=77, mean=(9, 9, 9), std=(3, 3, 3)))
    assert np.ptp(x) == 0


def test_center_splits_the_padding():
    image = np.full((10, 20, 3), 200, np.uint8)
    x, place = prepare(image, Preprocess(21, 20, letterbox="center"))
    assert (place.pad_x, place.pad_y) == (0, 5)
    assert (x[0, 0, :5] == 114).all()
    assert (x[0, 0, 5:15] == 200).all()
    assert (x[0, 0, 15:] == 114).all()


def test_stretch_fills_everything():
    x, place = prepare(np.full((10, 20, 3), 200, np.uint8), Preprocess(30, 30, letterbox="stretch"))
    assert (x == 200).all()
    assert (place.scale_x, place.scale_y) == (1.5, 3.0)


def test_fills_the_buffer_it_is_given_completely():
    out = np.full((1, 3, 48, 64), np.nan, np.float32)
    image = picture(37, 91)
    for letterbox in ("topleft", "center", "stretch"):
        spec = Preprocess(48, 64, letterbox=letterbox)
        x, _ = prepare(image, spec, out=out)
        assert x is out
        np.testing.assert_array_equal(x, prepare(image, spec)[0])


def test_takes_a_crop_without_a_copy():
    image = picture(100, 100)
    crop = image[10:60, 20:90]
    spec = Preprocess(50, 70)
    np.testing.assert_array_equal(prepare(crop, spec)[0], prepare(crop.copy(), spec)[0])


def test_odd_whole_ratio_equals_bilinear():
    image = picture(99, 147)
    x, _ = prepare(image, Preprocess(33, 49))
    expected = cv2.resize(image, (49, 33), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(x[0].transpose(1, 2, 0), expected)


@pytest.mark.parametrize("letterbox", ["topleft", "center", "stretch"])
@pytest.mark.parametrize("size", [(1080, 1920), (511, 63), (1, 1), (640, 640)])
def test_boxes_come_back(letterbox, size):
    place = letterbox_of(size[1], size[0], Preprocess(416, 352, letterbox=letterbox))
    boxes = np.array(
        [[0, 0, size[1], size[0]], [size[1] * 0.2, size[0] * 0.3, size[1] * 0.7, size[0] * 0.9]], np.float32
    )
    np.testing.assert_allclose(place.to_original(place.to_network(boxes)), boxes, atol=0.01)
    assert place.to_network(boxes).dtype == np.float32


def test_boxes_are_clipped_to_the_frame():
    place = letterbox_of(100, 50, Preprocess(100, 100))
    assert place.to_original(np.array([[-5.0, -5.0, 200.0, 90.0]])).tolist() == [[0, 0, 100, 50]]


def test_json_round_trip():
    spec = Preprocess(320, 416, "center", 0, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), 1 / 255, True)
    assert Preprocess.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "at least 1 x 1"),
        ({"letterbox": "middle"}, "letterbox is one of"),
        ({"std": (1.0, 0.0, 1.0)}, "std not 0"),
        ({"mean": (1.0,)}, "3 values"),
        ({"pad_value": 300}, "0 to 255"),
    ],
)
def test_refuses_nonsense(change, message):
    values = dict(Preprocess(8, 8).to_json(), **change)
    with pytest.raises(ValueError, match=message):
        Preprocess.from_json(values)


def test_refuses_a_buffer_of_another_shape():
    with pytest.raises(ValueError, match="out is float32"):
        prepare(picture(8, 8), Preprocess(8, 8), out=np.zeros((1, 3, 8, 9), np.float32))


PAIRS = Preprocess(64, 96, "center", 114, (1.0, 2.0, 3.0, 4.0), (2.0, 4.0, 8.0, 16.0), 0.5, modality="rgb+ir")
COLOUR = Preprocess(64, 96, "center", 114, (1.0, 2.0, 3.0), (2.0, 4.0, 8.0), 0.5)


@pytest.mark.parametrize("size", [(100, 120), (64, 80), (31, 17)])
@pytest.mark.parametrize("rgb", [False, True])
def test_a_pair_is_the_colour_image_as_ever_and_infrared_behind_it(size, rgb):
    random = np.random.RandomState(3)
    image = random.randint(0, 256, size + (3,)).astype(np.uint8)
    infrared = random.randint(0, 256, size).astype(np.uint8)
    x, place = prepare(image, replace(PAIRS, rgb=rgb), infrared_hw=infrared)
    expected, same = prepare(image, replace(COLOUR, rgb=rgb))
    assert x.shape == (1, 4, 64, 96) and place == same
    assert np.array_equal(x[:, :3], expected)
    grey = Preprocess(64, 96, "center", 114, (4.0,) * 3, (16.0,) * 3, 0.5)
    alone, _ = prepare(np.ascontiguousarray(np.stack([infrared] * 3, axis=2)), grey)
    assert np.abs(x[0, 3] - alone[0, 0]).max() <= 0.5 / 16  # a level at most, where two libraries resize


def test_a_pair_needs_four_values_of_mean_and_std():
    with pytest.raises(ValueError, match="mean and std are 4 values each"):
        Preprocess(64, 96, modality="rgb+ir")
    with pytest.raises(ValueError, match="modality is one of rgb, rgb.ir, got 'depth'"):
        Preprocess(64, 96, modality="depth")


def test_infrared_of_another_size_or_none_is_one_line():
    image = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(DataError, match="comes without infrared; give pairs"):
        prepare(image, PAIRS)
    with pytest.raises(DataError, match=r"\(20, 29\) uint8, its colour image \(20, 30, 3\)"):
        prepare(image, PAIRS, infrared_hw=np.zeros((20, 29), np.uint8))


def test_a_network_of_one_camera_does_not_read_infrared():
    image = np.zeros((20, 30, 3), np.uint8)
    assert np.array_equal(prepare(image, COLOUR, infrared_hw=np.zeros((3, 3)))[0], prepare(image, COLOUR)[0])
