import numpy as np
import pytest

from edgekit.data.dataset import (
    EVERY_CLASS,
    Dataset,
    Sample,
    images_in,
    load_image,
    load_infrared,
    merge_classes,
    select_classes,
)
from edgekit.errors import DataError


def sample(image="a.png", boxes=((1, 2, 3, 4),), class_id=(0,), image_id=1, **fields):
    return Sample(
        image=str(image),
        width=64,
        height=48,
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        class_id=np.array(class_id, np.int64),
        ignore_xyxy=fields.pop("ignore_xyxy", np.zeros((0, 4), np.float32)),
        image_id=image_id,
        **fields,
    )


@pytest.mark.parametrize("box", [(3, 2, 3, 4), (1, 4, 3, 2), (1, 2, float("nan"), 4), (1, 2, float("inf"), 4)], ids=str)
def test_a_box_without_area_or_not_finite_is_refused(box):
    with pytest.raises(ValueError, match="xyxy row 1"):
        sample(boxes=((1, 2, 3, 4), box), class_id=(0, 0))


def test_columns_have_one_entry_a_box():
    with pytest.raises(ValueError, match=r"class_id is \(2,\)"):
        sample(class_id=(0, 1))
    with pytest.raises(ValueError, match=r"area is \(1,\) float32"):
        sample(area=np.ones(1, np.float32))
    with pytest.raises(ValueError, match="float64, expected"):
        Sample("a", 4, 4, np.ones((1, 4)), np.zeros(1, np.int64), np.zeros((0, 4), np.float32), 1)


def test_a_dataset_refuses_a_class_it_has_no_name_for():
    with pytest.raises(ValueError, match=r"class ids 2\.\.2, expected 0\.\.1"):
        Dataset("d", ("car", "bus"), (sample(class_id=(2,)),))


def test_a_dataset_refuses_two_images_of_one_id():
    with pytest.raises(ValueError, match="image_id 1 twice"):
        Dataset("d", ("car",), (sample(), sample("b.png")))


def test_subset_keeps_the_order_it_is_given():
    whole = Dataset("d", ("car",), tuple(sample(str(i), image_id=i) for i in range(5)))
    part = whole.subset([3, 1])
    assert part.images() == ["3", "1"] and len(part) == 2
    assert part.box_counts() == (2,)


def three_classes():
    return Dataset(
        "d",
        ("car", "bus", "van"),
        (
            sample(
                boxes=((0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 3, 3)),
                class_id=(0, 1, 2),
                area=np.array([1.0, 4.0, 9.0]),
                ignore_xyxy=np.array([[0, 0, 5, 5], [0, 0, 6, 6], [0, 0, 7, 7]], np.float32),
                ignore_class_id=np.array([EVERY_CLASS, 1, 2], np.int64),
            ),
        ),
    )


def test_select_classes_renumbers_boxes_and_ignored_regions():
    chosen = select_classes(three_classes(), ["van", "car"])
    only = chosen.samples[0]
    assert chosen.classes == ("van", "car")
    assert only.class_id.tolist() == [1, 0]
    assert only.area.tolist() == [1.0, 9.0]
    assert only.ignore_xyxy[:, 2].tolist() == [5.0, 7.0]
    assert only.ignore_class_id.tolist() == [EVERY_CLASS, 0]


def test_merge_classes_makes_one_of_several():
    merged = merge_classes(three_classes(), {"bus": "vehicle", "van": "vehicle", "car": "car"})
    assert merged.classes == ("vehicle", "car")
    assert merged.samples[0].class_id.tolist() == [1, 0, 0]


def test_an_unknown_class_is_named_with_the_known_ones():
    with pytest.raises(DataError, match="no class 'tram'; its classes are car, bus, van"):
        select_classes(three_classes(), ["tram"])


def test_a_grey_image_gets_three_channels(tmp_path, write_image):
    path = write_image(tmp_path / "grey.png", channels=1, value=7)
    image = load_image(sample(path))
    assert image.shape == (48, 64, 3) and image.dtype == np.uint8 and (image == 7).all()


def test_infrared_is_one_channel(tmp_path, write_image):
    path = write_image(tmp_path / "ir.png", value=9)
    infrared = load_infrared(sample(infrared=path))
    assert infrared.shape == (48, 64) and abs(int(infrared[0, 0]) - 9) <= 1
    with pytest.raises(DataError, match="has no infrared image"):
        load_infrared(sample())


def test_unreadable_images_are_data_errors(tmp_path, write_image):
    with pytest.raises(DataError, match="cannot read image .*gone.png: No such file"):
        load_image(sample(tmp_path / "gone.png"))
    for name, content in (("empty.jpg", b""), ("text.jpg", b"not an image")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"\({} bytes\) is not an image".format(len(content))):
            load_image(sample(tmp_path / name))
    other = write_image(tmp_path / "other.png", width=32, height=32)
    with pytest.raises(DataError, match="is 32x32, its annotations say 64x48"):
        load_image(sample(other))


def test_images_in_lists_images_by_name(tmp_path, write_image):
    for name in ("b.png", "a.JPG", "note.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [p[-5:] for p in images_in(str(tmp_path))] == ["a.JPG", "b.png"]
    with pytest.raises(DataError, match="cannot list images folder"):
        images_in(str(tmp_path / "none"))
