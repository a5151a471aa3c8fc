"""Rendered flights as videos: rendering while a network runs would be timed with it."""

import os
import subprocess
import sys
import tempfile
from typing import Callable, Optional

import edgekit
from edgekit.bundle import default_cache_dir
from edgekit.data.synth import parse_uri, write_dataset, write_video
from edgekit.errors import SourceError
from edgekit.files import sha256_bytes, storage_errors

Progress = Callable[[int, int, str], None]

_PAIRS = ".pairs"

_CHILD = (
    "import sys; from edgekit.bench.flights import render; "
    "render(sys.argv[1], sys.argv[2], lambda done, total, text: print(done, total, flush=True))"
)


def playable(
    source: str, progress: Optional[Progress] = None, cache_dir: Optional[str] = None, pairs: bool = False
) -> str:
    """`source` itself, or for a `synth://` flight the path of its video, rendered once and kept in the cache.

    Args:
        source: as `edgekit.runtime.sources.open_source` takes it.
        progress: called with (done, total, text) while rendering.
        cache_dir: default as for bundles.
        pairs: a folder of colour and infrared images instead of a video, which has no room for both.

    Raises:
        SourceError: the flight cannot be rendered.
        StorageError: the cache cannot be written.
    """
    if not source.startswith("synth://"):
        return source
    key = "{!r} {}".format(parse_uri(source), edgekit.__version__)
    folder = os.path.join(cache_dir or default_cache_dir(), "flights")
    path = os.path.join(folder, sha256_bytes(key.encode())[:16] + (_PAIRS if pairs else ".mp4"))
    if not os.path.exists(path):
        with storage_errors(folder):
            os.makedirs(folder, exist_ok=True)
        _render_apart(source, path, progress)
    return os.path.join(path, "images") if pairs else path


def render(source: str, path: str, progress: Optional[Progress] = None) -> None:
    """Render a `synth://` flight to the video `path`, thermal where it says `ir=1`; or to a folder of pairs."""
    flight = parse_uri(source)
    if not path.endswith(_PAIRS):
        write_video(flight, path, infrared=flight.infrared, progress=progress)
        return
    with storage_errors(path), tempfile.TemporaryDirectory(prefix=".", dir=os.path.dirname(path)) as folder:
        made = os.path.join(folder, "pairs")
        write_dataset([flight], made, infrared=True, progress=progress)
        if not os.path.isdir(path):  # another process may have been faster
            os.rename(made, path)


def _render_apart(source: str, path: str, progress: Optional[Progress]) -> None:
    """Render in a process of its own, so that the renderer's memory is not counted as the bundle's."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(edgekit.__file__)))
    search = os.pathsep.join([package] + [part for part in [os.environ.get("PYTHONPATH")] if part])
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, source, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=search),
    )
    try:
        for line in child.stdout or ():
            done, total = line.split()
            if progress is not None:
                progress(int(done), int(total), "render")
        _, errors = child.communicate()
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode != 0:
        reason = (errors.strip().splitlines() or ["exit status {}".format(child.returncode)])[-1]
        raise SourceError("cannot render {}: {}".format(source, reason))
