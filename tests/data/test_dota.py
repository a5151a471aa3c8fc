import pytest

from edgekit.data.dota import DOTA_CLASSES, read_dota
from edgekit.errors import DataError

HEADER = "imagesource:GoogleEarth\ngsd:0.146343590398\n"


@pytest.fixture
def root(tmp_path, write_image):
    for name in ("P1", "P2", "P3"):
        write_image(tmp_path / "train" / "images" / (name + ".png"), 100, 80)
    (tmp_path / "train" / "labelTxt").mkdir()
    labels = {
        "P1": HEADER + "10 30 20 10 40 20 30 40 plane 0\n5 5 15 5 15 9 5 9 ship 1\n",
        "P2": "90.5 70 110 70 110 90 90.5 90 small-vehicle 0\n1 1 2 1 2 2 1 2 harbor\n",
        "P3": HEADER,
    }
    for name, text in labels.items():
        (tmp_path / "train" / "labelTxt" / (name + ".txt")).write_text(text)
    return tmp_path / "train"


def test_horizontal_boxes_around_the_corners(root):
    dataset = read_dota(str(root))
    assert dataset.classes == DOTA_CLASSES and len(DOTA_CLASSES) == 15
    first, second, empty = dataset.samples
    assert first.xyxy.tolist() == [[10, 10, 40, 40]]
    assert DOTA_CLASSES[first.class_id[0]] == "plane"
    assert first.ignore_xyxy.tolist() == [[5, 5, 15, 9]]
    assert DOTA_CLASSES[first.ignore_class_id[0]] == "ship"
    assert second.xyxy.tolist() == [[90.5, 70, 100, 80], [1, 1, 2, 2]]
    assert len(empty) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("10 30 20 10 40 20 30 plane 0", "line is not x1 y1"),
        ("10 30 20 10 40 20 30 40 plane 2", "line is not x1 y1"),
        ("10 30 20 10 40 20 30 40 heliport 0", r"class is not one of plane, .*\('heliport'\)"),
        ("10 30 20 30 40 30 30 30 plane 0", "box has no area"),
        ("110 30 120 30 120 40 110 40 plane 0", "label outside the image"),
    ],
)
def test_one_malformed_line_is_named(root, line, message):
    (root / "labelTxt" / "P3.txt").write_text(HEADER + line)
    with pytest.raises(DataError, match=r"P3\.txt:3: " + message):
        read_dota(str(root))
    assert read_dota(str(root), on_bad="drop").notes[0].startswith("1 left out")


def test_classes_of_a_later_version(root):
    (root / "labelTxt" / "P3.txt").write_text("10 30 20 10 40 20 30 40 container-crane 0")
    dataset = read_dota(str(root), classes=DOTA_CLASSES + ("container-crane",))
    assert dataset.samples[2].class_id.tolist() == [15]
