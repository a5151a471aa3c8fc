"""The oracle of 8-bit codes around a binary convolution, against numbers written out."""

import numpy as np
import pytest

from edgekit.ops.binary import BinaryGeometry, unpack_signs
from edgekit.ops.binary_codes import CodeGrid, binary_conv_codes, binary_conv_sum, from_codes, pack_codes, to_codes

ONE = BinaryGeometry(2, 1, (1, 1))


def test_grids_that_cannot_be():
    with pytest.raises(ValueError, match="codes are uint8 or int8, got 'int16'"):
        CodeGrid(1.0, 0, "int16")
    with pytest.raises(ValueError, match="a scale is 1e-30 to 1e30, got 0"):
        CodeGrid(0, 0)
    with pytest.raises(ValueError, match="200 is no zero point of int8 codes"):
        CodeGrid(1.0, 200, "int8")


def test_ties_go_to_the_even_code():
    values = np.array([-0.75, -0.25, 0.25, 0.75, 1.25, 1e9, -1e38], np.float32)
    assert to_codes(values, CodeGrid(0.5, 3)).tolist() == [1, 3, 3, 5, 5, 255, 0]
    assert to_codes(values, CodeGrid(0.5, -128, "int8")).tolist() == [-128, -128, -128, -126, -126, 127, -128]


def test_every_code_comes_back():
    for grid in (CodeGrid(0.037, 17), CodeGrid(0.11, -100, "int8")):
        codes = np.arange(grid.limits[0], grid.limits[1] + 1).astype(grid.dtype)
        values = from_codes(codes, grid)
        assert values.dtype == np.float32
        assert values[grid.zero_point - grid.limits[0]] == 0.0
        np.testing.assert_array_equal(to_codes(values, grid), codes)


def test_bits_are_the_signs_of_the_values():
    grid = CodeGrid(1e-30, -3, "int8")
    codes = np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 4, 64)
    signs = unpack_signs(pack_codes(codes, grid), 64)
    np.testing.assert_array_equal(signs, np.where(from_codes(codes, grid) < 0, -1, 1))


def sums(residual, **changes):
    """3 * dot + 1 of one pixel with signs +1, -1 and weights +1, -1: y is 7, with nothing added."""
    x, weights = np.array([1.0, -1.0], np.float32).reshape(1, 1, 1, 2), np.array([1, -1]).reshape(1, 1, 1, 2)
    added = None if residual is None else np.full((1, 1, 1, 1), residual[0], residual[1])
    y, bits = binary_conv_sum(x, weights, np.full(1, 3), np.ones(1), ONE, added, **changes)
    return y.item(), bits.item()


def test_sums_written_out():
    halves, signed = CodeGrid(0.5, 10), CodeGrid(2.0, -1, "int8")
    assert sums(None) == (7.0, 0)
    assert sums((-8.5, np.float32)) == (-1.5, 1)
    assert sums((14, np.uint8), residual_grid=halves) == (9.0, 0)
    assert sums((-6, np.int8), residual_grid=signed, y_grid=halves) == (10 - 6, 1)  # 7 - 10
    assert sums((-8.5, np.float32), y_grid=signed) == (-2, 1)  # -1.5 is nearer to -2 than to 0
    assert sums((-7.5, np.float32), y_grid=signed) == (-1, 1)  # -0.5 has the code of 0, and is negative
    assert sums((9.0, np.float32), limits=(-1.0, 3.0), y_grid=halves) == (16, 0)
    assert sums((np.nan, np.float32), limits=(-1.0, 3.0)) == (-1.0, 1)


def test_codes_in_and_out_written_out():
    x = np.array([200, 3], np.uint8).reshape(1, 1, 1, 2)  # of zero point 100: +1, -1
    weights = np.array([1, 1]).reshape(1, 1, 1, 2)
    y = binary_conv_codes(x, CodeGrid(0.1, 100), weights, np.full(1, 3), np.full(1, 1.25), ONE, CodeGrid(0.5, 4))
    assert y.item() == 4 + 2  # 1.25 lies between 2 and 3 steps: the even one
