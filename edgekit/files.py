"""Files that are whole or absent: temporary file in the same folder, fsync, rename."""

import contextlib
import errno
import hashlib
import os
import tempfile
from typing import IO, Any, Iterator, Union

from edgekit.errors import StorageError

PathLike = Union[str, "os.PathLike[str]"]


@contextlib.contextmanager
def atomic_write(path: PathLike, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file that becomes `path` when the block ends without an error.

    Args:
        path: where the file goes; its folder must exist.
        mode: "wb", "w+b" (for writers that seek and read back) or "w" (UTF-8 text).

    Raises:
        StorageError: the folder is missing or not writable, or the disk is full; `path` is as it was before.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    with storage_errors(path):
        handle, temporary = tempfile.mkstemp(prefix="." + os.path.basename(path) + ".", dir=folder)
    try:
        with storage_errors(path):
            with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
                yield stream
            os.chmod(temporary, 0o666 & ~_umask())
        put_in_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def put_in_place(temporary: PathLike, path: PathLike) -> None:
    """Give a finished, closed file its name, durably: fsync, rename, fsync of the folder.

    Args:
        temporary: in the same folder as `path`.
        path: what it becomes; a file there is replaced.

    Raises:
        StorageError: the disk is full or the folder cannot be written; `path` is as it was before.
    """
    path = os.fspath(path)
    with storage_errors(path):
        _sync(os.fspath(temporary))
        os.replace(os.fspath(temporary), path)
        with contextlib.suppress(OSError):  # a file system that cannot sync a folder is no error
            _sync(os.path.dirname(path) or ".")


@contextlib.contextmanager
def storage_errors(path: PathLike) -> Iterator[None]:
    """Turn an `OSError` about space or permission into a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                "cannot write {}: the disk is full; free some space or choose another folder".format(path)
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EPERM):
            raise StorageError(
                "cannot write {}: {}; choose a folder that exists and can be written".format(path, error.strerror)
            ) from error
        raise


def sha256_file(path: PathLike) -> str:
    """Return the SHA-256 of a file's bytes, in lower-case hex."""
    digest = hashlib.sha256()
    with open(os.fspath(path), "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data`, in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
