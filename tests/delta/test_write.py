import os

import numpy as np
import pytest

from edgekit.bundle import WeightTensor
from edgekit.delta import apply_update, describe_update, open_update, write, write_update
from edgekit.errors import BundleError, StorageError
from tests.delta.twins import read_bytes, small_tensors, write_small


def _step(tmp_path, **changed):
    old, new = write_small(str(tmp_path / "old.ekb")), write_small(str(tmp_path / "new.ekb"), **changed)
    update = write_update(old, new, str(tmp_path / "u.ekd"))
    made = str(tmp_path / "made.ekb")
    apply_update(old, update.path, made)
    assert read_bytes(made) == read_bytes(new)
    return describe_update(update)


def test_the_student_s_twin_costs_a_small_part_of_it(student):
    value = describe_update(open_update(student.update))
    assert value["bytes"] == len(student.update_bytes)
    assert value["bytes"] < len(student.new_bytes) / 20
    assert sum(value["by_part"].values()) == value["bytes"]
    assert sum(row["makes"] for row in value["by_kind"].values()) == len(student.new_bytes)
    assert {row["bits"] for row in value["tensors"]} == {8}


def test_the_same_bundles_give_the_same_update(small, tmp_path):
    again = str(tmp_path / "again.ekd")
    write_update(small.old, small.new, again)
    assert read_bytes(again) == small.update_bytes


def test_codes_scales_and_floats_are_told(small):
    rows = {(row["name"], row["part"]): row for row in describe_update(open_update(small.update))["tensors"]}
    assert set(rows) == {
        ("codes", "tensor"), ("codes", "scale"), ("bias", "tensor"), ("wide", "tensor"), ("signs", "tensor"),
    }  # fmt: skip
    assert rows["wide", "tensor"]["bits"] == 8 and rows["wide", "tensor"]["planes"][-1] == 0
    assert rows["codes", "scale"]["planes"] == []


def test_a_graph_is_told_by_a_new_one_that_it_resembles(small):
    update = open_update(small.update)
    rows = {piece.what: piece for piece in update.pieces if piece.kind == "symbols"}
    first, second = rows["graphs/fp32.onnx"], rows["graphs/ort-arm.onnx"]
    assert first.source[0] < update.base.size <= second.source[0]
    assert second.payload < first.payload / 3


def test_another_width_or_shape_is_sent_whole(tmp_path):
    value = _step(tmp_path, bits=5)
    row = next(row for row in value["tensors"] if row["name"] == "codes" and row["part"] == "tensor")
    assert row["whole"] and row["planes"] == []
    grown = small_tensors()[1:] + [WeightTensor("codes", np.ones((9, 4), np.int8), 4, 0, np.ones(9, np.float32))]
    assert ("codes", "scale") in {(row["name"], row["part"]) for row in _step(tmp_path, tensors=grown)["tensors"]}


def test_tensors_in_another_order_are_found_where_they_were(tmp_path):
    value = _step(tmp_path, tensors=small_tensors()[::-1])
    assert value["by_part"]["tensor"] + value["by_part"]["scale"] < 20


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_long_tensors_go_in_chunks(bits, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "_CHUNK_CODES", 64)
    rng = np.random.RandomState(bits)
    codes = rng.choice([-1, 1], (5, 63)).astype(np.int8)
    moved = codes.copy()
    moved[2, 3], moved[4, 60] = -codes[2, 3], -codes[4, 60]
    bias = rng.randn(200).astype(np.float32)
    old, new = str(tmp_path / "old.ekb"), str(tmp_path / "new.ekb")
    for path, values, step in ((old, codes, 0), (new, moved, 1)):
        tensors = [WeightTensor("w", values, bits, 0, np.float32([1])), WeightTensor("bias", bias + np.float32(step))]
        write_small(path, tensors=tensors)
    update = write_update(old, new, str(tmp_path / "u.ekd"))
    changed = [piece for piece in update.pieces if piece.what == "w" and piece.kind != "keep"]
    assert len(changed) == 2 and all(piece.size < 320 * bits // 8 for piece in changed)
    assert [row["name"] for row in describe_update(update)["tensors"]] == ["w", "bias"]
    apply_update(old, update.path)
    assert read_bytes(old) == read_bytes(new)


def test_entries_come_and_go(tmp_path):
    _step(tmp_path, files={})
    _step(tmp_path, files={"golden/0.png": b"", "golden/1.png": np.random.RandomState(0).bytes(4000)})


def test_no_tensors_at_all(tmp_path):
    old, new = (
        write_small(str(tmp_path / name), step, tensors=small_tensors()[1:2]) for name, step in (("o", 0), ("n", 1))
    )
    update = write_update(old, new, str(tmp_path / "u.ekd"))
    apply_update(old, update.path)
    assert read_bytes(old) == read_bytes(new)


def test_the_same_bundle_twice_is_refused(small, tmp_path):
    with pytest.raises(BundleError, match="are the same bundle; there is nothing to send"):
        write_update(small.old, small.old, str(tmp_path / "u.ekd"))


def test_an_update_does_not_overwrite_its_bundles(tmp_path):
    old, new = write_small(str(tmp_path / "old.ekb")), write_small(str(tmp_path / "new.ekb"), step=1)
    before = read_bytes(new)
    with pytest.raises(BundleError, match="choose another name for the update"):
        write_update(old, new, new)
    assert read_bytes(new) == before


def test_a_missing_folder_is_named(small, tmp_path):
    with pytest.raises(StorageError, match="choose a folder that exists"):
        write_update(small.old, small.new, str(tmp_path / "absent" / "u.ekd"))
    assert os.listdir(str(tmp_path)) == []


def test_something_else_than_a_bundle_is_refused(small, tmp_path):
    with pytest.raises(BundleError, match="is not of an .ekb bundle"):
        write_update(small.update, small.new, str(tmp_path / "u.ekd"))
