import json
import shutil

import pytest

pytest.importorskip("faster_coco_eval")

from edgekit.bench.validate import match_classes


def test_val_prints_one_json_object(edgekit, float_bundle, pictures):
    images, labels = pictures
    done = edgekit("val", float_bundle, "--images", images, "--annotations", labels, "--json")
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    value = done.json
    assert value["images"] == 8
    assert value["lowering"] == "fp32"
    assert value["AP50"] == pytest.approx(1.0, abs=1e-3)
    assert {"AP", "AP50", "AP_small"} <= set(value)
    assert value["iou"] == 0.65 and value["max_det"] == 300


def test_val_draws_tables(edgekit, float_bundle, pictures):
    done = edgekit("val", float_bundle, "--images", pictures[0], "--annotations", pictures[1])
    assert done.status == 0, done.err
    assert "AP small" in done.out and "warm" in done.out
    assert "\x1b" not in done.out + done.err


def test_against_another_bundle_with_a_gate(edgekit, float_bundle, pictures):
    arguments = ["val", float_bundle, "--images", pictures[0], "--annotations", pictures[1], "--vs", float_bundle]
    done = edgekit(*arguments, "--max-ap-drop", "0.01", "--json")
    assert done.status == 0, done.err
    assert done.json["difference"]["AP"] == 0 and done.json["vs"]["AP"] == done.json["AP"]


def test_the_gate_fails_with_three(edgekit, float_bundle, pictures):
    arguments = ["val", float_bundle, "--images", pictures[0], "--annotations", pictures[1], "--json"]
    done = edgekit(*arguments, "--vs", float_bundle, "--max-ap-drop", "-0.5")
    assert done.status == 3
    assert done.json["AP"] is not None
    assert done.err.splitlines()[-1].startswith("error: AP ")


def _labels(pictures, tmp_path, change):
    with open(pictures[1]) as stream:
        content = json.load(stream)
    change(content)
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    return str(path)


def _outside(content):
    content["annotations"][2]["bbox"] = [500, 500, 10, 10]


def _third_class(content):
    content["categories"].append({"id": 3, "name": "tepid"})


def _renamed(content):
    content["categories"][0]["name"] = "cool"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_outside, "label outside the image"),
        (_third_class, "the set has 3 classes, the bundle 2, and the bundle does not know tepid"),
        (
            lambda content: content["images"].append({"id": 99, "file_name": "no.png", "width": 8, "height": 8}),
            "no.png",
        ),
        (lambda content: content.pop("annotations"), "no list 'annotations'"),
        (lambda content: (content["images"].clear(), content["annotations"].clear()), "has no images to score"),
    ],
)
def test_bad_labels_are_one_line(edgekit, float_bundle, pictures, tmp_path, change, message):
    labels = _labels(pictures, tmp_path, change)
    done = edgekit("val", float_bundle, "--images", pictures[0], "--annotations", labels)
    assert done.status == 2
    assert message in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1


def test_an_empty_label_file(edgekit, float_bundle, pictures, tmp_path):
    labels = tmp_path / "empty.json"
    labels.write_text("")
    done = edgekit("val", float_bundle, "--images", pictures[0], "--annotations", labels)
    assert done.status == 2
    assert "is not valid JSON" in done.err and done.err.count("\n") == 1


def test_bad_labels_can_be_left_out(edgekit, float_bundle, pictures, tmp_path):
    labels = _labels(pictures, tmp_path, _outside)
    done = edgekit("val", float_bundle, "--images", pictures[0], "--annotations", labels, "--skip-bad-labels", "--json")
    assert done.status == 0, done.err
    assert "1 left out" in done.err and done.json["boxes"] == 23


def test_other_class_names_are_matched_by_order_and_said(edgekit, float_bundle, pictures, tmp_path):
    labels = _labels(pictures, tmp_path, _renamed)
    done = edgekit("val", float_bundle, "--images", pictures[0], "--annotations", labels, "--json")
    assert done.status == 0, done.err
    assert done.json["classes_matched_by"] == "order" and "in order" in done.err
    assert done.json["AP50"] == pytest.approx(1.0, abs=1e-3)


def test_yolo_labels_with_an_empty_file(edgekit, float_bundle, pictures, tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    shutil.copytree(pictures[0], str(images))
    labels.mkdir()
    with open(pictures[1]) as stream:
        content = json.load(stream)
    for image in content["images"]:
        rows = [row for row in content["annotations"] if row["image_id"] == image["id"]]
        lines = []
        for row in [] if image["id"] == 1 else rows:
            x, y, w, h = row["bbox"]
            numbers = [(x + w / 2) / 128, (y + h / 2) / 128, w / 128, h / 128]
            lines.append(" ".join(map(str, [row["category_id"] - 1] + numbers)))
        (labels / image["file_name"].replace(".png", ".txt")).write_text("\n".join(lines))
    done = edgekit("val", float_bundle, "--data", "yolo", "--images", images, "--names", "cold,warm", "--json")
    assert done.status == 0, done.err
    assert done.json["boxes"] == 21 and done.json["images"] == 8


def test_an_unknown_format(edgekit, float_bundle):
    done = edgekit("val", float_bundle, "--images", "x", "--data", "voc")
    assert done.status == 2 and "--data voc is unknown; choose coco, yolo" in done.err


@pytest.mark.parametrize(
    ("theirs", "expected", "by"),
    [
        (["warm", "cold"], [1, 0], "name"),
        (["Warm"], [-1, 0], "name"),
        (["a", "b"], [0, 1], "order"),
    ],
)
def test_classes_are_matched(theirs, expected, by):
    places, matched_by = match_classes(["cold", "warm"], theirs)
    assert places.tolist() == expected and matched_by == by
