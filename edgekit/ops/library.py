"""The door to the native library libedgekit.so: found, loaded and checked once a process.

Without it everything works, slower, through NumPy and OpenCV. It is looked for at the path that the environment
variable EDGEKIT_NATIVE names ("off" for none), then inside the package, then where `make native` puts it in a checkout,
then where `make install` and the container of a Jetson do.
"""

import ctypes
import functools
import logging
import os
from typing import List, NamedTuple, Optional

from edgekit.errors import BackendError

_log = logging.getLogger(__name__)

ABI = 1  # EDGEKIT_ABI of native/include/edgekit.h

# What the newest operators stand on: a library without them is older than these.
_OPERATOR_SYMBOLS = ("RegisterCustomOps", "edgekit_binary_conv_add_codes", "edgekit_table_u8")

OK, BAD_POINTER, BAD_SIZE, BAD_VALUE, NO_MEMORY = 0, -1, -2, -3, -4

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLACES = (
    os.path.join(_PACKAGE, "_native", "libedgekit.so"),
    os.path.join(os.path.dirname(_PACKAGE), "build", "native", "libedgekit.so"),
    "/usr/local/lib/libedgekit.so",
)


class Native(NamedTuple):
    """What became of the search for the native library.

    Attributes:
        path: of the library in use, or None.
        kernels: those in use, "reference", "avx2", "avx512", "amx" or "neon"; None without a library.
        problem: why there is none, or what is not as it was asked for; None where all is well.
    """

    path: Optional[str]
    kernels: Optional[str]
    problem: Optional[str]


def library() -> Optional[ctypes.CDLL]:
    """The native library, or None where it is absent or does not fit.

    Raises:
        BackendError: EDGEKIT_NATIVE names one that cannot be used.
    """
    return _search()[0]


def native() -> Native:
    """What `library` gives, in words; nothing is raised."""
    try:
        return _search()[1]
    except BackendError as error:
        return Native(None, None, str(error))


class Operators(NamedTuple):
    """What became of the search for the library's operators for ONNX Runtime.

    Attributes:
        path: of the library that has them, absolute; None where there is none.
        problem: why there is none; None where all is well.
    """

    path: Optional[str]
    problem: Optional[str]


def operators() -> Operators:
    """The library as one of operators; nothing is raised."""
    found = native()
    if found.path is None:
        return Operators(None, "the native library is absent ({})".format(found.problem))
    opened = library()
    if not all(hasattr(opened, name) for name in _OPERATOR_SYMBOLS):
        return Operators(None, "{} is of an older edgekit and lacks some of them; make native".format(found.path))
    return Operators(os.path.abspath(found.path), None)


def open_library(path: str) -> ctypes.CDLL:
    """The library at `path`.

    Raises:
        BackendError: it is no library of this machine, or one of another version.
    """
    try:
        opened = ctypes.CDLL(os.path.abspath(path))
        abi = int(opened.edgekit_abi())
    except (OSError, AttributeError) as error:
        raise BackendError("cannot use {}: {}. Build it on this machine: make native".format(path, error)) from error
    if abi != ABI:
        raise BackendError(
            "{} speaks version {} of the native interface, this edgekit {}. Build it again: make native".format(
                path, abi, ABI
            )
        )
    opened.edgekit_kernels.restype = ctypes.c_char_p
    opened.edgekit_error.restype = ctypes.c_char_p
    return opened


def refuse(opened: ctypes.CDLL, code: int) -> None:
    """Raise for a `code` other than OK: MemoryError, or ValueError for arguments that the caller got wrong."""
    if code == NO_MEMORY:
        raise MemoryError("the native library found no memory for its tables")
    if code != OK:
        raise ValueError("the native library refuses: {}".format(opened.edgekit_error(code).decode()))


def _search() -> "_Found":
    return _found(os.environ.get("EDGEKIT_NATIVE"), os.environ.get("EDGEKIT_KERNELS"))


class _Found(NamedTuple):
    opened: Optional[ctypes.CDLL]
    told: Native


@functools.lru_cache(maxsize=4)
def _found(asked_path: Optional[str], asked_kernels: Optional[str]) -> _Found:
    if asked_path == "off":
        return _absent("EDGEKIT_NATIVE=off")
    if asked_path:
        return _told(open_library(asked_path), asked_path, asked_kernels)
    problems: List[str] = []
    for path in PLACES:
        if not os.path.exists(path):
            continue
        try:
            return _told(open_library(path), path, asked_kernels)
        except BackendError as error:
            _log.warning("%s", error)
            problems.append(str(error))
    return _absent(" ".join(problems) or "not built; in a checkout: make native")


def _absent(problem: str) -> _Found:
    return _Found(None, Native(None, None, problem))


def _told(opened: ctypes.CDLL, path: str, asked: Optional[str]) -> _Found:
    kernels = opened.edgekit_kernels().decode()
    problem = None
    if asked and asked != kernels:
        problem = "EDGEKIT_KERNELS={} does not run here, {} does".format(asked, kernels)
        _log.warning("%s", problem)
    return _Found(opened, Native(path, kernels, problem))
