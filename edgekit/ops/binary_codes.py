"""Binary convolution between 8-bit codes, in NumPy: the oracle of the operators whose numbers are codes.

Codes mean what they do in ONNX's DequantizeLinear and QuantizeLinear, with one scale and one zero point a tensor:

    value = (code - zero point) * scale                                     the product rounded to float32
    code  = clip(rint(value / scale) + zero point, least code, greatest)    the quotient rounded to float32

The sign of a value is that of code - zero point for every scale that may occur, so a bit is code < zero point.
"""

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from edgekit.ops.binary import BinaryGeometry, binary_conv2d, pack_signs

__all__ = ["CODE_TYPES", "CodeGrid", "binary_conv_codes", "binary_conv_sum", "from_codes", "pack_codes", "to_codes"]

CODE_TYPES = {"uint8": np.uint8, "int8": np.int8}
_MOST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class CodeGrid:
    """The values of a tensor's codes.

    Attributes:
        scale: of a step, 1e-30 to 1e30; counts as float32.
        zero_point: the code of 0.
        dtype: "uint8" or "int8".
    """

    scale: float
    zero_point: int
    dtype: str = "uint8"

    def __post_init__(self) -> None:
        if self.dtype not in CODE_TYPES:
            raise ValueError("codes are {}, got {!r}".format(" or ".join(CODE_TYPES), self.dtype))
        if not 1e-30 <= self.scale <= 1e30:
            raise ValueError("a scale is 1e-30 to 1e30, got {}".format(self.scale))
        if not self.limits[0] <= self.zero_point <= self.limits[1]:
            raise ValueError("{} is no zero point of {} codes".format(self.zero_point, self.dtype))

    @property
    def limits(self) -> Tuple[int, int]:
        """The least and the greatest code."""
        info = np.iinfo(CODE_TYPES[self.dtype])
        return int(info.min), int(info.max)


def from_codes(codes: np.ndarray, grid: CodeGrid) -> np.ndarray:
    """The float32 values of codes, in their shape: DequantizeLinear."""
    return (codes.astype(np.int32) - grid.zero_point).astype(np.float32) * np.float32(grid.scale)


def to_codes(values: np.ndarray, grid: CodeGrid) -> np.ndarray:
    """The codes of float32 values, none of them NaN, in their shape: QuantizeLinear."""
    with np.errstate(over="ignore"):  # what saturates may be too large for a float
        steps = np.rint(np.asarray(values, np.float32) / np.float32(grid.scale)) + np.float32(grid.zero_point)
    return np.clip(steps, *grid.limits).astype(CODE_TYPES[grid.dtype])


def pack_codes(codes: np.ndarray, grid: CodeGrid, groups: int = 1) -> np.ndarray:
    """The bits of codes (N, H, W, channels): uint32, as `edgekit.ops.binary.pack_signs` has them."""
    return pack_signs(np.where(codes < grid.zero_point, np.int8(-1), np.int8(1)), groups)


def binary_conv_codes(
    x: np.ndarray,
    x_grid: CodeGrid,
    weights: np.ndarray,
    multiplier: np.ndarray,
    offset: np.ndarray,
    geometry: BinaryGeometry,
    y_grid: CodeGrid,
) -> np.ndarray:
    """Codes in, codes out: `edgekit.ops.binary.binary_conv2d` between DequantizeLinear and QuantizeLinear."""
    return to_codes(binary_conv2d(from_codes(x, x_grid), weights, multiplier, offset, geometry), y_grid)


def binary_conv_sum(
    x: np.ndarray,
    weights: np.ndarray,
    multiplier: np.ndarray,
    offset: np.ndarray,
    geometry: BinaryGeometry,
    residual: Optional[np.ndarray] = None,
    residual_grid: Optional[CodeGrid] = None,
    limits: Tuple[float, float] = (-_MOST, _MOST),
    y_grid: Optional[CodeGrid] = None,
) -> Tuple[np.ndarray, np.ndarray]:
    """y = min(max(conv + residual, low), high), every operation rounded to float32, and its bits.

    Args:
        x: (N, H, W, in channels) of numbers, of which the sign counts.
        weights: (out channels, kernel height, kernel width, depth), likewise.
        multiplier: (out channels) float32, finite.
        offset: (out channels) float32, finite.
        geometry: the shape of the convolution.
        residual: the shape of y; None for nothing to add.
        residual_grid: of a residual in codes; None where it is float32.
        limits: low and high.
        y_grid: of a y in codes; None for float32.

    Returns:
        y, (N, rows, columns, out channels), and uint32 (N, rows, columns, words out), y < 0: of a y in codes, before it
        is rounded to them.
    """
    y = binary_conv2d(x, weights, multiplier, offset, geometry)
    if residual is not None:
        y = y + (residual if residual_grid is None else from_codes(residual, residual_grid))
    y = np.where(y > np.float32(limits[0]), y, np.float32(limits[0]))  # a NaN gives the lower limit
    y = np.where(y < np.float32(limits[1]), y, np.float32(limits[1]))
    return (y if y_grid is None else to_codes(y, y_grid)), pack_signs(y)
