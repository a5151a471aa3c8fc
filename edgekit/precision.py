"""The integer arithmetic of edgekit, in NumPy: the oracle that every other implementation is tested against.

Canonical semantics: symmetric, zero point 0, round half to even, weights per output channel.

    q = clip(round_half_even(x / scale), qmin, qmax)        x ~ q * scale
    signed:   qmin = -(2^(bits-1) - 1), qmax = 2^(bits-1) - 1     (narrow: -127..127, never -128)
    unsigned: qmin = 0,                 qmax = 2^bits - 1
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

import numpy as np


@dataclass(frozen=True)
class QuantSpec:
    """How one tensor is written in integers.

    Attributes:
        bits: 1 to 8.
        signed: False only for tensors that are never negative.
        granularity: "tensor" (one scale) or "channel" (one for each index of `axis`).
        axis: the channel axis, where granularity is "channel".
        scale: the step, one value or one a channel, each > 0.
        clip: (low, high) in real units, where the values must be clipped before they are rounded; else None.
        source: what chose the scale: "ptq:minmax", "ptq:entropy", "qat", …
    """

    bits: int
    scale: Tuple[float, ...]
    signed: bool = True
    granularity: str = "tensor"
    axis: int = 0
    clip: Optional[Tuple[float, float]] = None
    source: str = "ptq"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 8:
            raise ValueError("bits is 1 to 8, got {}".format(self.bits))
        if self.granularity not in ("tensor", "channel"):
            raise ValueError("granularity is 'tensor' or 'channel', got {!r}".format(self.granularity))
        if self.granularity == "tensor" and len(self.scale) != 1:
            raise ValueError("a per-tensor spec has one scale, got {}".format(len(self.scale)))
        if not self.scale or not all(0 < s < float("inf") for s in self.scale):
            raise ValueError("every scale is finite and > 0")

    @property
    def qmin(self) -> int:
        """The smallest code."""
        return -self.qmax if self.signed else 0

    @property
    def qmax(self) -> int:
        """The largest code."""
        if self.bits == 1 and self.signed:
            return 1
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    def scale_array(self, ndim: int) -> np.ndarray:
        """The scales as float32, shaped to broadcast against a tensor of `ndim` dimensions."""
        scale = np.asarray(self.scale, dtype=np.float32)
        if self.granularity == "tensor":
            return scale.reshape(())
        shape = [1] * ndim
        shape[self.axis] = len(scale)
        return scale.reshape(shape)

    def to_json(self) -> Dict[str, Any]:
        """A plain dict; `from_json` gives the same spec back, bit for bit."""
        return {
            "bits": self.bits,
            "signed": self.signed,
            "granularity": self.granularity,
            "axis": self.axis,
            "scale": list(self.scale),
            "clip": None if self.clip is None else list(self.clip),
            "source": self.source,
        }

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "QuantSpec":
        """The spec that `to_json` wrote."""
        clip = value["clip"]
        return cls(
            bits=value["bits"],
            scale=tuple(value["scale"]),
            signed=value["signed"],
            granularity=value["granularity"],
            axis=value["axis"],
            clip=None if clip is None else (clip[0], clip[1]),
            source=value["source"],
        )


@dataclass(frozen=True)
class QuantPlan:
    """Which layers and tensors are integers, and how; what search returns, a checkpoint stores, an exporter reads.

    Attributes:
        weights: layer name -> spec of its weight tensor.
        activations: tensor name -> spec.
        excluded: layer name -> why it stays in float.
    """

    weights: Dict[str, QuantSpec] = field(default_factory=dict)
    activations: Dict[str, QuantSpec] = field(default_factory=dict)
    excluded: Dict[str, str] = field(default_factory=dict)

    def layers_by_bits(self) -> Dict[int, int]:
        """Width of the weights -> how many layers have it, widest first."""
        widths = [spec.bits for spec in self.weights.values()]
        return {bits: widths.count(bits) for bits in sorted(set(widths), reverse=True)}

    def to_json(self) -> Dict[str, Any]:
        """A plain dict; `from_json` gives the same plan back."""
        return {
            "weights": {name: spec.to_json() for name, spec in self.weights.items()},
            "activations": {name: spec.to_json() for name, spec in self.activations.items()},
            "excluded": dict(self.excluded),
        }

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "QuantPlan":
        """The plan that `to_json` wrote."""
        return cls(
            weights={name: QuantSpec.from_json(spec) for name, spec in value["weights"].items()},
            activations={name: QuantSpec.from_json(spec) for name, spec in value["activations"].items()},
            excluded=dict(value["excluded"]),
        )


def quantize(x: np.ndarray, spec: QuantSpec) -> np.ndarray:
    """Codes of `x`: int8 where the spec is signed, uint8 where not, the shape of `x`."""
    scaled = np.asarray(x, dtype=np.float32)
    if spec.clip is not None:
        scaled = np.clip(scaled, np.float32(spec.clip[0]), np.float32(spec.clip[1]))
    scaled = scaled / spec.scale_array(scaled.ndim)
    if spec.bits == 1 and spec.signed:
        return np.where(scaled >= 0, 1, -1).astype(np.int8)
    codes = np.clip(np.rint(scaled), spec.qmin, spec.qmax)
    return codes.astype(np.int8 if spec.signed else np.uint8)


def dequantize(codes: np.ndarray, spec: QuantSpec) -> np.ndarray:
    """Float32 values of `codes`, the same shape."""
    return codes.astype(np.float32) * spec.scale_array(codes.ndim)


def fake_quantize(x: np.ndarray, spec: QuantSpec) -> np.ndarray:
    """`x` as it comes back from the integers: float32, the same shape."""
    return dequantize(quantize(x, spec), spec)


def narrow_codes(codes: np.ndarray) -> np.ndarray:
    """8-bit weight codes on the 7-bit grid (-63..63), for x86 without VNNI; their scale is 127/63 times as large.

    There u8 x s8 products are summed in pairs as int16 and saturate at full range; at 7 bits they cannot.
    """
    return np.rint(codes.astype(np.float32) * np.float32(63.0 / 127.0)).astype(np.int8)


def raised_by(bits: int) -> int:
    """By how many bits graphs move weight codes of that width up, their scale down: see `raised_codes`."""
    return 7 - bits if 2 <= bits < 8 else 0


def raised_codes(codes: np.ndarray, bits: int) -> np.ndarray:
    """Signed codes as int8 graphs hold them: those of 2 to 7 bits times 2^(7 - bits), at most 63, int8.

    With the scale divided by the same power of two the values are the same, exactly. But a CPU kernel adds its bias as
    int32 in steps of input scale x weight scale, and with the large scale of narrow codes those steps are coarse: at 2
    bits one output code in seventy came out one off. 63 and not 127, so that pairs of products cannot saturate int16.
    """
    return codes.astype(np.int8) * np.int8(2 ** raised_by(bits))


def pack_bits(codes: np.ndarray, bits: int) -> bytes:
    """Codes (any shape, C order) at `bits` each, most significant bit first, padded to a whole byte at the end.

    Signed codes are stored in two's complement of `bits` bits; binary (1 bit) -1 is stored as 0 and +1 as 1.
    """
    flat = np.ascontiguousarray(codes).reshape(-1)
    if bits == 8:
        return flat.astype(np.int8 if flat.dtype == np.int8 else np.uint8).tobytes()
    unsigned = (flat > 0).astype(np.uint8) if bits == 1 else (flat.astype(np.int16) & (2**bits - 1)).astype(np.uint8)
    table = np.unpackbits(unsigned[:, None], axis=1)[:, 8 - bits :]
    return np.packbits(table.reshape(-1)).tobytes()


def unpack_bits(data: bytes, bits: int, count: int, signed: bool = True) -> np.ndarray:
    """The `count` codes (count,) that `pack_bits` wrote: int8 if signed, else uint8."""
    need = (count * bits + 7) // 8
    if len(data) != need:
        raise ValueError("{} codes of {} bits take {} bytes, got {}".format(count, bits, need, len(data)))
    raw = np.frombuffer(data, dtype=np.uint8)
    if bits == 8:
        return raw.view(np.int8).copy() if signed else raw.copy()
    table = np.unpackbits(raw)[: count * bits].reshape(count, bits)
    value = np.packbits(table, axis=1).reshape(-1) >> (8 - bits)
    if not signed:
        return value
    if bits == 1:
        return np.where(value > 0, 1, -1).astype(np.int8)
    wide = value.astype(np.int16)
    return np.where(wide >= 2 ** (bits - 1), wide - 2**bits, wide).astype(np.int8)


def bit_planes(codes: np.ndarray, bits: int) -> np.ndarray:
    """Signed codes (any shape, C order) as `bits` planes of one bit each, the most significant first.

    The first k planes alone are the codes at k bits, rounded down. The bits are those of `pack_bits`: two's complement;
    with one bit, 0 for -1 and 1 for +1.

    Returns:
        (bits, ceil(n / 8)) uint8; code 8 i + j of plane p is bit j (the least significant is bit 0) of byte (p, i).
    """
    flat = np.ascontiguousarray(codes).reshape(-1)
    unsigned = (flat > 0).astype(np.uint8) if bits == 1 else (flat.astype(np.int16) & (2**bits - 1)).astype(np.uint8)
    table = np.unpackbits(unsigned[:, None], axis=1)[:, 8 - bits :].T
    padded = np.zeros((bits, (len(flat) + 7) // 8, 8), np.uint8)
    padded.reshape(bits, -1)[:, : len(flat)] = table
    return np.packbits(padded[:, :, ::-1], axis=2).reshape(bits, -1)


def codes_from_planes(planes: np.ndarray, count: int) -> np.ndarray:
    """The `count` codes (count,) int8 that `bit_planes` wrote."""
    bits = len(planes)
    table = _plane_table(planes, count)
    if bits == 1:
        return (2 * table[0].astype(np.int16) - 1).astype(np.int8)
    return plane_values(bits).astype(np.int16).dot(table).astype(np.int8)


def plane_values(bits: int) -> np.ndarray:
    """What a bit of each plane adds to a code, (bits,) int8: -2^(bits-1), 2^(bits-2), …, 2, 1."""
    values = 2 ** np.arange(bits - 1, -1, -1)
    values[0] = -values[0]
    return values.astype(np.int8)


def pack_signs(x: np.ndarray, groups: int = 1) -> np.ndarray:
    """The bits x < 0 of (..., channels) in words of 32, as binary kernels read them: uint32 (..., words).

    Each of the `groups` of channels begins with a word; channel c of a group is bit c % 32 of word c // 32.
    """
    depth = x.shape[-1] // groups
    words = (depth + 31) // 32
    bits = np.zeros(x.shape[:-1] + (groups, words * 32), np.uint8)
    bits[..., :depth] = np.less(x, 0).reshape(x.shape[:-1] + (groups, depth))
    packed = np.packbits(bits[..., ::-1], axis=-1)[..., ::-1]
    return np.ascontiguousarray(packed).view("<u4").reshape(x.shape[:-1] + (groups * words,)).astype(np.uint32)


def unpack_signs(bits: np.ndarray, channels: int, groups: int = 1) -> np.ndarray:
    """What `pack_signs` packed: +1 and -1, int8 (..., channels)."""
    little = np.ascontiguousarray(bits.astype("<u4")).view(np.uint8)
    table = np.unpackbits(little.reshape(bits.shape + (4, 1)), axis=-1)[..., ::-1]
    table = table.reshape(bits.shape[:-1] + (groups, -1))[..., : channels // groups]
    return (1 - 2 * table.astype(np.int8)).reshape(bits.shape[:-1] + (channels,))


def master_slices(master: np.ndarray, bits: int) -> np.ndarray:
    """The `bits` most significant bits of 8-bit codes, int8: `master >> (8 - bits)`, rounded down.

    Slicing a slice gives the same as slicing once; each bit that a slice drops is one bit of the next wider one.
    """
    _check_bits(bits)
    return (np.asarray(master, np.int8) >> np.int8(8 - bits)).astype(np.int8)


def midrise_codes(master: np.ndarray, bits: int) -> np.ndarray:
    """What a slice of 8-bit codes stands for: the middle of its cell, in half cells; int8.

    With d = 8 - bits and q the slice, a cell holds the 2^d codes from 2^d q on. Its middle in the grid of the master is
    the container code c = 2^d q + 2^(d-1) = (2 q + 1) 2^(d-1): an odd number times a power of two. The odd number is
    what this gives, a symmetric code of `midrise_width(bits)` bits whose step is 2^(d-1) times the master's. Without
    the half cell every weight would be low by half a step, and two bits would be worth nothing. All 8 bits are the
    master itself.
    """
    slices = master_slices(master, bits)
    return slices if bits == 8 else (2 * slices.astype(np.int16) + 1).astype(np.int8)


def midrise_width(bits: int) -> int:
    """Bits of the symmetric codes that `midrise_codes` gives: one more than the slice has, and 8 for 8."""
    _check_bits(bits)
    return min(bits + 1, 8)


def midrise_step(bits: int) -> int:
    """The step of `midrise_codes` in steps of the master: 2^(7 - bits), and 1 for 8 bits."""
    _check_bits(bits)
    return 1 if bits == 8 else 2 ** (7 - bits)


def container_codes(master: np.ndarray, bits: int) -> np.ndarray:
    """The weights of a precision as int8 on the grid of the master: `midrise_codes` times `midrise_step`, in +-127."""
    return (midrise_codes(master, bits).astype(np.int16) * midrise_step(bits)).astype(np.int8)


def midrise_from_planes(planes: np.ndarray, count: int) -> np.ndarray:
    """`midrise_codes` of the `count` codes (count,) whose first planes these are.

    Args:
        planes: (bits, ceil(count / 8)) uint8, the first rows of `bit_planes(master, 8)`.
        count: number of codes.
    """
    bits = len(planes)
    _check_bits(bits)
    slices = plane_values(bits).astype(np.int16).dot(_plane_table(planes, count))
    return (slices if bits == 8 else 2 * slices + 1).astype(np.int8)


def _plane_table(planes: np.ndarray, count: int) -> np.ndarray:
    """The bits of planes, (bits, count) uint8 of 0 and 1."""
    return np.unpackbits(planes, axis=1).reshape(len(planes), -1, 8)[:, :, ::-1].reshape(len(planes), -1)[:, :count]


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= 8:
        raise ValueError("a precision has 1 to 8 bits, got {}".format(bits))
