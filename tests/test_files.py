import os

import pytest

from edgekit.errors import StorageError
from edgekit.files import atomic_write, sha256_bytes, sha256_file


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(str(path), "w") as stream:
        stream.write("ä")
        assert not path.exists()
    assert path.read_bytes() == "ä".encode()
    assert sha256_file(str(path)) == sha256_bytes("ä".encode())


def test_an_error_leaves_the_old_file_and_no_trace(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        with atomic_write(str(path), "w") as stream:
            stream.write("new")
            raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(str(tmp_path)) == ["a.txt"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StorageError, match="choose a folder that exists"):
        with atomic_write(str(tmp_path / "absent" / "a.txt")):
            pass


def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(StorageError, match="the disk is full"):
        with atomic_write(str(tmp_path / "a.txt")):
            raise OSError(28, "No space left on device")
