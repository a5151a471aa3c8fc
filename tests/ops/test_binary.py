"""The NumPy oracle against sums written out, and the native convolution against the oracle, bit for bit."""

import itertools
import os
import re

import numpy as np
import pytest

from edgekit.ops.binary import (
    OUTPUTS,
    BinaryGeometry,
    binary_conv2d,
    binary_dot,
    fold_batch_norm,
    pack_signs,
    signs,
    unpack_signs,
)
from edgekit.ops.binary_native import BinaryConv
from edgekit.ops.library import library

needs_library = pytest.mark.skipif(library() is None, reason="the native library is not built: make native")

CHANNELS = (1, 3, 31, 32, 33, 63, 64, 65, 127, 128, 256)
GRID = list(itertools.product(CHANNELS, (1, 3, 5), (1, 2), ("zero", "one")))
OTHERS = [
    BinaryGeometry(6, 9, (3, 3), pads=(1, 1, 1, 1), groups=3),
    BinaryGeometry(40, 40, (3, 3), pads=(1, 1, 1, 1), groups=40),
    BinaryGeometry(66, 70, (3, 3), (2, 1), (1, 0, 0, 1), 2, "one"),
    BinaryGeometry(300, 330, (3, 5), (1, 2), (2, 1, 0, 3), 3),
    BinaryGeometry(64, 200, (5, 5), pads=(4, 4, 4, 4)),
    BinaryGeometry(1024, 20, (5, 5), pads=(2, 2, 2, 2)),
    BinaryGeometry(70, 80, (5, 4), (2, 3), (4, 3, 4, 2)),
]


def numbers(geometry, height=5, width=15, count=2):
    """Images with zeros of both signs, weights, multipliers of both signs and zero, offsets that make sums of zero."""
    random = np.random.RandomState(geometry.in_channels * 7 + geometry.kernel[0])
    x = random.randint(-3, 4, (count, height, width, geometry.in_channels)).astype(np.float32)
    x[x == 0] = np.where(random.rand((x == 0).sum()) < 0.5, -0.0, 0.0)
    weights = random.randint(-1, 2, geometry.weight_shape)
    multiplier = random.choice([-1.0, 1.0, 0.0, 0.37, -2.3], geometry.out_channels).astype(np.float32)
    offset = random.choice([-2.0, 0.0, 1.0, 3.3, -7.7], geometry.out_channels).astype(np.float32)
    return x, weights, multiplier, offset


def written_out(x, weights, geometry):
    """The sums, one product at a time."""
    rows, columns = geometry.out_size(*x.shape[1:3])
    dot = np.zeros((len(x), rows, columns, geometry.out_channels), np.int32)
    outside = 0 if geometry.padding == "zero" else 1
    group_outs = geometry.out_channels // geometry.groups
    for n, row, column, channel in np.ndindex(*dot.shape):
        first = channel // group_outs * geometry.depth
        for ky, kx, c in np.ndindex(*geometry.weight_shape[1:]):
            y = row * geometry.stride[0] - geometry.pads[0] + ky
            z = column * geometry.stride[1] - geometry.pads[1] + kx
            is_inside = 0 <= y < x.shape[1] and 0 <= z < x.shape[2]
            a = (-1 if x[n, y, z, first + c] < 0 else 1) if is_inside else outside
            dot[n, row, column, channel] += a * (-1 if weights[channel, ky, kx, c] < 0 else 1)
    return dot


@pytest.mark.parametrize("padding", ["zero", "one"])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_oracle_is_the_sum_of_products(padding, groups, stride):
    geometry = BinaryGeometry(6, 9, (3, 2), stride, (1, 1, 2, 0), groups, padding)
    x, weights, _, _ = numbers(geometry, 4, 3)
    np.testing.assert_array_equal(binary_dot(x, weights, geometry), written_out(x, weights, geometry))


def test_sign_of_zero_and_nan_is_plus_one():
    assert signs(np.array([0.0, -0.0, np.nan, 1e-40, -1e-40])).tolist() == [1, 1, 1, 1, -1]


@pytest.mark.parametrize("channels", CHANNELS)
def test_packed_signs_come_back(channels):
    x = np.random.RandomState(channels).randn(2, 3, channels).astype(np.float32)
    bits = pack_signs(x)
    assert bits.shape == (2, 3, (channels + 31) // 32)
    np.testing.assert_array_equal(unpack_signs(bits, channels), signs(x))


def test_groups_begin_at_a_word_of_their_own():
    x = np.array([[1, -1, 1, -1, -1, -1]], np.int8)
    assert pack_signs(x, groups=2).tolist() == [[0b010, 0b111]]
    np.testing.assert_array_equal(unpack_signs(pack_signs(x, 2), 6, 2), x)


def test_bits_are_the_signs_of_exact_sums():
    # 0.1f * 3 rounds to the float of 0.3, so that the rounded sum is 0; the exact sum is above or below.
    geometry = BinaryGeometry(3, 2, (1, 1))
    x, weights = np.ones((1, 1, 1, 3), np.float32), np.ones((2, 1, 1, 3))
    m = np.array([0.1, -0.1], np.float32)
    b = -(m * np.float32(3))
    assert (binary_conv2d(x, weights, m, b, geometry) == 0).all()
    exact = 3 * m.astype(np.float64) + b
    assert (exact != 0).all()
    bits = binary_conv2d(x, weights, m, b, geometry, "bits")
    np.testing.assert_array_equal(unpack_signs(bits, 2).reshape(-1), np.where(exact < 0, -1, 1))
    if library() is not None:
        np.testing.assert_array_equal(BinaryConv(geometry, weights, m, b)(x, "bits"), bits)


def test_int8_rounds_half_to_even_and_clips():
    geometry = BinaryGeometry(1, 5, (1, 1))
    offset = np.array([0.5, 1.5, 400, -400, -1.5], np.float32)
    x, weights, m = np.ones((1, 1, 1, 1), np.float32), np.ones(geometry.weight_shape), np.full(5, 1.0, np.float32)
    assert binary_conv2d(x, weights, m, offset, geometry, "int8").reshape(-1).tolist() == [2, 2, 127, -127, 0]


def test_batch_norm_folds_into_multiplier_and_offset():
    random = np.random.RandomState(3)
    alpha, gamma, beta, mean = random.randn(4, 8)
    variance = random.rand(8)
    dot = random.randint(-99, 99, 8)
    m, b = fold_batch_norm(alpha, gamma, beta, mean, variance, 1e-5)
    expected = gamma * (alpha * dot - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(m * dot + b, expected, rtol=1e-5, atol=1e-5)


def check_native(geometry, kernels):
    x, weights, multiplier, offset = numbers(geometry)
    conv = BinaryConv(geometry, weights, multiplier, offset, kernels)
    assert conv.kernels == kernels
    for values in (x, x.astype(np.int8)):
        bits = conv.pack(values)
        np.testing.assert_array_equal(bits, pack_signs(x, geometry.groups))
    for output in OUTPUTS:
        got = conv.run(bits, output)
        want = binary_conv2d(x, weights, multiplier, offset, geometry, output)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want, err_msg=output)


def kernels_here():
    """Every set of kernels that runs on this processor."""
    geometry = BinaryGeometry(1, 1, (1, 1))
    one = np.ones(1, np.float32)
    found = ["numpy"]
    for name in ("reference", "avx2", "avx512", "amx", "neon"):
        try:
            BinaryConv(geometry, np.ones((1, 1, 1, 1)), one, one, name)
        except ValueError:
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("kernels", kernels_here())
def test_native_equals_the_oracle_on_odd_sizes(kernels):
    for channels, kernel, stride, padding in GRID:
        pad = kernel // 2
        outs = 1 + (channels * 5 + kernel) % 97
        check_native(BinaryGeometry(channels, outs, (kernel,) * 2, (stride,) * 2, (pad,) * 4, 1, padding), kernels)
    for geometry in OTHERS:
        check_native(geometry, kernels)


@needs_library
def test_a_chain_stays_in_bits():
    first = BinaryGeometry(65, 96, (3, 3), pads=(1, 1, 1, 1))
    second = BinaryGeometry(96, 33, (3, 3), (2, 2), (1, 1, 1, 1), 3, "one")
    x, w1, m1, b1 = numbers(first)
    _, w2, m2, b2 = numbers(second)
    hidden = BinaryConv(first, w1, m1, b1)(x, "bits")  # 96 channels in one group are 3 groups of 32: the same words
    got = BinaryConv(second, w2, m2, b2).run(hidden)
    between = unpack_signs(binary_conv2d(x, w1, m1, b1, first, "bits"), 96)
    np.testing.assert_array_equal(got, binary_conv2d(between, w2, m2, b2, second))


def test_results_go_where_they_are_asked_to():
    geometry = BinaryGeometry(33, 40, (3, 3))
    x, weights, multiplier, offset = numbers(geometry)
    conv = BinaryConv(geometry, weights, multiplier, offset)
    out = np.full((2, 3, 13, 40), 7, np.float32)
    assert conv.run(conv.pack(x), out=out) is out
    np.testing.assert_array_equal(out, binary_conv2d(x, weights, multiplier, offset, geometry))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 5}, "64 -> 32 channels do not divide into 5 groups"),
        ({"padding": "same"}, "padding is 'zero' or 'one', got 'same'"),
        ({"kernel": (16, 3)}, "kernel and stride are 1 to 15"),
        ({"stride": (0, 1)}, "kernel and stride are 1 to 15"),
        ({"pads": (3, 0, 0, 0)}, "are not less than the kernel"),
    ],
)
def test_geometry_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        BinaryGeometry(**dict({"in_channels": 64, "out_channels": 32, "kernel": (3, 3)}, **change))


def test_arrays_that_do_not_fit():
    geometry = BinaryGeometry(33, 4, (3, 3))
    x, weights, multiplier, offset = numbers(geometry)
    with pytest.raises(ValueError, match=r"weights are \(4, 3, 3, 33\), got \(4, 3, 3, 32\)"):
        BinaryConv(geometry, weights[..., :32], multiplier, offset)
    with pytest.raises(ValueError, match="multiplier has 4 values"):
        BinaryConv(geometry, weights, multiplier[:3], offset)
    with pytest.raises(ValueError, match="offset has values that are not finite"):
        BinaryConv(geometry, weights, multiplier, np.full(4, np.nan))
    with pytest.raises(ValueError, match="kernels 'sse9'"):
        BinaryConv(geometry, weights, multiplier, offset, "sse9")
    conv = BinaryConv(geometry, weights, multiplier, offset)
    with pytest.raises(ValueError, match="float32 or int8, got float64"):
        conv.pack(x.astype(np.float64))
    with pytest.raises(ValueError, match=r"images are contiguous \(N, H, W, 33\)"):
        conv.pack(x[..., :32])
    with pytest.raises(ValueError, match=r"bits are contiguous uint32 \(N, H, W, 2\)"):
        conv.run(np.zeros((1, 5, 5, 1), np.uint32))
    with pytest.raises(ValueError, match="an image of 2 x 5 is smaller than the kernel"):
        conv.run(np.zeros((1, 2, 5, 2), np.uint32))
    with pytest.raises(ValueError, match="output is one of float32, int8, bits, got 'int4'"):
        conv.run(conv.pack(x), "int4")
    with pytest.raises(ValueError, match="out is contiguous float32"):
        conv.run(conv.pack(x), out=np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match=r"images are \(N, H, W, 33\)"):
        binary_dot(x[0], weights, geometry)


def test_the_example_of_the_page_runs(capsys):
    page = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "binary.md")
    with open(page, encoding="utf-8") as stream:
        example = re.search(r"```python\n(.*?)```", stream.read(), re.S).group(1)
    exec(compile(example, page, "exec"), {})
    assert capsys.readouterr().out.endswith("(1, 28, 28, 128) (1, 28, 28, 4)\n")


def test_without_the_library_numpy_does_it(monkeypatch):
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    geometry = BinaryGeometry(33, 40, (3, 3))
    x, weights, multiplier, offset = numbers(geometry)
    conv = BinaryConv(geometry, weights, multiplier, offset)
    assert conv.kernels == "numpy"
    np.testing.assert_array_equal(conv(x, "int8"), binary_conv2d(x, weights, multiplier, offset, geometry, "int8"))
    with pytest.raises(ValueError, match="kernels 'avx2' need the native library, which is absent"):
        BinaryConv(geometry, weights, multiplier, offset, "avx2")
