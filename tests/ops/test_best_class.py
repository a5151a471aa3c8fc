import numpy as np
import pytest

from edgekit.ops import best_class as module
from edgekit.ops.best_class import best_class, best_class_reference


def made(classes, count, seed=0):
    """Coarse scores: many are equal, and many are just the threshold."""
    return (np.random.RandomState(seed).randint(0, 11, (classes, count)) / 10).astype(np.float32)


def same(found, expected):
    for one, other in zip(found, expected):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 63, 64, 65, 511, 513, 8400])
@pytest.mark.parametrize("classes", [1, 2, 80])
def test_native_finds_what_the_reference_finds(opened, count, classes):
    if not hasattr(opened, "edgekit_best_class"):
        pytest.skip("the native library is older: make native")
    scores = made(classes, count, count + classes)
    for conf in (0.0, 0.3, 0.5, 1.0, 2.0):
        same(module._native(scores, conf), best_class_reference(scores, conf))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_column_with_a_nan_is_never_kept(monkeypatch):
    scores = made(3, 40)
    scores[1, 7] = scores[2, 39] = np.nan
    scores[0, 8] = np.inf
    expected = best_class_reference(scores, 0.5)
    assert 7 not in expected[0] and 39 not in expected[0] and 8 in expected[0]
    same(best_class(scores, 0.5), expected)
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    same(best_class(scores, 0.5), expected)


def test_takes_other_layouts_and_a_numpy_threshold():
    scores = made(5, 65, 3)
    expected = best_class_reference(scores, 0.3)
    same(best_class(np.asfortranarray(scores), 0.3), expected)
    same(best_class(np.ascontiguousarray(scores.T).T, np.float64(0.3)), expected)
    spread = np.zeros((5, 130), np.float32)
    spread[:, ::2] = scores
    same(best_class(spread[:, ::2], 0.3), expected)
    same(best_class(scores, np.float32(0.3)), expected)


def test_a_library_without_the_function_is_no_error(monkeypatch):
    monkeypatch.setattr(module, "library", lambda: object())
    scores = made(4, 30)
    same(best_class(scores, 0.5), best_class_reference(scores, 0.5))
