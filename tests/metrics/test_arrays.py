import numpy as np
import pytest

from edgekit.metrics.arrays import cosine, max_abs, snr_db


def test_snr_of_a_tenth_of_noise_is_20_db():
    reference = np.ones((3, 5), np.float32)
    assert snr_db(reference, reference * np.float32(0.9)) == pytest.approx(20.0, abs=1e-4)


def test_snr_of_equal_arrays_is_infinite():
    x = np.arange(65, dtype=np.float32)
    assert snr_db(x, x) == float("inf")
    assert snr_db(np.zeros(0), np.zeros(0)) == float("inf")
    assert snr_db(np.zeros(3), np.ones(3)) == float("-inf")


def test_snr_tells_values_that_are_not_finite():
    assert np.isnan(snr_db(np.ones(2), np.array([1.0, np.nan])))
    assert np.isnan(snr_db(np.ones(2), np.array([1.0, np.inf])))


def test_uint8_differences_do_not_wrap():
    assert max_abs(np.array([0], np.uint8), np.array([255], np.uint8)) == 255.0


def test_max_abs_and_cosine():
    a = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
    assert max_abs(a, a + np.float32(0.5)) == 0.5
    assert max_abs(np.zeros((0, 4)), np.zeros((0, 4))) == 0.0
    assert cosine(a, 3 * a) == pytest.approx(1.0)
    assert cosine(a, -a) == pytest.approx(-1.0)
    assert cosine(np.zeros(2), np.zeros(2)) == 1.0
    assert cosine(np.zeros(2), np.ones(2)) == 0.0


@pytest.mark.parametrize("measure", [snr_db, max_abs, cosine])
def test_shapes_must_agree(measure):
    with pytest.raises(ValueError, match=r"reference \(2, 1\), value \(1, 2\)"):
        measure(np.ones((2, 1)), np.ones((1, 2)))
