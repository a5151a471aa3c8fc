"""Binary convolution by the native library (native/include/edgekit_binary.h), or without it by its oracle in NumPy."""

import ctypes
from typing import Optional

import numpy as np

from edgekit.ops.binary import OUTPUTS, BinaryGeometry, binary_conv2d, pack_signs, signs, unpack_signs
from edgekit.ops.library import BAD_VALUE, library, refuse

_OUTPUT_CODES = {"float32": 0, "int8": 1, "bits": 2}
_PADDING_CODES = {"zero": 0, "one": 1}


class _Geometry(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int32)
        for name in (
            "in_channels",
            "out_channels",
            "kernel_h",
            "kernel_w",
            "stride_h",
            "stride_w",
            "pad_top",
            "pad_left",
            "pad_bottom",
            "pad_right",
            "groups",
            "padding",
        )
    ]


class BinaryConv:
    """One convolution, its weights packed for the kernels of this processor. Threads may run it at once.

    Args:
        geometry: the shape of the convolution.
        weights: (out channels, kernel height, kernel width, depth) of numbers, of which the sign counts.
        multiplier: (out channels) float32, finite.
        offset: (out channels) float32, finite.
        kernels: "reference", "avx2", "avx512", "amx", "neon" or "numpy"; None for the best that there is here.

    Raises:
        ValueError: a shape that is not `geometry`'s, a number that is not finite, or kernels that do not run here.
    """

    def __init__(
        self,
        geometry: BinaryGeometry,
        weights: np.ndarray,
        multiplier: np.ndarray,
        offset: np.ndarray,
        kernels: Optional[str] = None,
    ) -> None:
        self._library: Optional[ctypes.CDLL] = None
        if weights.shape != geometry.weight_shape:
            raise ValueError("weights are {}, got {}".format(geometry.weight_shape, weights.shape))
        self.geometry = geometry
        self._weights = np.ascontiguousarray(signs(weights))
        self._multiplier = _per_channel(multiplier, geometry, "multiplier")
        self._offset = _per_channel(offset, geometry, "offset")
        opened = library() if kernels != "numpy" else None
        if opened is None and kernels not in (None, "numpy"):
            raise ValueError("kernels {!r} need the native library, which is absent".format(kernels))
        if opened is not None:
            self._handle = self._create(_declare(opened), kernels)
            self._library = opened

    def _create(self, opened: ctypes.CDLL, kernels: Optional[str]) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        code = opened.edgekit_binary_conv_create(
            ctypes.byref(_c_geometry(self.geometry)),
            self._weights.ctypes.data,
            self._multiplier.ctypes.data,
            self._offset.ctypes.data,
            None if kernels is None else kernels.encode(),
            ctypes.byref(handle),
        )
        if code == BAD_VALUE:
            raise ValueError("kernels {!r} do not run on this processor".format(kernels))
        refuse(opened, code)
        return handle

    @property
    def kernels(self) -> str:
        """The kernels that it runs on: "reference", "avx2", "avx512", "amx", "neon", or "numpy" without a library."""
        if self._library is None:
            return "numpy"
        name: bytes = self._library.edgekit_binary_conv_kernels(self._handle)
        return name.decode()

    def pack(self, x: np.ndarray, out: Optional[np.ndarray] = None) -> np.ndarray:
        """The bits of float32 or int8 (N, H, W, in channels): uint32 (N, H, W, words in), in `out` if given."""
        if x.ndim != 4 or x.shape[3] != self.geometry.in_channels or not x.flags.c_contiguous:
            raise ValueError("images are contiguous (N, H, W, {}), got {}".format(self.geometry.in_channels, x.shape))
        if x.dtype not in (np.float32, np.int8):
            raise ValueError("images are float32 or int8, got {}".format(x.dtype))
        bits = _output(out, x.shape[:3] + (self.geometry.words_in,), np.dtype(np.uint32))
        if self._library is None:
            bits[...] = pack_signs(x, self.geometry.groups)
            return bits
        native = self._library
        pack = native.edgekit_binary_pack_float if x.dtype == np.float32 else native.edgekit_binary_pack_int8
        refuse(native, pack(self._handle, x.ctypes.data, x.shape[0] * x.shape[1] * x.shape[2], bits.ctypes.data))
        return bits

    def run(self, bits: np.ndarray, output: str = "float32", out: Optional[np.ndarray] = None) -> np.ndarray:
        """Convolve packed images.

        Args:
            bits: uint32 (N, H, W, words in), of `pack` or of the layer before.
            output: "float32", "int8" or "bits".
            out: where the result is written; None for a new array.

        Returns:
            (N, rows, columns, out channels) float32 or int8, or (N, rows, columns, words out) uint32.
        """
        if output not in OUTPUTS:
            raise ValueError("output is one of {}, got {!r}".format(", ".join(OUTPUTS), output))
        words = self.geometry.words_in
        if bits.ndim != 4 or bits.shape[3] != words or bits.dtype != np.uint32 or not bits.flags.c_contiguous:
            raise ValueError(
                "bits are contiguous uint32 (N, H, W, {}), got {} {}".format(words, bits.dtype, bits.shape)
            )
        count, height, width = bits.shape[:3]
        rows, columns = self.geometry.out_size(height, width)
        last = self.geometry.words_out if output == "bits" else self.geometry.out_channels
        result = _output(out, (count, rows, columns, last), np.dtype(OUTPUTS[output]))
        if self._library is None:
            x = unpack_signs(bits, self.geometry.in_channels, self.geometry.groups)
            result[...] = binary_conv2d(x, self._weights, self._multiplier, self._offset, self.geometry, output)
            return result
        code = self._library.edgekit_binary_conv_run(
            self._handle,
            bits.ctypes.data,
            count,
            height,
            width,
            0,
            count * rows,
            _OUTPUT_CODES[output],
            result.ctypes.data,
        )
        refuse(self._library, code)
        return result

    def __call__(self, x: np.ndarray, output: str = "float32") -> np.ndarray:
        """`run` of `pack`."""
        return self.run(self.pack(x), output)

    def __del__(self) -> None:
        if self._library is not None:
            self._library.edgekit_binary_conv_destroy(self._handle)


def _declare(opened: ctypes.CDLL) -> ctypes.CDLL:
    """Say the argument types; without them ctypes would cut pointers and row numbers to 32 bits."""
    pointer, i32, i64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    opened.edgekit_binary_conv_create.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_char_p, pointer]
    opened.edgekit_binary_conv_destroy.argtypes = [pointer]
    opened.edgekit_binary_conv_destroy.restype = None
    opened.edgekit_binary_conv_kernels.argtypes = [pointer]
    opened.edgekit_binary_conv_kernels.restype = ctypes.c_char_p
    opened.edgekit_binary_pack_float.argtypes = [pointer, pointer, i64, pointer]
    opened.edgekit_binary_pack_int8.argtypes = [pointer, pointer, i64, pointer]
    opened.edgekit_binary_conv_run.argtypes = [pointer, pointer, i32, i32, i32, i64, i64, i32, pointer]
    return opened


def _c_geometry(geometry: BinaryGeometry) -> _Geometry:
    return _Geometry(
        geometry.in_channels,
        geometry.out_channels,
        *geometry.kernel,
        *geometry.stride,
        *geometry.pads,
        geometry.groups,
        _PADDING_CODES[geometry.padding],
    )


def _per_channel(values: np.ndarray, geometry: BinaryGeometry, name: str) -> np.ndarray:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.shape != (geometry.out_channels,):
        raise ValueError("{} has {} values, got {}".format(name, geometry.out_channels, array.shape))
    if not np.isfinite(array).all():
        raise ValueError("{} has values that are not finite".format(name))
    return array


def _output(out: Optional[np.ndarray], shape: tuple, dtype: np.dtype) -> np.ndarray:
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError("out is contiguous {} {}, got {} {}".format(dtype, shape, out.dtype, out.shape))
    return out
