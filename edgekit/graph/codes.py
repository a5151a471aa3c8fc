"""Scale, zero point and type of an activation's codes, derived from the canonical symmetric spec.

Canonical codes are int8 with zero point 0. Two relatives serve CPU backends:

    uint8, zero point 128, same scale     bit for bit the same values: code + 128
    uint8 from a floor to the spec's      for tensors that cannot be lower than the floor (0 after ReLU, -0.2785 after
    largest value                         SiLU): the same largest value, nearly twice as fine; with floor 0 it is the
                                          only form in which a ReLU disappears into its convolution

The int8 forms of both (every code and zero point 128 less) serve ARM.
"""

from dataclasses import dataclass

import numpy as np

from edgekit.precision import QuantSpec


@dataclass(frozen=True, slots=True)
class Codes:
    """What a Q/DQ pair of one tensor holds: a float32 scale, and a zero point whose type is that of the codes."""

    scale: np.float32
    zero_point: np.ndarray


def activation_codes(spec: QuantSpec, dtype: str, floor: float | None = None) -> Codes:
    """The codes of an activation.

    Args:
        spec: the plan's spec, symmetric and signed.
        dtype: "int8" or "uint8".
        floor: the lowest value that the tensor can have, where the grid may start there; None for a symmetric grid.
    """
    scale = np.float32(spec.scale[0])
    shift = 0 if dtype == "uint8" else -128
    high = 127.0 * float(scale)
    if spec.bits != 8 or floor is None or floor <= -high:
        return Codes(scale, np.array(128 + shift, dtype))
    finer = np.float32((high - min(floor, 0.0)) / 255.0)
    zero = int(np.rint(-min(floor, 0.0) / float(finer)))
    return Codes(finer, np.array(zero + shift, dtype))
