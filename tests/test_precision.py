import json

import numpy as np
import pytest

from edgekit.precision import (
    QuantPlan,
    QuantSpec,
    bit_planes,
    codes_from_planes,
    container_codes,
    dequantize,
    fake_quantize,
    master_slices,
    midrise_codes,
    midrise_from_planes,
    midrise_step,
    midrise_width,
    narrow_codes,
    pack_bits,
    quantize,
    raised_by,
    raised_codes,
    unpack_bits,
)

ODD_SIZES = [1, 63, 64, 65]


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(1, 9))
def test_packed_codes_come_back(bits, signed, size):
    spec = QuantSpec(bits, (1.0,), signed=signed)
    rng = np.random.RandomState(bits)
    codes = rng.randint(spec.qmin, spec.qmax + 1, size).astype(np.int8 if signed else np.uint8)
    if bits == 1 and signed:
        codes = np.where(codes > 0, 1, -1).astype(np.int8)
    packed = pack_bits(codes, bits)
    assert len(packed) == (size * bits + 7) // 8
    back = unpack_bits(packed, bits, size, signed)
    np.testing.assert_array_equal(back, codes)
    assert back.dtype == codes.dtype


@pytest.mark.parametrize("bits", range(2, 9))
def test_raised_codes_fill_seven_bits_and_stand_for_the_same_values(bits):
    spec = QuantSpec(bits, (0.1,))
    codes = np.arange(spec.qmin, spec.qmax + 1).astype(np.int8)
    raised = raised_codes(codes, bits)
    assert raised.dtype == np.int8
    if bits == 8:
        np.testing.assert_array_equal(raised, codes)
        return
    assert 32 <= np.abs(raised).max() <= 63
    step = np.float32(0.1) / np.float32(2 ** raised_by(bits))
    np.testing.assert_array_equal(raised * step, dequantize(codes, spec))


def test_packing_is_most_significant_bit_first():
    assert pack_bits(np.int8([1, -1, 3]), 4) == bytes([0x1F, 0x30])


def test_unpacking_the_wrong_length_says_so():
    with pytest.raises(ValueError, match="5 codes of 3 bits take 2 bytes, got 3"):
        unpack_bits(b"abc", 3, 5)


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("bits", range(1, 9))
def test_planes_hold_the_codes(bits, size):
    spec = QuantSpec(bits, (1.0,))
    codes = np.random.RandomState(bits).randint(spec.qmin, spec.qmax + 1, size).astype(np.int8)
    if bits == 1:
        codes = np.where(codes > 0, 1, -1).astype(np.int8)
    planes = bit_planes(codes.reshape(1, -1), bits)
    assert planes.shape == (bits, (size + 7) // 8) and planes.dtype == np.uint8
    back = codes_from_planes(planes, size)
    np.testing.assert_array_equal(back, codes)
    assert back.dtype == np.int8


@pytest.mark.parametrize("kept", range(2, 8))
def test_the_first_planes_alone_are_the_codes_at_that_width(kept):
    codes = np.arange(-127, 128).astype(np.int8)
    np.testing.assert_array_equal(codes_from_planes(bit_planes(codes, 8)[:kept], 255), codes >> (8 - kept))


def test_the_most_significant_plane_comes_first_and_the_first_code_is_the_lowest_bit():
    np.testing.assert_array_equal(bit_planes(np.int8([3, -3, 0]), 3), [[0b010], [0b001], [0b011]])


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_stay_in_the_symmetric_range(bits):
    spec = QuantSpec(bits, (0.1,))
    codes = quantize(np.linspace(-100, 100, 65), spec)
    assert codes.min() == -(2 ** (bits - 1) - 1)
    assert codes.max() == 2 ** (bits - 1) - 1


def test_rounding_is_half_to_even():
    codes = quantize(np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5]), QuantSpec(8, (1.0,)))
    np.testing.assert_array_equal(codes, [0, 2, 2, 0, -2, -2])


def test_unsigned_codes_never_go_below_zero():
    codes = quantize(np.float32([-1, 0, 300]), QuantSpec(8, (1.0,), signed=False))
    np.testing.assert_array_equal(codes, [0, 0, 255])
    assert codes.dtype == np.uint8


@pytest.mark.parametrize("axis", [0, 1])
def test_a_channel_scale_applies_along_its_axis(axis):
    x = np.ones((3, 3), np.float32)
    back = fake_quantize(x, QuantSpec(8, (0.3, 0.4, 0.9), granularity="channel", axis=axis))
    line = back[:, 0] if axis == 0 else back[0]
    np.testing.assert_allclose(line, [0.9, 0.8, 0.9], rtol=1e-6)


def test_a_clip_is_applied_before_rounding():
    spec = QuantSpec(8, (1.0,), clip=(-2.0, 3.0))
    np.testing.assert_array_equal(quantize(np.float32([-9, 9]), spec), [-2, 3])


def test_one_bit_is_the_sign():
    spec = QuantSpec(1, (0.5,))
    np.testing.assert_array_equal(fake_quantize(np.float32([-3, 0, 0.2]), spec), [-0.5, 0.5, 0.5])


def test_narrow_codes_fit_seven_bits_and_stay_close():
    codes = np.arange(-127, 128).astype(np.int8)
    narrow = narrow_codes(codes)
    assert np.abs(narrow).max() == 63
    error = narrow.astype(np.float32) * np.float32(127 / 63) - codes
    assert np.abs(error).max() <= 127 / 63 / 2 + 1e-4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": 9, "scale": (1.0,)}, "1 to 8"),
        ({"bits": 8, "scale": ()}, "one scale"),
        ({"bits": 8, "scale": (0.0,)}, "> 0"),
        ({"bits": 8, "scale": (float("nan"),)}, "> 0"),
        ({"bits": 8, "scale": (1.0, 2.0)}, "one scale"),
        ({"bits": 8, "scale": (1.0,), "granularity": "row"}, "granularity"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        QuantSpec(**fields)


def test_a_plan_survives_json_bit_for_bit():
    plan = QuantPlan(
        weights={"conv1": QuantSpec(4, (0.1, 1 / 3), granularity="channel", source="ptq:mse")},
        activations={"t": QuantSpec(8, (0.07,), clip=(-1.0, 2.0))},
        excluded={"stem": "sensitive"},
    )
    assert QuantPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_plan_counts_its_layers_by_width():
    specs = {name: QuantSpec(bits, (0.1,)) for name, bits in (("a", 4), ("b", 8), ("c", 4))}
    assert list(QuantPlan(weights=specs).layers_by_bits().items()) == [(8, 1), (4, 2)]
    assert QuantPlan().layers_by_bits() == {}


def test_dequantize_undoes_scale_only():
    spec = QuantSpec(8, (0.25,))
    np.testing.assert_array_equal(dequantize(np.int8([-4, 8]), spec), [-1.0, 2.0])


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [1, 63, 64, 65])
def test_the_first_planes_of_a_master_are_a_precision(bits, count):
    master = np.random.RandomState(count).randint(-127, 128, count).astype(np.int8)
    planes = bit_planes(master, 8)[:bits]
    assert planes.size == bits * ((count + 7) // 8)
    codes = midrise_from_planes(planes, count)
    np.testing.assert_array_equal(codes, midrise_codes(master, bits))
    assert np.abs(codes).max() <= 2 ** (midrise_width(bits) - 1) - 1  # the symmetric codes of that width


@pytest.mark.parametrize("bits", range(1, 9))
def test_slices_in_steps_and_at_once_are_the_same(bits):
    every = np.arange(-127, 128).astype(np.int8)
    stepwise = every
    for width in range(7, bits - 1, -1):
        stepwise = np.floor_divide(stepwise, 2)
        np.testing.assert_array_equal(stepwise, master_slices(every, width))
    np.testing.assert_array_equal(stepwise, master_slices(every, bits))


@pytest.mark.parametrize("bits", range(1, 9))
def test_containers_are_in_the_middle_of_their_cells(bits):
    every = np.arange(-127, 128)
    cell = 2 ** (8 - bits)
    containers = container_codes(every.astype(np.int8), bits).astype(int)
    inside = containers - every
    assert inside.min() >= -cell // 2 and inside.max() <= cell // 2
    assert len(np.unique(containers)) == (255 if bits == 8 else 2**bits)
    expected = midrise_codes(every.astype(np.int8), bits).astype(int) * midrise_step(bits)
    np.testing.assert_array_equal(containers, expected)
    # a container has the slices that it stands for, so it is a master of them too
    np.testing.assert_array_equal(master_slices(containers, bits), master_slices(every, bits))


@pytest.mark.parametrize("bits", [0, 9])
def test_a_precision_has_one_to_eight_bits(bits):
    with pytest.raises(ValueError, match="1 to 8 bits, got {}".format(bits)):
        master_slices(np.zeros(1, np.int8), bits)
