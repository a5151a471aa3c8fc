"""Which graph of a bundle runs best on this processor."""

from typing import Sequence, Tuple

from edgekit.devices import has_vnni, is_x86
from edgekit.errors import BackendError


def choose_lowering(available: Sequence[str]) -> str:
    """The best of `available` for this processor.

    On x86 the 8-bit weights of `ort-x86` need VNNI: without it their products saturate, and the 7-bit ones of
    `ort-x86-narrow` are right. TensorRT's graphs hold signed activations, which no processor here runs well.

    Raises:
        BackendError: none of them is for a processor of this kind.
    """
    preferred = preferred_lowerings()
    for name in preferred:
        if name in available:
            return name
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
        return ("ort-x86", "packed", "ort-x86-narrow", "fp32")
    return ("ort-x86-narrow", "fp32")
