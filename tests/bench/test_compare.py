import copy

import numpy as np
import pytest

from edgekit.bench.compare import (
    against,
    check_comparable,
    check_same_bundle,
    comparability_warnings,
    ratio_of_medians,
    ratio_of_separate_medians,
)
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


def test_another_version_of_the_library_may_be_compared_and_is_told():
    other = copy.deepcopy(RESULT)
    other["artifact"]["backend"] = "onnxruntime 1.20.0"
    check_comparable(RESULT, other)
    assert comparability_warnings(RESULT, other) == ["library: onnxruntime 1.19.2 and onnxruntime 1.20.0"]
    other["artifact"]["backend"] = "tensorrt 10.3.0"
    with pytest.raises(ConfigError, match="differ in artifact.backend"):
        check_comparable(RESULT, other)


def test_separate_runs_are_resampled_apart():
    rng = np.random.RandomState(0)
    ratio = ratio_of_separate_medians(20 + rng.rand(200), 10 + rng.rand(63))
    assert ratio.pairs == 63
    assert 1.9 < ratio.low <= 1.952 <= ratio.high < 2.0  # 20.5 over 10.5
    with pytest.raises(ValueError, match="need samples of both, got 0 and 1"):
        ratio_of_separate_medians([], [1.0])


def test_the_interval_of_separate_runs_holds_the_truth_in_about_19_of_20():
    hits = 0
    for seed in range(60):
        rng = np.random.RandomState(seed)
        ratio = ratio_of_separate_medians(rng.lognormal(1.0, 0.2, 80), rng.lognormal(0.9, 0.2, 65), seed=seed)
        hits += ratio.low <= np.exp(0.1) <= ratio.high
    assert 52 <= hits <= 60


FULL = {
    "machine": dict(RESULT["machine"], governor="schedutil", power_mode={"name": "25W"}),
    "artifact": dict(RESULT["artifact"], backend="tensorrt 10.3.0", file="x.ekb"),
    "libraries": {"opencv": "4.8.0"},
    "method": dict(
        RESULT["method"], clocks_locked=True, data_transfers=True, spin_wait=False, cuda_graph=True, started="then"
    ),
    "clocks": {"gpu_mhz": {"mean": 918.0}, "memory_mhz": {"mean": 3199.0}, "cpu_mhz": {"missing": "why"}},
    "thermal": {
        "zones_c": {"cpu": {"start": 50.0}, "tj": {"start": 52.0}},
        "throttle": {"events": 0, "active": False},
        "over_current": {"missing": "why"},
    },
    "power": {"rail": "VDD_IN", "mean_w": 10.0, "j_per_frame": 0.5},
}


def changed(path, value):
    result = copy.deepcopy(FULL)
    place = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return result


def test_like_and_like_leave_no_doubt():
    assert comparability_warnings(FULL, copy.deepcopy(FULL)) == []
    assert comparability_warnings(FULL, changed(("clocks", "gpu_mhz", "mean"), 880.0)) == []
    assert comparability_warnings(FULL, changed(("thermal", "zones_c", "tj", "start"), 61.0)) == []


@pytest.mark.parametrize(
    ("path", "value", "warning"),
    [
        (("machine", "power_mode", "name"), "40W", "power mode: 25W and 40W"),
        (("artifact", "backend"), "tensorrt 10.7.0", "library: tensorrt 10.3.0 and tensorrt 10.7.0"),
        (("libraries", "opencv"), "4.9.0", "OpenCV: 4.8.0 and 4.9.0"),
        (("method", "clocks_locked"), False, "locked clocks: yes and no"),
        (("machine", "governor"), "performance", "governor of the processor: schedutil and performance"),
        (("method", "data_transfers"), False, "copies to and from the GPU: yes and no"),
        (("method", "spin_wait"), True, "spinning while it waits: no and yes"),
        (("method", "cuda_graph"), False, "a CUDA graph: yes and no"),
        (("clocks", "gpu_mhz", "mean"), 860.0, "mean clock of the GPU: 918 and 860 MHz"),
        (("clocks", "memory_mhz", "mean"), 2133.0, "mean clock of the memory: 3199 and 2133 MHz"),
        (("thermal", "throttle", "active"), True, "throttled while measuring: the second"),
        (("thermal", "over_current"), {"events": 3}, "throttled while measuring: the second"),
        (("thermal", "zones_c", "tj", "start"), 63.0, "warmest part at the start: 52 and 63 C"),
        (("power", "rail"), "POM_5V_IN", "power measured at: VDD_IN and POM_5V_IN"),
        (("power",), {"missing": "why"}, "power is known of one of them alone"),
    ],
)
def test_what_leaves_a_doubt_is_named(path, value, warning):
    assert comparability_warnings(FULL, changed(path, value)) == [warning]


def test_a_result_of_an_older_edgekit_gives_no_doubts_about_what_it_does_not_tell():
    assert comparability_warnings(RESULT, FULL) == [
        "library: onnxruntime 1.19.2 and tensorrt 10.3.0",
        "power is known of one of them alone",
    ]


def with_samples(result, infer_ms, count, joules):
    stages = {
        "capture": [5.0] * count,
        "infer": [infer_ms + 0.01 * (n % 7) for n in range(count)],
        "track": [0.0] * count,
    }
    stages["end_to_end"] = [sum(values) for values in zip(*stages.values())]
    return dict(copy.deepcopy(result), samples={"stages": stages}, power={"mean_w": 1.0, "j_per_frame": joules})


def test_a_run_against_an_earlier_one():
    new, old = with_samples(FULL, 10.0, 63, 0.25), with_samples(FULL, 20.0, 80, 0.5)
    found = against(new, old)
    assert found["verdict"] == "2.00x faster"
    assert found["speedup"]["infer"]["pairs"] == 63
    assert set(found["speedup"]) == {"infer", "process"}  # nothing was tracked, and reading is not the bundle's
    assert found["j_per_frame"] == 2.0
    assert (found["file"], found["started"], found["warnings"]) == ("x.ekb", "then", [])


def test_energy_that_one_of_them_lacks_is_not_compared():
    assert against(with_samples(FULL, 10.0, 9, None), with_samples(FULL, 10.0, 9, 0.5))["j_per_frame"] is None


def test_a_run_of_something_else_is_refused():
    other = with_samples(FULL, 10.0, 9, 0.5)
    other["artifact"] = dict(other["artifact"], sha256="cd")
    with pytest.raises(ConfigError, match="differ in artifact.sha256"):
        against(with_samples(FULL, 10.0, 9, 0.5), other)


def test_a_result_without_its_samples_is_refused():
    old = with_samples(FULL, 10.0, 9, 0.5)
    del old["samples"]
    with pytest.raises(ConfigError, match="x.ekb has no samples.*save one with -o"):
        against(with_samples(FULL, 10.0, 9, 0.5), old)


def test_another_bundle_is_refused_before_the_run():
    check_same_bundle("ab", FULL)
    with pytest.raises(ConfigError, match="another bundle .x.ekb ab…, this one is cd….*--vs"):
        check_same_bundle("cd", FULL)
