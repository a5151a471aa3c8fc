"""Binary convolution in NumPy: the oracle that the native kernels are tested against, bit for bit.

Weights and activations are +1 or -1, one bit each. sign(0) = +1, so a value is the bit x < 0: 0 is +1 (also for minus
zero and NaN), 1 is -1. A pixel of C channels in G groups is G * ceil(C / G / 32) words of 32 bits, group after group;
channel c of a group is bit c % 32 of word c // 32, and bits past the last channel are 0. Images are NHWC, weights OHWI.

With K products in a sum and the bits of activations and weights in a and w,

    dot = K - 2 * popcount(a xor w)        a product is -1 where the bits differ

and outside the image stands 0 or +1, whichever the network was trained with. Each output channel has a multiplier m
(its scale, BatchNorm folded in) and an offset b:

    float32   y = m * dot + b              both operations rounded to float32
    int8      clip(rint(y), -127, 127)     m and b are divided by the step of the codes by the caller
    bits      m * dot + b < 0              exactly, as real numbers: BatchNorm and sign in one comparison

Arithmetic: XNOR-Net (Rastegari et al., ECCV 2016), with sign(0) = +1 as in Larq Compute Engine (Bannink et al., MLSys
2021); differs from it: zero padding is exact for every output, bits too.
"""

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from edgekit.precision import pack_signs, unpack_signs

__all__ = [
    "OUTPUTS",
    "BinaryGeometry",
    "binary_conv2d",
    "binary_dot",
    "check_shapes",
    "fold_batch_norm",
    "pack_signs",
    "signs",
    "unpack_signs",
]

OUTPUTS = {"float32": np.float32, "int8": np.int8, "bits": np.uint32}


@dataclass(frozen=True)
class BinaryGeometry:
    """The shape of a binary convolution.

    Attributes:
        in_channels: a multiple of `groups`, like `out_channels`.
        kernel: (height, width), each 1 to 15.
        stride: (down, right).
        pads: (top, left, bottom, right), each less than the kernel.
        padding: what stands outside the image: "zero" or "one".
    """

    in_channels: int
    out_channels: int
    kernel: Tuple[int, int]
    stride: Tuple[int, int] = (1, 1)
    pads: Tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    padding: str = "zero"

    def __post_init__(self) -> None:
        if self.padding not in ("zero", "one"):
            raise ValueError("padding is 'zero' or 'one', got {!r}".format(self.padding))
        if self.groups < 1 or self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                "{} -> {} channels do not divide into {} groups".format(
                    self.in_channels, self.out_channels, self.groups
                )
            )
        if not all(1 <= side <= 15 for side in self.kernel + self.stride):
            raise ValueError("kernel and stride are 1 to 15, got {} and {}".format(self.kernel, self.stride))
        if not all(0 <= pad < side for pad, side in zip(self.pads, self.kernel * 2)):
            raise ValueError("pads {} are not less than the kernel {}".format(self.pads, self.kernel))

    @property
    def depth(self) -> int:
        """Input channels that one output channel sees."""
        return self.in_channels // self.groups

    @property
    def words_in(self) -> int:
        """32-bit words of one packed input pixel."""
        return self.groups * ((self.depth + 31) // 32)

    @property
    def words_out(self) -> int:
        """32-bit words of one output pixel as bits."""
        return (self.out_channels + 31) // 32

    @property
    def weight_shape(self) -> Tuple[int, int, int, int]:
        """(out channels, kernel height, kernel width, depth)."""
        return (self.out_channels, self.kernel[0], self.kernel[1], self.depth)

    def out_size(self, height: int, width: int) -> Tuple[int, int]:
        """Rows and columns that come out of an image of this size; raises `ValueError` where there are none."""
        top, left, bottom, right = self.pads
        rows = (height + top + bottom - self.kernel[0]) // self.stride[0] + 1
        columns = (width + left + right - self.kernel[1]) // self.stride[1] + 1
        if min(height, width, rows, columns) < 1:
            raise ValueError("an image of {} x {} is smaller than the kernel {}".format(height, width, self.kernel))
        return rows, columns


def signs(x: np.ndarray) -> np.ndarray:
    """-1 where x < 0, else +1: int8, the shape of `x`."""
    return np.where(np.less(x, 0), np.int8(-1), np.int8(1))


def binary_dot(x: np.ndarray, weights: np.ndarray, geometry: BinaryGeometry) -> np.ndarray:
    """Sums of products of signs, int32 (N, rows, columns, out channels).

    Args:
        x: (N, H, W, in channels) of numbers, of which the sign counts.
        weights: (out channels, kernel height, kernel width, depth), likewise.
        geometry: the shape of the convolution.

    Raises:
        ValueError: the arrays do not have the shapes of `geometry`.
    """
    check_shapes(x, weights, geometry)
    top, left, bottom, right = geometry.pads
    rows, columns = geometry.out_size(x.shape[1], x.shape[2])
    outside = 0.0 if geometry.padding == "zero" else 1.0
    a = np.pad(
        signs(x).astype(np.float32), ((0, 0), (top, bottom), (left, right), (0, 0)), "constant", constant_values=outside
    )
    w = signs(weights).astype(np.float32)
    group_outs = geometry.out_channels // geometry.groups
    dot = np.zeros((x.shape[0], rows, columns, geometry.out_channels), np.float32)
    down, across = geometry.stride
    for ky in range(geometry.kernel[0]):
        for kx in range(geometry.kernel[1]):
            tap = a[:, ky : ky + (rows - 1) * down + 1 : down, kx : kx + (columns - 1) * across + 1 : across]
            for group in range(geometry.groups):
                outs = slice(group * group_outs, (group + 1) * group_outs)
                ins = slice(group * geometry.depth, (group + 1) * geometry.depth)
                # Whole numbers below 2^24: float32 sums of them are exact in any order.
                dot[..., outs] += tap[..., ins] @ w[outs, ky, kx].T
    return dot.astype(np.int32)


def check_shapes(x: np.ndarray, weights: np.ndarray, geometry: BinaryGeometry) -> None:
    """Raise `ValueError` unless images and weights have the shapes of `geometry`."""
    if x.ndim != 4 or x.shape[3] != geometry.in_channels:
        raise ValueError("images are (N, H, W, {}), got {}".format(geometry.in_channels, x.shape))
    if weights.shape != geometry.weight_shape:
        raise ValueError("weights are {}, got {}".format(geometry.weight_shape, weights.shape))


def binary_conv2d(
    x: np.ndarray,
    weights: np.ndarray,
    multiplier: np.ndarray,
    offset: np.ndarray,
    geometry: BinaryGeometry,
    output: str = "float32",
) -> np.ndarray:
    """The convolution of `binary_dot`, scaled and written as `output`.

    Args:
        x: (N, H, W, in channels) of numbers, of which the sign counts.
        weights: (out channels, kernel height, kernel width, depth), likewise.
        multiplier: (out channels) float32, finite.
        offset: (out channels) float32, finite.
        geometry: the shape of the convolution.
        output: "float32", "int8" or "bits".

    Returns:
        (N, rows, columns, out channels) float32 or int8, or (N, rows, columns, words out) uint32.
    """
    if output not in OUTPUTS:
        raise ValueError("output is one of {}, got {!r}".format(", ".join(OUTPUTS), output))
    dot = binary_dot(x, weights, geometry)
    m = np.asarray(multiplier, np.float32)
    b = np.asarray(offset, np.float32)
    if output == "bits":
        # 24 bits by 25 are exact in double, and a rounded sum keeps the sign of the exact one.
        return pack_signs(m.astype(np.float64) * dot + b.astype(np.float64))
    y = m * dot.astype(np.float32) + b
    if output == "int8":
        return np.clip(np.rint(y), -127, 127).astype(np.int8)
    return y


def fold_batch_norm(
    alpha: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, eps: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Multiplier and offset (float32) of a convolution with scale `alpha` and the BatchNorm after it.

    gamma * (alpha * dot - mean) / sqrt(variance + eps) + beta, each (out channels), is m * dot + b; computed in double.
    """
    gain = np.asarray(gamma, np.float64) / np.sqrt(np.asarray(variance, np.float64) + eps)
    m = gain * np.asarray(alpha, np.float64)
    b = np.asarray(beta, np.float64) - gain * np.asarray(mean, np.float64)
    return m.astype(np.float32), b.astype(np.float32)
