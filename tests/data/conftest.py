import os

import cv2
import numpy as np
import pytest


@pytest.fixture
def write_image():
    """A function that writes a plain image of a size and makes its folder."""

    def write(path, width=64, height=48, channels=3, value=90):
        path = str(path)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        shape = (height, width) if channels == 1 else (height, width, channels)
        assert cv2.imwrite(path, np.full(shape, value, np.uint8))
        return path

    return write
