"""Resize, pad, normalise and split into planes in one pass: the native kernel and its NumPy reference."""

import ctypes
from typing import Optional

import numpy as np

from edgekit.ops.library import BAD_SIZE, library, refuse
from edgekit.ops.tables import column_taps, taps


class _Where(ctypes.Structure):
    """edgekit_letterbox of native/include/edgekit.h."""

    _fields_ = (
        ("image", ctypes.c_void_p),
        ("row_bytes", ctypes.c_int64),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("net_height", ctypes.c_int32),
        ("net_width", ctypes.c_int32),
        ("top", ctypes.c_int32),
        ("left", ctypes.c_int32),
        ("inner_height", ctypes.c_int32),
        ("inner_width", ctypes.c_int32),
        ("reverse", ctypes.c_int32),
        ("pad", ctypes.c_int32),
    )


def resize_reference(image_hwc: np.ndarray, height: int, width: int) -> np.ndarray:
    """`image_hwc` (H, W, C) uint8 resized to (height, width, C): cv2.resize with INTER_LINEAR, bit for bit."""
    left, a0, a1 = column_taps(image_hwc.shape[1], width)
    right = np.minimum(left + 1, image_hwc.shape[1] - 1)
    pixels = image_hwc.astype(np.int64)
    along = (pixels[:, left] * a0[:, None] + pixels[:, right] * a1[:, None]) >> 4
    above, b0, b1 = taps(image_hwc.shape[0], height)
    upper, lower = (along[np.clip(row, 0, image_hwc.shape[0] - 1)] for row in (above, above + 1))
    between = ((upper * b0[:, None, None]) >> 16) + ((lower * b1[:, None, None]) >> 16)
    return np.minimum((between + 2) >> 2, 255).astype(np.uint8)


def letterbox_reference(
    image_hwc: np.ndarray,
    planes: np.ndarray,
    top: int,
    left: int,
    height: int,
    width: int,
    reverse: bool,
    pad: int,
) -> None:
    """Fill `planes` (3, H, W) with the pixels of `image_hwc`, `height` x `width` from (top, left), and `pad` around."""
    planes[:] = pad
    resized = resize_reference(image_hwc, height, width)
    planes[:, top : top + height, left : left + width] = resized[..., :: -1 if reverse else 1].transpose(2, 0, 1)


def fill(
    image_hwc: np.ndarray,
    planes: np.ndarray,
    top: int,
    left: int,
    height: int,
    width: int,
    reverse: bool,
    pad: int,
    gain: Optional[np.ndarray] = None,
    offset: Optional[np.ndarray] = None,
) -> bool:
    """`letterbox_reference` by the native library, then pixel * gain + offset in float32.

    Args:
        image_hwc: (h, w, 3) uint8; its rows may lie apart, as those of a crop do.
        planes: (3, H, W) to be filled, float32, or uint8 without gain and offset.
        top, left, height, width: where the resized image goes.
        reverse: the third channel goes to the first plane.
        pad: pixel value around it, 0 to 255.
        gain, offset: (3,) float32, of each plane.

    Returns:
        True where `planes` are filled; False, and nothing is done, where there is no library or it does not take such
        arrays.

    Raises:
        ValueError: the resized image does not fit into the planes.
    """
    opened = library()
    if opened is None or not _takes(image_hwc, planes, pad):
        return False
    inside = 0 <= top <= planes.shape[1] - height and 0 <= left <= planes.shape[2] - width
    if not inside or height < 1 or width < 1:
        raise ValueError(
            "{} x {} pixels from ({}, {}) do not fit into planes {}".format(height, width, top, left, planes.shape)
        )
    where = _Where(
        image_hwc.ctypes.data,
        image_hwc.strides[0],
        image_hwc.shape[0],
        image_hwc.shape[1],
        planes.shape[1],
        planes.shape[2],
        top,
        left,
        height,
        width,
        int(reverse),
        int(pad),
    )
    out = ctypes.c_void_p(planes.ctypes.data)
    if planes.dtype == np.uint8:
        code = opened.edgekit_letterbox_u8(ctypes.byref(where), out)
    else:
        factors = [np.ascontiguousarray(value, dtype=np.float32) for value in (gain, offset)]
        if any(value.shape != (3,) for value in factors):
            raise ValueError("float32 planes take a gain and an offset of three, got {} and {}".format(gain, offset))
        code = opened.edgekit_letterbox_f32(
            ctypes.byref(where), *[ctypes.c_void_p(value.ctypes.data) for value in factors], out
        )
    if code == BAD_SIZE:  # larger than it takes
        return False
    refuse(opened, code)
    return True


def _takes(image_hwc: np.ndarray, planes: np.ndarray, pad: int) -> bool:
    """True for arrays that lie in memory as the kernel reads and writes them."""
    rows, columns = image_hwc.shape[:2]
    return (
        image_hwc.dtype == np.uint8
        and image_hwc.shape[2:] == (3,)
        and rows > 0
        and columns > 0
        and image_hwc.strides[1:] == (3, 1)
        and image_hwc.strides[0] >= 3 * columns
        and planes.dtype in (np.float32, np.uint8)
        and planes.flags.c_contiguous
        and planes.flags.writeable
        and pad == int(pad)
    )
