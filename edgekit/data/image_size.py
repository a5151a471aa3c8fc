"""The size of an image from the first bytes of its file, for label formats that are relative or name no size."""

import struct
from typing import BinaryIO, Optional, Tuple

from edgekit.data.dataset import read_image
from edgekit.errors import DataError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# start-of-frame markers; C4, C8 and CC in their range mean other things
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP1 = 0xE1
_ORIENTATION = 0x0112
_SIDEWAYS = 5


def image_size(path: str) -> Tuple[int, int]:
    """Width and height of an image in pixels, as `read_image` will return it (EXIF rotation applied).

    JPEG and PNG are read by their headers, every other format by decoding it.

    Raises:
        DataError: the file cannot be read or is not an image.
    """
    try:
        with open(path, "rb") as file:
            size = _header_size(file)
    except OSError as error:
        raise DataError(f"cannot read image {path}: {error.strerror}; check the images folder") from error
    if size is None:
        height, width = read_image(path).shape[:2]
        size = (width, height)
    return size


def _header_size(file: BinaryIO) -> Optional[Tuple[int, int]]:
    head = file.read(24)
    if head[:8] == _PNG and len(head) == 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head[:2] == _JPEG:
        file.seek(2)
        return _jpeg_size(file)
    return None


def _jpeg_size(file: BinaryIO) -> Optional[Tuple[int, int]]:
    sideways = False
    while True:
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        marker, length = head[1], struct.unpack(">H", head[2:])[0]
        body = file.read(length - 2)
        if marker in _SOF and len(body) >= 5:
            height, width = struct.unpack(">HH", body[1:5])
            return (height, width) if sideways else (width, height)
        if marker == _APP1 and body[:6] == b"Exif\0\0":
            sideways = _orientation(body[6:]) >= _SIDEWAYS


def _orientation(tiff: bytes) -> int:
    """The EXIF orientation, 1 to 8; 5 and above swap width and height. 1 when it is not there."""
    order = ">" if tiff[:2] == b"MM" else "<"
    try:
        (offset,) = struct.unpack(order + "I", tiff[4:8])
        (count,) = struct.unpack(order + "H", tiff[offset : offset + 2])
        for k in range(count):
            entry = tiff[offset + 2 + 12 * k : offset + 14 + 12 * k]
            tag, _, _, value = struct.unpack(order + "HHIH", entry[:10])
            if tag == _ORIENTATION:
                return int(value)
    except struct.error:
        return 1
    return 1
