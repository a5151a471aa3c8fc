import copy
import json

import numpy as np
import pytest

from edgekit.data.coco import read_coco
from edgekit.data.dataset import EVERY_CLASS, load_image
from edgekit.errors import DataError

CONTENT = {
    "images": [
        {"id": 7, "file_name": "a.png", "width": 64, "height": 48},
        {"id": 3, "file_name": "b.png", "width": 32, "height": 32},
        {"id": 5, "file_name": "c.png", "width": 64, "height": 48},
    ],
    "categories": [{"id": 9, "name": "bus"}, {"id": 2, "name": "car"}, {"id": 5, "name": "DontCare"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 10, 20], "area": 123.5, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [60, 40, 10, 20], "area": 32, "iscrowd": 0},
        {"id": 3, "image_id": 7, "category_id": 2, "bbox": [0, 0, 30, 30], "area": 900, "iscrowd": 1},
        {"id": 4, "image_id": 5, "category_id": 5, "bbox": [5, 5, 6, 7], "area": 42},
        {"id": 5, "image_id": 5, "category_id": 9, "bbox": [5, 5, 6, 7], "area": 42, "ignore": 1},
    ],
}


@pytest.fixture
def folder(tmp_path, write_image):
    write_image(tmp_path / "images" / "a.png")
    write_image(tmp_path / "images" / "b.png", 32, 32)
    write_image(tmp_path / "images" / "c.png")
    return tmp_path


def read(folder, content=CONTENT, **options):
    path = folder / "set.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_coco(str(path), str(folder / "images"), **options)


def with_label(**changes):
    content = copy.deepcopy(CONTENT)
    content["annotations"][1].update(changes)
    return content


def test_boxes_classes_and_ignored_regions(folder):
    dataset = read(folder)
    assert dataset.name == "set"
    assert dataset.classes == ("car", "bus")
    first, empty, third = dataset.samples
    assert [s.image_id for s in dataset.samples] == [7, 3, 5]
    assert first.xyxy.tolist() == [[1, 2, 11, 22], [60, 40, 64, 48]]
    assert first.class_id.tolist() == [1, 0]
    assert first.area.tolist() == [123.5, 32.0]
    assert first.ignore_xyxy.tolist() == [[0, 0, 30, 30]] and first.ignore_class_id.tolist() == [0]
    assert empty.xyxy.shape == (0, 4) and empty.xyxy.dtype == np.float32
    assert third.xyxy.shape == (0, 4) and third.ignore_class_id.tolist() == [EVERY_CLASS, 1]
    assert dataset.notes == ()


def test_only_the_chosen_classes(folder):
    dataset = read(folder, classes=["bus"])
    assert dataset.classes == ("bus",)
    assert dataset.samples[0].class_id.tolist() == [0]
    assert len(dataset) == 3
    with pytest.raises(DataError, match="no class 'tram'"):
        read(folder, classes=["tram"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [70, 40, 10, 20]}, r"annotation 2: label outside the image \(bbox \[70, 40, 10, 20\] in a 64x48"),
        ({"bbox": [60, 40, 0, 20]}, "annotation 2: box has no area"),
        ({"bbox": [float("nan"), 40, 10, 20]}, "annotation 2: box is not finite"),
        ({"bbox": [1, 2, 3]}, "annotation 2: bbox is not four numbers"),
        ({"bbox": "none"}, "annotation 2: bbox is not four numbers"),
        ({"bbox": None}, "annotation 2: bbox is not four numbers"),
        ({"area": -1}, "annotation 2: area is not a finite number"),
        ({"bbox": [60, 40, "x", 20]}, "annotation 2: bbox is not four numbers"),
        ({"bbox": [60, 40, -5, 20], "area": 9}, "annotation 2: box has no area"),
        ({"category_id": 4}, "annotation 2: category_id is not among the categories"),
        ({"category_id": [2]}, "annotation 2: category_id is not among the categories"),
        ({"image_id": 99}, "annotation 2: image_id is not among the images"),
    ],
)
def test_one_malformed_label_stops_or_is_dropped(folder, changes, message):
    with pytest.raises(DataError, match=message + ".*on_bad='drop'"):
        read(folder, with_label(**changes))
    dropped = read(folder, with_label(**changes), on_bad="drop")
    assert dropped.box_counts() == (0, 1)
    assert len(dropped.notes) == 1 and dropped.notes[0].startswith("1 left out: ")


def test_an_absent_image_file_is_named(folder):
    (folder / "images" / "b.png").unlink()
    with pytest.raises(DataError, match=r"image file is not in .*images \(b.png\)"):
        read(folder)
    assert [s.image_id for s in read(folder, on_bad="drop").samples] == [7, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "holds a JSON list, expected COCO's object"),
        ("{}", "no list 'images'"),
        (dict(CONTENT, categories=[{"id": 1}]), "a category has no id or name"),
        (dict(CONTENT, categories=[{"id": float("inf"), "name": "car"}]), "a category has no id or name"),
        (dict(CONTENT, categories=CONTENT["categories"] * 2), "category id 2 is there twice"),
        (dict(CONTENT, images=CONTENT["images"] * 2), "image id 7 is there twice"),
        (dict(CONTENT, images=[{"id": 1, "file_name": "a.png"}]), r"images\[0\] is .*expected id, file_name"),
    ],
)
def test_a_malformed_file_is_named(folder, content, message):
    with pytest.raises(DataError, match="set.json.*" + message):
        read(folder, content)


def test_a_missing_or_binary_file_is_named(folder):
    with pytest.raises(DataError, match="cannot read .*none.json"):
        read_coco(str(folder / "none.json"), str(folder))
    with pytest.raises(DataError, match="not a text file"):
        read_coco(str(folder / "images" / "a.png"), str(folder))


def test_coco_reference(reference_data):
    root = reference_data / "coco_val_subset"
    dataset = read_coco(str(root / "annotations" / "val.json"), str(root / "images" / "val"))
    assert (len(dataset), len(dataset.classes)) == (114, 80)
    assert dataset.classes[0] == "person" and dataset.classes[79] == "toothbrush"
    boxes, regions = sum(len(s) for s in dataset.samples), sum(len(s.ignore_xyxy) for s in dataset.samples)
    assert boxes + regions == 930
    assert load_image(dataset.samples[0]).shape[2] == 3
