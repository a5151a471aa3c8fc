import os
import subprocess
import sys

import pytest

from edgekit.config import dataclass_from_dict
from edgekit.data import FORMATS, DatasetSpec, read_dataset
from edgekit.errors import ConfigError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_a_recipe_table_reads_a_dataset(tmp_path, write_image):
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.5")
    table = {"format": "yolo", "images": str(tmp_path), "classes": ["car", "bus"], "name": "mine"}
    dataset = read_dataset(dataclass_from_dict(table, DatasetSpec, "recipe"))
    assert dataset.name == "mine" and dataset.classes == ("car", "bus") and dataset.box_counts() == (0, 1)


def test_an_unknown_format_or_policy_is_refused():
    with pytest.raises(ConfigError, match="format is 'voc', expected one of coco, yolo, visdrone, vedai, dota"):
        dataclass_from_dict({"format": "voc", "images": "x"}, DatasetSpec, "recipe")
    with pytest.raises(ValueError, match="on_bad is 'skip'"):
        DatasetSpec("coco", "x", on_bad="skip")


@pytest.mark.parametrize("name", ["coco", "vedai", "hit_uav"])
def test_a_format_that_needs_annotations_says_so(name):
    with pytest.raises(ConfigError, match="format '{}' needs annotations".format(name)):
        read_dataset(DatasetSpec(name, "images"))


def test_every_format_reads_reference_or_complains(reference_data):
    spec = DatasetSpec("hit_uav", str(reference_data / "hit_uav"), "val", classes=("Car",))
    assert read_dataset(spec).classes == ("Car",)
    pairs = reference_data / "vedai_pairs"
    spec = DatasetSpec("vedai", str(pairs / "images"), str(pairs / "annotations" / "pairs.json"))
    assert len(read_dataset(spec).classes) == 11
    root = reference_data / "coco_val_subset"
    spec = DatasetSpec("coco", str(root / "images" / "val"), str(root / "annotations" / "val.json"))
    assert len(read_dataset(spec)) == 114


def test_readers_import_no_opencv():
    modules = ["edgekit.data"] + ["edgekit.data." + name for name in FORMATS]
    code = "import sys; sys.modules['cv2'] = None; import " + ", ".join(modules)
    assert subprocess.call([sys.executable, "-c", code], cwd=ROOT) == 0
