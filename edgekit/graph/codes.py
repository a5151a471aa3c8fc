"""Scale, zero point and type of an activation's codes, derived from the canonical symmetric spec.

Canonical codes are int8 with zero point 0. Two exact or finer relatives serve CPU backends:

    uint8, zero point 128, same scale          bit for bit the same values: code + 128
    uint8, zero point 0, scale * 127 / 255     tensors that are never negative: the same largest value, twice as fine,
                                               and the only form in which a ReLU disappears into its convolution

The int8 forms of both (zero point 0 and -128) serve ARM.
"""

from dataclasses import dataclass

import numpy as np

from edgekit.precision import QuantSpec


@dataclass(frozen=True, slots=True)
class Codes:
    """What a Q/DQ pair of one tensor holds: a float32 scale, and a zero point whose type is that of the codes."""

    scale: np.float32
    zero_point: np.ndarray


def activation_codes(spec: QuantSpec, dtype: str, one_sided: bool) -> Codes:
    """The codes of an activation.

    Args:
        spec: the plan's spec, symmetric and signed.
        dtype: "int8" or "uint8".
        one_sided: the tensor is never negative and the backend may use the whole range for it.
    """
    scale = np.float32(spec.scale[0])
    if spec.bits == 8 and one_sided:
        return Codes(np.float32(scale * np.float32(127.0 / 255.0)), _zero(0 if dtype == "uint8" else -128, dtype))
    return Codes(scale, _zero(128 if dtype == "uint8" else 0, dtype))


def _zero(value: int, dtype: str) -> np.ndarray:
    return np.array(value, dtype=dtype)
