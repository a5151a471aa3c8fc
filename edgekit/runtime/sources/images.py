"""A folder of images, or one image."""

import os
import time
from typing import Callable, List, Optional

from edgekit.data.dataset import images_in, read_image
from edgekit.data.pairs import colour_in, read_pair
from edgekit.errors import DataError, SourceError
from edgekit.frames import Frame
from edgekit.runtime.sources.source import Source


class Images(Source):
    """Image files, one frame each, in the order given; with `pairs` each with its infrared partner."""

    def __init__(
        self, paths: List[str], name: str, clock: Callable[[], float] = time.monotonic, pairs: bool = False
    ) -> None:
        self._paths = paths
        self._pairs = pairs
        self._clock = clock
        self._index = 0
        self.name = name
        self.frame_count = len(paths)

    def read(self) -> Optional[Frame]:
        if self._index == len(self._paths):
            return None
        path = self._paths[self._index]
        try:
            image, infrared = read_pair(path) if self._pairs else (read_image(path), None)
        except DataError as error:
            raise SourceError(str(error)) from error
        frame = Frame(image, self._index, self._clock(), infrared)
        self._index += 1
        return frame

    def close(self) -> None:
        self._index = len(self._paths)


def open_images(path: str, pairs: bool = False) -> Images:
    """Open a folder of images, sorted by name, or a single image.

    Args:
        path: the folder or file.
        pairs: the images have infrared partners (`edgekit.data.pairs`), which are no frames of their own.

    Raises:
        SourceError: there is nothing at `path`, or no image in the folder.
    """
    if os.path.isfile(path):
        return Images([path], path, pairs=pairs)
    try:
        found = colour_in(path) if pairs else images_in(path)
    except DataError as error:
        raise SourceError(str(error)) from error
    if not found:
        raise SourceError("{} holds no image (.jpg, .png, …)".format(path))
    return Images(found, path, pairs=pairs)
