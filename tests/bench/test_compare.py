import copy

import numpy as np
import pytest

from edgekit.bench.compare import check_comparable, ratio_of_medians
from edgekit.errors import ConfigError

RESULT = {
    "machine": {"arch": "aarch64", "cpu": "A78", "board": "Orin NX", "cores": 8, "threads": 8},
    "artifact": {"sha256": "ab", "lowering": "ort-arm", "backend": "onnxruntime 1.19.2", "threads": 4},
    "method": {"source": "flight.mp4", "policy": "every", "tracker": None},
}


def test_twice_as_fast_and_sure_of_it():
    rng = np.random.RandomState(0)
    slow = 20 + rng.rand(200)
    ratio = ratio_of_medians(slow, slow / 2)
    assert ratio.speedup == pytest.approx(2)
    assert 1.98 < ratio.low <= 2 <= ratio.high < 2.02
    assert ratio.verdict() == "2.00x faster"
    assert ratio_of_medians(slow / 2, slow).verdict() == "2.00x slower"


def test_noise_is_not_a_difference():
    rng = np.random.RandomState(1)
    ratio = ratio_of_medians(20 + rng.rand(100), 20 + rng.rand(100))
    assert ratio.low < 1 < ratio.high
    assert ratio.verdict() == "no difference shown"


def test_the_interval_holds_the_truth_in_about_19_of_20_runs():
    hits = 0
    for seed in range(60):
        rng = np.random.RandomState(seed)
        ratio = ratio_of_medians(rng.lognormal(1.0, 0.2, 80), rng.lognormal(0.9, 0.2, 80), seed=seed)
        hits += ratio.low <= np.exp(0.1) <= ratio.high
    assert 52 <= hits <= 60


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0, 2.0], [1.0])])
def test_pairs_must_be_pairs(first, second):
    with pytest.raises(ValueError, match="need pairs of samples"):
        ratio_of_medians(first, second)


def test_the_same_conditions_may_be_compared():
    check_comparable(RESULT, copy.deepcopy(RESULT))


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("machine", "board", "Orin Nano"),
        ("artifact", "sha256", "cd"),
        ("artifact", "threads", 1),
        ("method", "source", "other.mp4"),
    ],
)
def test_other_conditions_are_refused_by_name(part, key, value):
    other = copy.deepcopy(RESULT)
    other[part][key] = value
    with pytest.raises(ConfigError, match="differ in {}.{} .*{}.*--vs".format(part, key, value)):
        check_comparable(RESULT, other)
