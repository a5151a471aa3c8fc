"""Which graph of a bundle runs best on this processor."""

import logging
from typing import Any, Mapping, Optional, Sequence, Tuple

from edgekit.devices import has_vnni, is_x86
from edgekit.errors import BackendError
from edgekit.runtime.operators import operators_obstacle
from edgekit.runtime.versions import first_version

NATIVE = "binary"
"""Layers of one bit by the native library's operators: the best of all where it can run."""

_ORT = ("onnxruntime", "onnxruntime-gpu")
_log = logging.getLogger(__name__)


def choose_lowering(available: Sequence[str], requires: Optional[Mapping[str, Mapping[str, Any]]] = None) -> str:
    """The best of `available` for this processor.

    On x86 the 8-bit weights of `ort-x86` need VNNI: without it their products saturate, and the 7-bit ones of
    `ort-x86-narrow` are right, as are those of `packed` where none has 8. TensorRT's graphs hold signed activations,
    which no processor here runs well. `ort-x86-tables` is for machines with the native library.

    `binary` comes first where the native library is; where it is absent the log says so, and the next best runs.

    Args:
        available: names of the bundle's lowerings.
        requires: name -> what its record in the manifest says that a machine must have.

    Raises:
        BackendError: none of them is for a processor of this kind.
    """
    preferred = preferred_lowerings()
    obstacle = None
    if NATIVE in available:
        obstacle = operators_obstacle(first_version(_ORT))
        if obstacle is None and _runs((requires or {}).get(NATIVE, {})):
            return NATIVE
    for name in preferred:
        if name in available and _runs((requires or {}).get(name, {})):
            if obstacle is not None:
                _log.warning(
                    "lowering %s has operators of the native library: %s; %s runs instead", NATIVE, obstacle, name
                )
            return name
    if obstacle is not None:
        raise BackendError(
            "the bundle has the lowerings {}; {} has operators of the native library: {}".format(
                ", ".join(available), NATIVE, obstacle
            )
        )
    raise BackendError(
        "the bundle has the lowerings {}; this processor runs {}. Export it again with --lowering {}".format(
            ", ".join(available) or "none", ", ".join(preferred), preferred[0]
        )
    )


def preferred_lowerings() -> Tuple[str, ...]:
    """Names of the lowerings for this processor, best first."""
    if not is_x86():
        return ("ort-arm", "packed", "fp32")
    if has_vnni():
        plain = ("ort-x86", "packed", "ort-x86-narrow", "fp32")
        return plain if tables_obstacle() is not None else ("ort-x86-tables",) + plain
    return ("ort-x86-narrow", "packed", "fp32")


def tables_obstacle() -> Optional[str]:
    """Why ONNX Runtime here does not look activation functions up by the native library, or None where it does."""
    return operators_obstacle(first_version(_ORT))


def _runs(requires: Mapping[str, Any]) -> bool:
    return requires.get("cpu") != "vnni" or not is_x86() or has_vnni()
