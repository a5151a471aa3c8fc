"""Apply an update: the new bundle is written beside the old one and takes its place when all of it is right.

Pieces are written in order into `<output>.part`. Each has its hash in the update, so that whatever a cut has left there
says itself how far it is good: there is no journal that could promise more than the disk has kept.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
from dataclasses import dataclass
from typing import IO, Any, Callable, Iterator, Optional, Tuple

from edgekit.bundle import open_bundle
from edgekit.delta.update import HASH_DIGITS, KINDS, PAYLOAD, Piece, Update, open_update, opened_zip, told
from edgekit.errors import BundleError, EdgekitError
from edgekit.files import PathLike, put_in_place, sha256_bytes, storage_errors

PART_SUFFIX = ".part"

Progress = Callable[[int, int, str], None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Applied:
    """What `apply_update` did.

    Attributes:
        path: the new bundle.
        identity: its identity.
        size: its bytes.
        resumed: bytes that an earlier try had left behind and that were good.
        already: the base was the target, nothing was done.
    """

    path: str
    identity: str
    size: int
    resumed: int = 0
    already: bool = False


def apply_update(
    base: PathLike, update: PathLike, output: Optional[PathLike] = None, progress: Optional[Progress] = None
) -> Applied:
    """Make the new bundle from the old one and an update; whatever happens, the old one stays until the new is whole.

    The work goes into `<output>.part`. If the process or the power is cut, the same call goes on from there.

    Args:
        base: the bundle that the update was made for.
        update: the `.ekd` file.
        output: where the new bundle goes; default: in the place of `base`.
        progress: told (bytes done, bytes in all, "").

    Raises:
        BundleError: the update is damaged, or for another bundle, or the base is damaged, or another process applies.
        StorageError: the disk is full or the folder cannot be written.
    """
    opened, base = open_update(update), os.fspath(base)
    path = base if output is None else os.fspath(output)
    if os.path.abspath(path) == os.path.abspath(opened.path):
        raise BundleError("{} is the update itself; choose another name for the new bundle".format(path))
    identity = open_bundle(base, verify=False).sha256
    if identity == opened.target.identity:
        return _already(opened, base, path)
    if identity != opened.base.identity:
        raise BundleError(
            "{} is for the bundle with identity {}…, {} has {}…; apply it to that one, or make another update".format(
                opened.path, opened.base.identity[:HASH_DIGITS], base, identity[:HASH_DIGITS]
            )
        )
    part = path + PART_SUFFIX
    with storage_errors(part), _locked(part) as stream:
        try:
            resumed = _rebuild(opened, base, stream, progress)
            stream.flush()
            put_in_place(part, path)
        except (EdgekitError, OSError):
            os.unlink(part)  # nothing to go on from, and on a full disk it takes the space that is missing
            raise
    return Applied(path, opened.target.identity, opened.target.size, resumed)


def _already(update: Update, base: str, path: str) -> Applied:
    if os.path.abspath(path) != os.path.abspath(base):
        raise BundleError("{} is already what {} makes; copy it to {}".format(base, update.path, path))
    open_bundle(base)
    with contextlib.suppress(OSError):
        os.unlink(path + PART_SUFFIX)
    return Applied(path, update.target.identity, os.path.getsize(path), already=True)


@contextlib.contextmanager
def _locked(part: str) -> Iterator[IO[bytes]]:
    """The unfinished file, for this process alone."""
    stream = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = os.path.samestat(os.fstat(stream.fileno()), os.stat(part))
        except (BlockingIOError, FileNotFoundError):
            own = False
        if not own:  # or another process has finished and given it its name in between
            raise BundleError("another process is writing {}; wait until it has finished".format(part))
        yield stream


def _rebuild(update: Update, base: str, stream: IO[bytes], progress: Optional[Progress]) -> int:
    """Write every piece that is not there yet; return the bytes that were."""
    digest = hashlib.sha256()
    good = _good_pieces(update.pieces, stream, digest)
    done = resumed = sum(piece.size for piece in update.pieces[:good])
    stream.seek(done)
    stream.truncate()
    if done:
        _log.info("%s goes on after %d of %d bytes", update.path, done, update.target.size)
    with opened_zip(update.path) as archive, archive.open(PAYLOAD) as payloads, open(base, "rb") as old:
        for index, piece in enumerate(update.pieces):
            payload = payloads.read(piece.payload)
            if index < good:
                continue
            source = _source(piece, old, update.base.size, stream)
            data = _make(update, piece, source, payload, base)
            stream.seek(done)
            stream.write(data)
            digest.update(data)
            done += len(data)
            if progress is not None:
                progress(done, update.target.size, "")
    if digest.hexdigest() != update.target.sha256:
        raise BundleError("{} does not make the bundle that it promises; make the update again".format(update.path))
    return resumed


def _good_pieces(pieces: Tuple[Piece, ...], stream: IO[bytes], digest: Any) -> int:
    """How many pieces an earlier try has left whole; they go into `digest`."""
    for index, piece in enumerate(pieces):
        data = stream.read(piece.size)
        if len(data) != piece.size or sha256_bytes(data)[:HASH_DIGITS] != piece.sha256:
            return index
        digest.update(data)
    return len(pieces)


def _source(piece: Piece, old: IO[bytes], old_size: int, new: IO[bytes]) -> bytes:
    offset, count = piece.source
    stream, at = (old, offset) if offset < old_size else (new, offset - old_size)
    stream.seek(at)
    return stream.read(count)


def _make(update: Update, piece: Piece, source: bytes, payload: bytes, base: str) -> bytes:
    problem = "its hash differs"
    try:
        data = KINDS[piece.kind][0](source, payload, piece)
        if sha256_bytes(data)[:HASH_DIGITS] == piece.sha256 and len(data) == piece.size:
            return data
    except Exception as error:  # bytes that are not what they should be break each decoder in its own way
        problem = told(error)
    raise BundleError(
        "{} of {} does not come out as {} says ({}); it is damaged or packed anew: copy it again".format(
            piece.what, base, update.path, problem
        )
    )
