import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.train.datasets import open_sets
from edgekit.train.loop import train
from edgekit.train.recipe import DataSet
from tests.train.toys import CLASSES, squares, toy_recipe


def coco_folder(folder: Path, classes: tuple[str, ...] = CLASSES) -> tuple[str, str]:
    """Six squares with labels, and one region to leave alone."""
    (folder / "images").mkdir(parents=True)
    images, rows = [], []
    for k, item in enumerate(squares(6)):
        cv2.imwrite(str(folder / "images" / f"{k}.png"), item.image)
        images.append({"id": k + 1, "file_name": f"{k}.png", "width": 96, "height": 96})
        x1, y1, x2, y2 = item.xyxy[0].tolist()
        row = {"image_id": k + 1, "category_id": int(item.class_id[0]) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        rows.append({"id": len(rows) + 1, "area": (x2 - x1) * (y2 - y1), "iscrowd": 0, **row})
    rows.append({"id": 99, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 1})
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(classes)]
    text = json.dumps({"images": images, "annotations": rows, "categories": categories})
    (folder / "labels.json").write_text(text)
    return str(folder / "images"), str(folder / "labels.json")


def test_images_labels_and_ignored_regions_arrive(tmp_path: Path) -> None:
    images, labels = coco_folder(tmp_path / "a")
    sets = open_sets(toy_recipe(tmp_path, data=DataSet(images, labels, images, labels)))
    assert len(sets.items) == 6
    assert sets.extra == []
    assert sets.items[0].image.shape == (96, 96)
    assert sets.items[0].ignore_xyxy.tolist() == [[0, 0, 9, 9]]
    assert sets.val.classes == CLASSES


def test_paths_may_name_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco_folder(tmp_path / "a")
    monkeypatch.setenv("TOY", str(tmp_path / "a"))
    data = DataSet("$TOY/images", "$TOY/labels.json", "$TOY/images", "$TOY/labels.json")
    assert len(open_sets(toy_recipe(tmp_path, data=data)).items) == 6


def test_splits_of_two_datasets_are_refused(tmp_path: Path) -> None:
    first, second = coco_folder(tmp_path / "a"), coco_folder(tmp_path / "b", ("bar", "square"))
    with pytest.raises(DataError, match="training classes square, bar are not the validation classes bar, square"):
        open_sets(toy_recipe(tmp_path, data=DataSet(*first, *second)))


def test_rendered_thermal_frames_are_grey_and_in_hit_uav_classes(tmp_path: Path) -> None:
    images, labels = coco_folder(tmp_path / "a")
    recipe = toy_recipe(tmp_path, data=DataSet(images, labels, images, labels, synth_frames=3))
    extra = open_sets(recipe).extra
    assert [item.image.shape for item in extra] == [(512, 640)] * 3
    assert all(item.class_id.max(initial=0) <= 3 for item in extra)
    again = open_sets(recipe).extra
    assert all(np.array_equal(a.image, b.image) for a, b in zip(extra, again, strict=True))


def test_a_whole_run_from_files_leaves_a_model_and_scores(tmp_path: Path) -> None:
    images, labels = coco_folder(tmp_path / "a")
    recipe = toy_recipe(tmp_path / "run", data=DataSet(images, labels, images, labels))
    checkpoint = train(replace(recipe, epochs=1, full_epochs=1, eval_every=1))
    assert checkpoint.exists()
    assert (tmp_path / "run" / "toy.onnx").stat().st_size < 4_000_000
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert 0.0 <= row["AP50"] <= 1.0
    assert set(row["AP50_per_class"]) == set(CLASSES)
