"""What a border between two parts says about an array: its name, shape and type."""

from dataclasses import dataclass
from typing import Tuple

import numpy as np


@dataclass(frozen=True)
class TensorSpec:
    """Name, static shape and NumPy type name of one input or output of a network."""

    name: str
    shape: Tuple[int, ...]
    dtype: str = "float32"

    def check(self, value: np.ndarray) -> None:
        """Raise `ValueError` unless `value` has this shape and type."""
        if tuple(value.shape) != self.shape or value.dtype != np.dtype(self.dtype):
            raise ValueError(
                "{} takes {} {}, got {} {}".format(self.name, self.dtype, self.shape, value.dtype, tuple(value.shape))
            )
