import json

import numpy as np
import pytest

from edgekit.data.dataset import load_image, load_infrared
from edgekit.data.vedai import SUPERYOLO_AS_RELEASED, SUPERYOLO_CLASSES, VEDAI_CLASSES, VEDAI_IDS, read_vedai
from edgekit.errors import DataError

# one box each of every class in use: name, then VEDAI id
CAR, MOTORCYCLE, BUS, VAN, PICKUP = 1, 7, 8, 9, 11


def one_file_line(name, box, class_id):
    x1, y1, x2, y2 = box
    return "{} 0 0 0.5 {} {} {} {} {} {} {} {} {} 1 0\n".format(name, x1, x2, x2, x1, y1, y1, y2, y2, class_id)


def per_image_line(box, class_id):
    x1, y1, x2, y2 = box
    return "0 0 0.5 {} 1 0 {} {} {} {} {} {} {} {}\n".format(class_id, x1, x2, x2, x1, y1, y1, y2, y2)


@pytest.fixture
def published(tmp_path, write_image):
    """NAME_co.png beside NAME_ir.png, one text file an image."""
    for name in ("00", "01", "02"):
        write_image(tmp_path / "images" / (name + "_co.png"), value=10)
        write_image(tmp_path / "images" / (name + "_ir.png"), channels=1, value=200)
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "00.txt").write_text(per_image_line((1, 2, 10, 8), CAR) + per_image_line((20, 2, 30, 8), MOTORCYCLE))
    (folder / "01.txt").write_text(per_image_line((1, 2, 10, 8), VAN) + per_image_line((50, 40, 90, 60), PICKUP))
    (folder / "02.txt").write_text(per_image_line((1, 2, 10, 8), BUS))
    return tmp_path


def test_pairs_and_the_eight_classes(published):
    dataset = read_vedai(str(published / "images"), str(published / "annotations"))
    assert dataset.classes == ("car", "pickup", "camping_car", "truck", "other", "tractor", "boat", "van")
    first, second, third = dataset.samples
    assert first.xyxy.tolist() == [[1, 2, 10, 8]] and first.class_id.tolist() == [0]
    assert second.xyxy.tolist() == [[1, 2, 10, 8], [50, 40, 64, 48]] and second.class_id.tolist() == [7, 1]
    assert len(third) == 0
    assert (load_image(first) == 10).all() and (load_infrared(first) == 200).all()


def test_a_motorcycle_is_no_van_except_as_released(published):
    paths = str(published / "images"), str(published / "annotations")
    assert read_vedai(*paths).box_counts()[7] == 1
    released = read_vedai(*paths, class_map=SUPERYOLO_AS_RELEASED)
    assert released.classes == tuple(SUPERYOLO_CLASSES) and released.box_counts()[7] == 2


def test_every_class_of_its_own(published):
    dataset = read_vedai(str(published / "images"), str(published / "annotations"), VEDAI_CLASSES)
    assert dataset.classes == tuple(VEDAI_IDS.values()) and sum(dataset.box_counts()) == 5


def test_one_file_of_all_images_and_folders_co_and_ir(tmp_path, write_image):
    for name in ("00", "01", "02"):
        write_image(tmp_path / "co" / (name + ".png"))
        write_image(tmp_path / "ir" / (name + ".png"))
    lines = one_file_line("01", (1, 2, 10, 8), PICKUP) + one_file_line("77", (1, 2, 10, 8), CAR)
    (tmp_path / "all.txt").write_text(lines)
    dataset = read_vedai(str(tmp_path), str(tmp_path / "all.txt"))
    assert [len(s) for s in dataset.samples] == [0, 1, 0]
    assert dataset.samples[1].infrared.endswith("01.png")
    (tmp_path / "all.txt").write_text(lines + "02 1 2 3\n")
    with pytest.raises(DataError, match=r"all\.txt:3: line is not name x y orientation"):
        read_vedai(str(tmp_path), str(tmp_path / "all.txt"))


def test_only_the_images_of_a_fold(published):
    paths = str(published / "images"), str(published / "annotations")
    assert len(read_vedai(*paths, names=["02", "00"])) == 2
    with pytest.raises(DataError, match="no colour image of 09"):
        read_vedai(*paths, names=["09"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (per_image_line((1, 2, 10, 8), 3), "class is none of VEDAI's .*(3)"),
        (per_image_line((1, 2, 1, 8), CAR), "box has no area"),
        (per_image_line((101, 2, 110, 8), CAR), "label outside the image"),
        ("1 2 3", "line is not x y orientation class"),
    ],
)
def test_one_malformed_line_is_named(published, line, message):
    (published / "annotations" / "02.txt").write_text(line)
    paths = str(published / "images"), str(published / "annotations")
    with pytest.raises(DataError, match=r"02\.txt:1: " + message):
        read_vedai(*paths)
    assert len(read_vedai(*paths, on_bad="drop").notes) == 1


def test_colour_alone_is_fine_but_a_missing_partner_is_not(published):
    paths = str(published / "images"), str(published / "annotations")
    (published / "images" / "01_ir.png").unlink()
    with pytest.raises(DataError, match="01_co.png has no infrared partner"):
        read_vedai(*paths)
    for name in ("00", "02"):
        (published / "images" / (name + "_ir.png")).unlink()
    assert all(s.infrared is None for s in read_vedai(*paths).samples)
    with pytest.raises(DataError, match="expected VEDAI's layout"):
        read_vedai(str(published), str(published / "annotations"))


def test_vedai_reference(reference_data):
    root = reference_data / "vedai_pairs"
    dataset = read_vedai(str(root / "images"), str(root / "annotations" / "pairs.json"), VEDAI_CLASSES)
    assert [len(s) for s in dataset.samples] == [1, 4, 11, 2]
    with open(str(root / "annotations" / "pairs.json")) as file:
        names = {c["id"]: c["name"] for c in json.load(file)["categories"]}
    assert set(names.values()) == set(dataset.classes)
    for sample in dataset.samples:
        colour, infrared = load_image(sample), load_infrared(sample)
        assert colour.shape[:2] == infrared.shape == (512, 512)
        assert not np.array_equal(colour[..., 0], infrared)
