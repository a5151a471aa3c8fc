from pathlib import Path

import cv2
import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.models.classifiers import classifier_preprocess
from edgekit.process import prepare
from edgekit.train.pictures import Pictures, Shifts, batches, read_pictures, shifted_pictures, steps_of, tensor_of


def pictures(count: int = 10) -> Pictures:
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 6, 3)).astype(np.uint8)
    return Pictures(("a", "b"), images, (np.arange(count) % 2).astype(np.int64))


def written(folder: Path, sizes: dict[str, list[tuple[int, int]]]) -> Path:
    for name, each in sizes.items():
        (folder / name).mkdir(parents=True)
        for index, (height, width) in enumerate(each):
            cv2.imwrite(str(folder / name / f"{index}.png"), np.full((height, width, 3), 7 * index, np.uint8))
    return folder


def test_folders_are_classes_and_sizes_are_made_equal(tmp_path: Path) -> None:
    found = read_pictures(str(written(tmp_path, {"dog": [(8, 6), (16, 12)], "cat": [(8, 6)]})), (8, 6))
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 1, 1]
    assert found.images.shape == (3, 8, 6, 3) and found.images.dtype == np.uint8
    assert found.images[2].max() == 7


def test_environment_variables_in_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, {"dog": [(4, 4)], "cat": [(4, 4)]})
    monkeypatch.setenv("SETS", str(tmp_path))
    assert len(read_pictures("$SETS", (4, 4))) == 2


def test_a_tensor_is_what_the_device_computes() -> None:
    image, spec = pictures().images[3], classifier_preprocess(8, 6)
    np.testing.assert_allclose(tensor_of(image[None], spec).numpy(), prepare(image, spec)[0], atol=1e-6)


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    spec, shifts = classifier_preprocess(8, 6), Shifts(2)
    first = list(batches(pictures(), 4, shifts, spec, seed=1, epoch=3))
    again = list(batches(pictures(), 4, shifts, spec, seed=1, epoch=3, first_step=1))
    assert len(first) == 2 == steps_of(pictures(), 4) and len(again) == 1
    assert first[1][0].equal(again[0][0]) and first[1][1].equal(again[0][1])
    other = next(batches(pictures(), 4, shifts, spec, seed=1, epoch=4))
    assert not first[0][0].equal(other[0])


def test_labels_stay_with_their_pictures() -> None:
    source = pictures()
    spec = classifier_preprocess(8, 6)
    x, labels = next(batches(source, 10, Shifts(0, 0.0), spec, seed=0, epoch=0))
    plain = tensor_of(source.images, spec)
    for row, label in zip(x, labels, strict=True):
        (index,) = [i for i in range(10) if plain[i].equal(row)]
        assert source.labels[index] == label


def test_a_shift_by_hand() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    made = shifted_pictures(image, np.array([[2, 1]]), np.array([False]), 1)
    assert made[0, 0].tolist() == image[0, 1].tolist() and (made[0, 1] == 114).all()
    flipped = shifted_pictures(image, np.array([[1, 1]]), np.array([True]), 1)
    assert flipped[0].tolist() == image[0, :, ::-1].tolist()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"only": [(4, 4)]}, "has 1 class folders"), ({"a": [(4, 4)], "b": []}, "b has no pictures; fill it")],
)
def test_folders_that_are_no_set(tmp_path: Path, sizes: dict[str, list[tuple[int, int]]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pictures(str(written(tmp_path, sizes)), (4, 4))


def test_a_missing_folder_and_a_damaged_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere has 0 class folders"):
        read_pictures(str(tmp_path / "nowhere"), (4, 4))
    written(tmp_path, {"a": [(4, 4)], "b": [(4, 4)]})
    (tmp_path / "b" / "0.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"cannot read .*0.png; it is damaged"):
        read_pictures(str(tmp_path), (4, 4))


def test_shifts_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="padding -1 must be 0 or more"):
        Shifts(-1)
    with pytest.raises(ValueError, match=r"flip 1.5 within 0 and 1"):
        Shifts(flip=1.5)
