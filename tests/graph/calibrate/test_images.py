import os

import pytest

from edgekit.errors import DataError
from edgekit.graph.calibrate.images import choose_images, prepared
from edgekit.process.prepare import Preprocess
from tests.graph import tiny


def test_all_images_in_the_order_of_their_names(tmp_path):
    paths = tiny.pictures(tmp_path, 4)
    (tmp_path / "notes.txt").write_text("no picture")
    assert list(choose_images(str(tmp_path)).images) == paths


def test_the_seed_decides(tmp_path):
    tiny.pictures(tmp_path, 9)
    first, again, other = (choose_images(str(tmp_path), 4, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.images != other.images
    assert len(set(first.sha256)) == 4


def test_folders_that_do_not_do(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        choose_images(str(tmp_path))
    with pytest.raises(DataError, match="cannot list images folder"):
        choose_images(str(tmp_path / "absent"))
    tiny.pictures(tmp_path, 2)
    with pytest.raises(DataError, match="has 2 images, 3 asked for; ask for fewer or add images"):
        choose_images(str(tmp_path), 3)
    with pytest.raises(DataError, match="0 calibration images asked for"):
        choose_images(str(tmp_path), 0)


def test_an_unreadable_picture_is_named(tmp_path):
    paths = tiny.pictures(tmp_path, 2)
    with open(paths[1], "wb") as file:
        file.write(b"not a picture")
    stream = prepared(paths, Preprocess(32, 32))
    next(stream)
    with pytest.raises(DataError, match=os.path.basename(paths[1])):
        next(stream)


def test_any_size_is_letterboxed(tmp_path):
    wide = tiny.pictures(tmp_path, 1, size=48)
    (_, x), *_ = prepared(wide, Preprocess(32, 96))
    assert x.shape == (1, 3, 32, 96)
