import numpy as np
import pytest

from edgekit.data.coco import read_coco
from edgekit.data.yolo import read_names, read_yolo
from edgekit.errors import DataError


@pytest.fixture
def root(tmp_path, write_image):
    for name in ("a", "b", "c"):
        write_image(tmp_path / "images" / "val" / (name + ".png"), 100, 50)
    labels = tmp_path / "labels" / "val"
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n1 0.98 0.5 0.1 0.2\n\n")
    (labels / "b.txt").write_text("")
    (tmp_path / "classes.txt").write_text("car\nbus\n")
    return tmp_path


def test_boxes_are_pixels_and_an_empty_file_is_an_empty_image(root):
    dataset = read_yolo(str(root / "images" / "val"))
    assert dataset.classes == ("car", "bus") and dataset.name == "val"
    first, empty, without_file = dataset.samples
    np.testing.assert_allclose(first.xyxy, [[40, 15, 60, 35], [93, 20, 100, 30]], atol=1e-4)
    assert first.class_id.tolist() == [0, 1]
    assert len(empty) == 0 and len(without_file) == 0
    assert [s.image_id for s in dataset.samples] == [1, 2, 3]


def test_a_flat_folder(tmp_path, write_image):
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 1 1")
    dataset = read_yolo(str(tmp_path), classes=["thing"])
    assert dataset.samples[0].xyxy.tolist() == [[0, 0, 64, 48]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 1.5 0.5 0.2 0.2", "label outside the image"),
        ("0 320 240 20 20", "label outside the image"),
        ("0 0.5 0.5 0 0.2", "box has no area"),
        ("0 nan 0.5 0.1 0.2", "box is not finite"),
        ("0 0.5 0.5 0.2", "line is not class, centre x"),
        ("0 0.5 0.5 0.2 0.2 0.9", "line is not class, centre x"),
        ("car 0.5 0.5 0.2 0.2", "line is not class, centre x"),
        ("2 0.5 0.5 0.2 0.2", r"class is not 0\.\.1"),
        ("0.5 0.5 0.5 0.2 0.2", r"class is not 0\.\.1"),
        ("-1 0.5 0.5 0.2 0.2", r"class is not 0\.\.1"),
    ],
)
def test_one_malformed_line_is_named_by_file_and_line(root, line, message):
    (root / "labels" / "val" / "c.txt").write_text("0 0.5 0.5 0.2 0.4\n" + line)
    with pytest.raises(DataError, match=r"c\.txt:2: " + message):
        read_yolo(str(root / "images" / "val"))
    dataset = read_yolo(str(root / "images" / "val"), on_bad="drop")
    assert dataset.box_counts() == (2, 1)
    assert "1 left out" in dataset.notes[0] and "c.txt:2" in dataset.notes[0]


def test_missing_folders_and_names_are_said(root, tmp_path):
    with pytest.raises(DataError, match="no label folder"):
        read_yolo(str(root / "images" / "val"), str(root / "none"), classes=["car"])
    with pytest.raises(DataError, match="cannot list images folder"):
        read_yolo(str(root / "images" / "test"))
    (root / "labels" / "other").mkdir()
    with pytest.raises(DataError, match="none of the 3 images in .* has a .txt of its name"):
        read_yolo(str(root / "images" / "val"), str(root / "labels" / "other"))
    (root / "classes.txt").unlink()
    with pytest.raises(DataError, match="no class names for"):
        read_yolo(str(root / "images" / "val"))
    with pytest.raises(DataError, match="no folder called 'images'"):
        read_yolo(str(root / "labels" / "val"))
    (root / "images" / "none").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        read_yolo(str(root / "images" / "none"), classes=["car"])


@pytest.mark.parametrize(
    "text",
    [
        "path: .\nnames: [car, 'big bus']  # two\nnc: 2\n",
        "names:\n  0: car\n  1: big bus\nnc: 2\n",
        'nc: 2\nnames:\n- car\n- "big bus"\n',
        "names:  # two\n  - car  # small\n  - big bus\n",
        "names: {1: big bus, 0: car}\n",
        "names: [\n  car,\n  big bus,\n]\nnc: 2",
    ],
)
def test_names_of_a_data_yaml(tmp_path, text):
    path = tmp_path / "data.yaml"
    path.write_text(text)
    assert read_names(str(path)) == ("car", "big bus")


def test_a_yaml_without_names_is_an_error(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("nc: 2\n")
    with pytest.raises(DataError, match="holds no class names"):
        read_names(str(path))


def test_same_boxes_as_the_coco_file(reference_data):
    root = reference_data / "hit_uav"
    yolo = read_yolo(
        str(root / "images" / "val"), str(root / "labels" / "val"), ["Person", "Car", "Bicycle", "OtherVehicle"]
    )
    coco = read_coco(str(root / "annotations" / "val.json"), str(root / "images" / "val"))
    by_name = {s.image: s for s in coco.samples}
    assert yolo.box_counts() == coco.box_counts()
    for sample in yolo.samples:
        other = by_name[sample.image]
        assert (sample.width, sample.height) == (other.width, other.height)
        np.testing.assert_array_equal(sample.class_id, other.class_id)
        np.testing.assert_allclose(sample.xyxy, other.xyxy, atol=0.01)
