"""Whether graphs with operators of the native library run here, and handing the library to ONNX Runtime."""

from typing import Any, Optional, Sequence, Tuple

from edgekit.errors import BackendError
from edgekit.onnx_scan import imported_domains
from edgekit.ops.library import operators

DOMAIN = "edgekit"
OLDEST = (1, 16)


def operators_obstacle(version: Optional[str]) -> Optional[str]:
    """Why graphs with operators of the native library cannot run here, in one sentence, or None.

    Args:
        version: of ONNX Runtime; None where it is not installed.
    """
    if version is None:
        return "onnxruntime is not installed; pip install 'edgekit[ort]'"
    if _numbers(version) < OLDEST:
        return "onnxruntime {} does not take them, 1.16 and later do; pip install 'onnxruntime>=1.16'".format(version)
    return operators().problem


def add_operators(settings: Any, domains: Sequence[str], graph: str, version: str) -> None:
    """Add the native library to the settings of a session where its graph has operators of it.

    To be called once for each settings: where a library was added twice, ONNX Runtime refuses the session.

    Args:
        settings: a `SessionOptions` that no session was made of yet.
        domains: that the graph imports.
        graph: its name, for the message.
        version: of ONNX Runtime.

    Raises:
        BackendError: the graph has such operators, and there is no library, it or ONNX Runtime is too old, or it cannot
            be loaded.
    """
    if DOMAIN not in domains:
        return
    problem = operators_obstacle(version)
    if problem is not None:
        raise BackendError("{} has operators of the native library: {}".format(graph, problem))
    library = operators().path
    try:
        settings.register_custom_ops_library(library)
    except Exception as error:  # the library's classes share no base of their own
        raise BackendError(
            "onnxruntime {} cannot load {}: {}. Build it on this machine: make native".format(
                version, library, " ".join(str(error).split())
            )
        ) from error


def add_operators_of(settings: Any, path: str, version: str) -> None:
    """`add_operators` for a graph in a file."""
    with open(path, "rb") as stream:
        domains = imported_domains(stream.read())
    add_operators(settings, domains, path, version)


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
