"""8-bit codes through a table of 256, an activation function of quantised values; by the native library or NumPy."""

import ctypes
from typing import Optional

import numpy as np

from edgekit.ops.library import library, refuse


def look_up(table: np.ndarray, codes: np.ndarray, out: Optional[np.ndarray] = None) -> np.ndarray:
    """`table[codes]`.

    Args:
        table: (256,) of the type of `codes`; its entry i belongs to the code whose byte is i, so that entry 255 is that
            of the int8 code -1.
        codes: uint8 or int8, any shape, contiguous.
        out: where the result is written, may be `codes`; a new array where None.

    Returns:
        The shape and type of `codes`.
    """
    if codes.dtype not in (np.uint8, np.int8) or table.dtype != codes.dtype or table.shape != (256,):
        raise ValueError(
            "a table of 256 codes of uint8 or int8 and codes of its type, got {} {} and {}".format(
                table.dtype, table.shape, codes.dtype
            )
        )
    result = np.empty_like(codes, order="C") if out is None else out
    if not codes.flags.c_contiguous or not result.flags.c_contiguous or not table.flags.c_contiguous:
        raise ValueError("table, codes and out are contiguous")
    if result.shape != codes.shape or result.dtype != codes.dtype:
        raise ValueError("out is {} {}, got {} {}".format(codes.dtype, codes.shape, result.dtype, result.shape))
    opened = library()
    if opened is None:
        np.take(table, codes.view(np.uint8), out=result, mode="wrap")
        return result
    code = opened.edgekit_table_u8(
        ctypes.c_void_p(table.ctypes.data),
        ctypes.c_void_p(codes.ctypes.data),
        ctypes.c_int64(codes.size),
        ctypes.c_void_p(result.ctypes.data),
    )
    refuse(opened, code)
    return result
