import pytest

from edgekit.data.calibration_set import (
    choose_calibration_set,
    find_images,
    read_calibration_set,
    write_calibration_set,
)
from edgekit.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path, write_image):
    for k in range(8):
        write_image(tmp_path / "images" / "{}.png".format(k), value=k)
    return tmp_path / "images"


def test_a_set_survives_its_file(folder, tmp_path):
    chosen = choose_calibration_set('four "good" ones', str(folder), 4, seed=5)
    path = str(tmp_path / "set.toml")
    write_calibration_set(path, chosen)
    again = read_calibration_set(path)
    assert again == chosen and again.sha256 == chosen.sha256
    assert [p.split("/")[-1] for p in find_images(again, str(folder))] == [i.file for i in chosen.images]


def test_the_seed_decides(folder):
    names = [[image.file for image in choose_calibration_set("s", str(folder), 4, seed).images] for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 4


def test_all_images_in_order_of_names(folder):
    every = choose_calibration_set("s", str(folder))
    assert [image.file for image in every.images] == ["{}.png".format(k) for k in range(8)]
    assert every == choose_calibration_set("s", str(folder), 100) and every.seed == -1


def test_the_digest_is_that_of_the_contents_in_order(folder):
    every = choose_calibration_set("s", str(folder))
    assert every.sha256 == choose_calibration_set("other name", str(folder)).sha256
    assert every.sha256 != choose_calibration_set("s", str(folder), 7).sha256


def test_a_changed_or_absent_image_is_refused(folder, write_image):
    every = choose_calibration_set("s", str(folder))
    write_image(folder / "3.png", value=99)
    with pytest.raises(DataError, match=r"3\.png has sha256 .*expected .*restore the image or make a new set"):
        find_images(every, str(folder))
    (folder / "3.png").unlink()
    with pytest.raises(DataError, match=r"3\.png is not in"):
        find_images(every, str(folder))


def test_no_images_and_no_file(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        choose_calibration_set("s", str(tmp_path))
    with pytest.raises(ConfigError, match="cannot read"):
        read_calibration_set(str(tmp_path / "none.toml"))
    (tmp_path / "set.toml").write_text('name = "s"\nseed = 1\nimage = []\n')
    with pytest.raises(ConfigError, match="unknown key 'image'; did you mean 'images'"):
        read_calibration_set(str(tmp_path / "set.toml"))
