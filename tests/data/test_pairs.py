import os

import cv2
import numpy as np
import pytest

from edgekit.data.dataset import Dataset, Sample, load_image
from edgekit.data.pairs import colour_in, infrared_alone, infrared_of, read_pair, with_infrared
from edgekit.errors import DataError


def picture(path, value, size=(20, 30)):
    os.makedirs(os.path.dirname(str(path)), exist_ok=True)
    cv2.imwrite(str(path), np.full(size, value, np.uint8))
    return str(path)


def dataset(*paths):
    none = np.zeros((0, 4), np.float32)
    samples = [Sample(p, 30, 20, none, np.zeros(0, np.int64), none, k) for k, p in enumerate(paths)]
    return Dataset("toy", ("a",), tuple(samples))


@pytest.mark.parametrize(
    ("colour", "infrared"),
    [("7_co.png", "7_ir.png"), ("co/7.png", "ir/7.png"), ("images/7.jpg", "infrared/7.jpg")],
)
def test_the_partner_is_found_in_every_layout(tmp_path, colour, infrared):
    path = picture(tmp_path / colour, 10)
    assert infrared_of(path) is None
    partner = picture(tmp_path / infrared, 200)
    assert infrared_of(path) == partner
    image, heat = read_pair(path)
    assert (image.shape, heat.shape, int(heat[0, 0])) == ((20, 30, 3), (20, 30), 200)


def test_partners_are_no_pictures_of_their_own(tmp_path):
    for name in ("1_co.png", "1_ir.png", "2_co.png", "2_ir.png"):
        picture(tmp_path / name, 50)
    assert [os.path.basename(p) for p in colour_in(str(tmp_path))] == ["1_co.png", "2_co.png"]


def test_a_missing_partner_is_one_line(tmp_path):
    path = picture(tmp_path / "1_co.png", 50)
    with pytest.raises(DataError, match=r"1_co.png has no infrared partner; pairs lie as NAME_co.png beside"):
        read_pair(path)
    with pytest.raises(DataError, match="has no infrared partner"):
        with_infrared(dataset(path))


def test_a_partner_of_another_size_is_refused(tmp_path):
    path = picture(tmp_path / "1_co.png", 50)
    picture(tmp_path / "1_ir.png", 50, (10, 10))
    with pytest.raises(DataError, match="30x20, its infrared partner 10x10; a pair is registered"):
        read_pair(path)


def test_infrared_alone_makes_it_the_picture(tmp_path):
    paths = [picture(tmp_path / "images" / name, 10) for name in ("1.png", "2.png")]
    for name in ("1.png", "2.png"):
        picture(tmp_path / "infrared" / name, 200)
    seen = infrared_alone(dataset(*paths))
    assert [int(load_image(sample)[0, 0, 0]) for sample in seen.samples] == [200, 200]
    assert [sample.infrared for sample in with_infrared(dataset(*paths)).samples] == [
        p.replace("images", "infrared") for p in paths
    ]


def test_a_set_of_a_thermal_camera_stays_and_a_torn_one_is_refused(tmp_path):
    first, second = (picture(tmp_path / "images" / name, 10) for name in ("1.png", "2.png"))
    assert infrared_alone(dataset(first, second)).samples[0].image == first
    picture(tmp_path / "infrared" / "1.png", 200)
    with pytest.raises(DataError, match="2.png has no infrared partner"):
        infrared_alone(dataset(first, second))
