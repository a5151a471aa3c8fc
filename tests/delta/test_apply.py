import fcntl
import os
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest

from edgekit.bundle import WeightTensor, open_bundle
from edgekit.delta import apply, apply_update, write_update
from edgekit.errors import BundleError, StorageError
from tests.delta.twins import ROOT, STUDENT, read_bytes, small_tensors, write_small, write_twin


@pytest.fixture()
def base(small, tmp_path):
    """A copy of the old bundle, alone in its folder."""
    folder = tmp_path / "drone"
    folder.mkdir()
    path = str(folder / "base.ekb")
    shutil.copy(small.old, path)
    return path


def _alone(path):
    return os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_in_place_it_becomes_the_new_bundle_byte_for_byte(student, tmp_path):
    path = str(tmp_path / "base.ekb")
    shutil.copy(student.old, path)
    seen = []
    applied = apply_update(path, student.update, progress=lambda done, total, text: seen.append((done, total)))
    assert read_bytes(path) == student.new_bytes
    assert applied.identity == open_bundle(path).sha256 and not applied.already and applied.resumed == 0
    assert seen[-1] == (len(student.new_bytes), len(student.new_bytes)) and seen == sorted(seen)
    assert _alone(path)


def test_elsewhere_the_old_one_stays(small, base):
    other = os.path.join(os.path.dirname(base), "new.ekb")
    apply_update(base, small.update, other)
    assert read_bytes(base) == small.old_bytes and read_bytes(other) == small.new_bytes


def test_a_second_time_there_is_nothing_to_do(small, base):
    apply_update(base, small.update)
    applied = apply_update(base, small.update)
    assert applied.already and read_bytes(base) == small.new_bytes
    with pytest.raises(BundleError, match="is already what .* makes; copy it"):
        apply_update(base, small.update, base + ".other")


def test_another_base_is_refused_with_both_identities(small, base, tmp_path):
    other = write_small(str(tmp_path / "other.ekb"), step=2)
    expected, seen = (open_bundle(path).sha256[:16] for path in (small.old, other))
    with pytest.raises(BundleError, match="is for the bundle with identity {}…, .* has {}…".format(expected, seen)):
        apply_update(other, small.update)
    assert not os.path.exists(other + ".part")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_damaged_base_is_refused_and_left_alone(share, small, base):
    damaged = bytearray(small.old_bytes)
    at = int(share * open_bundle(base).manifest["entries"]["weights.bin"]["size"]) + damaged.index(b"weights.bin")
    damaged[at] ^= 1
    with open(base, "wb") as stream:
        stream.write(bytes(damaged))
    with pytest.raises(BundleError, match="copy it again"):
        apply_update(base, small.update)
    assert read_bytes(base) == bytes(damaged) and _alone(base)


def test_something_else_than_a_bundle_is_refused(small, base):
    with open(base, "wb") as stream:
        stream.write(b"no bundle")
    with pytest.raises(BundleError, match="is not a whole .ekb bundle"):
        apply_update(base, small.update)


def test_the_update_is_not_overwritten(small, base):
    with pytest.raises(BundleError, match="is the update itself"):
        apply_update(base, small.update, small.update)
    assert read_bytes(small.update) == small.update_bytes


class Cut(BaseException):
    """What a test raises where the power goes."""


def _cut_after(share):
    def progress(done, total, text):
        if done >= share * total:
            raise Cut

    return progress


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_it_goes_on_where_it_was_cut(share, student, tmp_path):
    path = str(tmp_path / "base.ekb")
    shutil.copy(student.old, path)
    with pytest.raises(Cut):
        apply_update(path, student.update, progress=_cut_after(share))
    assert read_bytes(path) == student.old_bytes
    left = os.path.getsize(path + ".part")
    seen = []
    applied = apply_update(path, student.update, progress=lambda done, total, text: seen.append(done))
    assert share * len(student.new_bytes) <= applied.resumed == left
    assert all(done > left for done in seen)
    assert read_bytes(path) == student.new_bytes and _alone(path)


@pytest.mark.parametrize("spoil", ["zeros", "garbage", "longer", "older"])
def test_what_a_disk_has_spoiled_is_made_again(spoil, student, tmp_path):
    path = str(tmp_path / "base.ekb")
    shutil.copy(student.old, path)
    good = student.new_bytes
    left = {
        "zeros": good[:500000] + bytes(100000),
        "garbage": good[:300000] + student.old_bytes[:300000],
        "longer": good + b"more",
        "older": student.old_bytes,
    }[spoil]
    with open(path + ".part", "wb") as stream:
        stream.write(left)
    applied = apply_update(path, student.update)
    assert read_bytes(path) == good and _alone(path)
    assert applied.resumed <= 500000 or spoil == "longer"


def test_the_rest_of_another_update_is_no_obstacle(student, tmp_path):
    path = str(tmp_path / "base.ekb")
    shutil.copy(student.old, path)
    with pytest.raises(Cut):
        apply_update(path, student.update, progress=_cut_after(0.5))
    other = write_twin(str(tmp_path / "other.ekb"), STUDENT, 0.02, seed=7)
    update = str(tmp_path / "other.ekd")
    write_update(STUDENT, other, update)
    apply_update(path, update)
    assert read_bytes(path) == read_bytes(other)


@pytest.mark.parametrize("where", ["a write", "fsync"])
def test_a_full_disk_leaves_the_old_bundle_alone(where, small, base, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
        progress = None
    else:
        progress = full
    with pytest.raises(StorageError, match="the disk is full; free some space"):
        apply_update(base, small.update, progress=progress)
    assert read_bytes(base) == small.old_bytes and _alone(base)


def test_a_missing_folder_is_named(small, base):
    with pytest.raises(StorageError, match="choose a folder that exists"):
        apply_update(base, small.update, os.path.join(os.path.dirname(base), "absent", "new.ekb"))


def test_two_at_once_do_not_meddle(small, base):
    with open(base + ".part", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BundleError, match="another process is writing .*; wait until it has finished"):
            apply_update(base, small.update)
    apply_update(base, small.update)
    assert read_bytes(base) == small.new_bytes


def test_a_part_that_was_renamed_while_we_waited_is_not_written_to(small, base, monkeypatch):
    whole = fcntl.flock

    def other_is_first(stream, how):
        os.rename(base + ".part", base)
        return whole(stream, how)

    monkeypatch.setattr(apply.fcntl, "flock", other_is_first)
    with pytest.raises(BundleError, match="another process is writing"):
        apply_update(base, small.update)


PEAK = """
import sys
import zlib
from edgekit.delta import apply_update

def peak_mib():
    with open("/proc/self/status") as stream:
        return int(next(line for line in stream if line.startswith("VmHWM")).split()[1]) / 1024.0

before = peak_mib()
apply_update(sys.argv[1], sys.argv[2])
print(peak_mib() - before)
"""


def test_memory_does_not_grow_with_the_tensor(tmp_path):
    rng = np.random.RandomState(0)
    codes = rng.randint(-100, 100, (2 << 20,)).astype(np.int8)
    moved = codes + (rng.rand(codes.size) < 0.01).astype(np.int8)
    old, new = str(tmp_path / "old.ekb"), str(tmp_path / "new.ekb")
    for path, values in ((old, codes), (new, moved)):
        tensors = small_tensors()[1:2] + [WeightTensor("long", values, 8, 0, np.float32([1]))]
        write_small(path, tensors=tensors)
    update = str(tmp_path / "u.ekd")
    write_update(old, new, update)
    environment = dict(os.environ, PYTHONPATH=ROOT)
    grown_mib = float(subprocess.check_output([sys.executable, "-c", PEAK, old, update], env=environment).decode())
    assert read_bytes(old) == read_bytes(new)
    assert grown_mib < 20  # a table of its bits alone would be 16, and there are several


def test_nothing_is_compressed_on_the_device(small, base, monkeypatch):
    """Another zlib would deflate to other bytes: the result may not depend on it."""

    def refuse(*_):
        raise AssertionError("compressed")

    monkeypatch.setattr(zlib, "compressobj", refuse)
    monkeypatch.setattr(zlib, "compress", refuse)
    apply_update(base, small.update)
    assert read_bytes(base) == small.new_bytes
