import json

import pytest

from edgekit.data.dataset import EVERY_CLASS
from edgekit.data.hit_uav import HIT_UAV_CLASSES, read_hit_uav
from edgekit.errors import DataError

# as published: ids from 0, 'filename' and 'annotation', no crowd flags
CONTENT = {
    "images": [{"id": i, "filename": "{}.jpg".format(i), "width": 64, "height": 48} for i in (1, 2, 3)],
    "categories": [{"id": i, "name": name} for i, name in enumerate(HIT_UAV_CLASSES + ("DontCare",))],
    "annotation": [
        {"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 2, 5, 9], "area": 45},
        {"id": 2, "image_id": 1, "category_id": 4, "bbox": [10, 10, 20, 20], "area": 400},
        {"id": 3, "image_id": 3, "category_id": 2, "bbox": [30, 30, 5, 6], "area": 30},
    ],
}


@pytest.fixture
def root(tmp_path, write_image):
    for number in (1, 2, 3):
        write_image(tmp_path / "val" / "{}.jpg".format(number))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "val.json").write_text(json.dumps(CONTENT))
    return tmp_path


def test_published_layout(root):
    dataset = read_hit_uav(str(root), "val")
    assert dataset.classes == HIT_UAV_CLASSES
    assert dataset.box_counts() == (1, 0, 1, 0)
    assert dataset.samples[0].ignore_class_id.tolist() == [EVERY_CLASS]


def test_a_malformed_label_is_named(root):
    content = json.loads(json.dumps(CONTENT))
    content["annotation"][2]["bbox"] = [30, 30, -5, 6]
    (root / "annotations" / "val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="annotation 3: box has no area"):
        read_hit_uav(str(root), "val")
    assert read_hit_uav(str(root), "val", on_bad="drop").box_counts() == (1, 0, 0, 0)


def test_other_classes_are_refused(root):
    content = dict(CONTENT, categories=CONTENT["categories"][:3], annotation=[])
    (root / "annotations" / "val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="has the classes Person, Car, Bicycle, expected"):
        read_hit_uav(str(root), "val")


@pytest.mark.parametrize(("split", "images", "boxes"), [("train", 1000, 8814), ("val", 200, 1903)])
def test_hit_uav_reference(reference_data, split, images, boxes):
    dataset = read_hit_uav(str(reference_data / "hit_uav"), split)
    regions = sum(len(s.ignore_xyxy) for s in dataset.samples)
    assert len(dataset) == images
    assert sum(dataset.box_counts()) + regions == boxes and regions > 0
