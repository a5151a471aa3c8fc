import pytest

from edgekit.data.dataset import EVERY_CLASS
from edgekit.data.visdrone import VISDRONE_CLASSES, read_visdrone
from edgekit.errors import DataError


@pytest.fixture
def root(tmp_path, write_image):
    for name in ("a", "b", "c"):
        write_image(tmp_path / "split" / "images" / (name + ".jpg"), 100, 50)
    (tmp_path / "split" / "annotations").mkdir()
    write = lambda name, text: (tmp_path / "split" / "annotations" / name).write_text(text)  # noqa: E731
    write("a.txt", "10,20,5,6,1,4,0,0\n30,20,5,6,1,1,0,1,\n60,30,50,10,1,10,1,0\n")
    write("b.txt", "0,0,30,30,0,0,0,0\n40,0,10,10,1,11,0,0\n50,0,10,10,0,4,0,0\n")
    write("c.txt", "")
    return tmp_path / "split"


def test_classes_and_ignored_regions(root):
    dataset = read_visdrone(str(root))
    assert dataset.classes == VISDRONE_CLASSES and dataset.name == "split"
    first, regions, empty = dataset.samples
    assert first.xyxy.tolist() == [[10, 20, 15, 26], [30, 20, 35, 26], [60, 30, 100, 40]]
    assert [VISDRONE_CLASSES[i] for i in first.class_id] == ["car", "pedestrian", "motor"]
    assert len(regions) == 0
    assert regions.ignore_xyxy.tolist() == [[0, 0, 30, 30], [40, 0, 50, 10], [50, 0, 60, 10]]
    assert regions.ignore_class_id.tolist() == [EVERY_CLASS] * 3
    assert len(empty) == 0


def test_only_the_chosen_classes_keep_every_ignored_region(root):
    dataset = read_visdrone(str(root / "images"), classes=["car"])
    assert dataset.box_counts() == (1,)
    assert len(dataset.samples[1].ignore_xyxy) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("10,20,5,6,1,4,0", "line is not x,y,w,h"),
        ("10,20,5,x,1,4,0,0", "line is not x,y,w,h"),
        ("10,20,5,6,1,12,0,0", r"category is not 0\.\.11"),
        ("10,20,5,0,1,4,0,0", "box has no area"),
        ("110,20,5,6,1,4,0,0", "label outside the image"),
    ],
)
def test_one_malformed_line_is_named(root, line, message):
    (root / "annotations" / "c.txt").write_text(line + "\n10,20,5,6,1,4,0,0\n")
    with pytest.raises(DataError, match=r"c\.txt:1: " + message):
        read_visdrone(str(root))
    dataset = read_visdrone(str(root), on_bad="drop")
    assert len(dataset.samples[2]) == 1 and len(dataset.notes) == 1


def test_an_image_without_annotations_is_a_mistake(root):
    (root / "annotations" / "b.txt").unlink()
    with pytest.raises(DataError, match=r"cannot read .*b\.txt"):
        read_visdrone(str(root))
