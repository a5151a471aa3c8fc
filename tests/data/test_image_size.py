import struct

import cv2
import numpy as np
import pytest

from edgekit.data.dataset import read_image
from edgekit.data.image_size import image_size
from edgekit.errors import DataError


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif"])
@pytest.mark.parametrize("size", [(1, 1), (63, 17), (640, 512)])
def test_size_is_that_of_the_decoded_image(tmp_path, write_image, name, size):
    path = write_image(tmp_path / name, *size)
    assert image_size(path) == size


def _with_orientation(jpeg, value, order):
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    tiff = (b"MM" if order == ">" else b"II") + struct.pack(order + "HIH", 42, 8, 1) + entry + b"\0" * 4
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", [1, 3, 6, 8])
def test_exif_rotation_swaps_the_sides_as_opencv_does(tmp_path, value, order):
    done, jpeg = cv2.imencode(".jpg", np.zeros((20, 50, 3), np.uint8))
    assert done
    path = tmp_path / "turned.jpg"
    path.write_bytes(_with_orientation(jpeg.tobytes(), value, order))
    height, width = read_image(str(path)).shape[:2]
    assert image_size(str(path)) == (width, height) == ((20, 50) if value >= 5 else (50, 20))


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"hello"])
def test_what_is_no_image_is_a_data_error(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not an image"):
        image_size(str(path))
    with pytest.raises(DataError, match="cannot read image"):
        image_size(str(tmp_path / "none.png"))
