import numpy as np
import pytest

from edgekit.bench.cost import NetworkCost
from edgekit.bench.predict import predict
from edgekit.bench.predict_fit import LEAST, Measurement, coefficients, fit, left_out, measurements_of
from edgekit.errors import ConfigError, DataError
from edgekit.profiles import Fit
from tests.roofline import NANO, ORIN, conv

TRUE = Fit(12.0, 0.4, 0.6, 1.2, 100.0, True, "made up")


def network(seed, layers=40):
    """Kernels of many shapes: some bound by arithmetic, some by memory, some by their launch."""
    rng = np.random.RandomState(seed)
    return tuple(
        conv(
            name="conv{}".format(index),
            macs=int(10 ** rng.uniform(5, 8.5)),
            input_bytes=int(10 ** rng.uniform(4, 6.5)),
            output_bytes=int(10 ** rng.uniform(4, 6.5)),
        )
        for index in range(int(rng.randint(layers // 2, layers)))
    )


def measured(count, noise=0.0, mode=None, network_of=lambda index: "net{}".format(index)):
    """Times that the true coefficients give, with noise."""
    rng = np.random.RandomState(99)
    found = []
    for index in range(count):
        layers = network(index)
        ms = predict(NetworkCost("net", "fp16", layers, 0, 0), ORIN, mode, TRUE).latency_ms
        ms *= 1 + noise * rng.uniform(-1, 1)
        found.append(Measurement("measurement{}".format(index), network_of(index), layers, ms, ORIN.mode(mode)))
    return found


@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 0.002), (0.03, 0.1)])
def test_known_coefficients_are_found_again(noise, tolerance):
    found = fit(measured(12, noise), ORIN)
    assert found.launch_us == pytest.approx(TRUE.launch_us, rel=tolerance)
    assert found.compute_efficiency == pytest.approx(TRUE.compute_efficiency, rel=tolerance)
    assert found.bandwidth_efficiency == pytest.approx(TRUE.bandwidth_efficiency, rel=tolerance)
    assert found.measured and found.runtime_mib == ORIN.fit.runtime_mib
    assert "12 measurements of net0" in found.source


def test_measurements_of_several_modes_go_together():
    found = fit(measured(6) + measured(6, mode="SLOW", network_of=lambda index: "slow{}".format(index)), ORIN)
    assert found.launch_us == pytest.approx(TRUE.launch_us, rel=0.01)


def test_the_spread_covers_networks_that_were_left_out():
    measurements = measured(8, noise=0.1)
    found, ratios = fit(measurements, ORIN), left_out(measurements, ORIN)
    assert set(ratios) == {one.name for one in measurements}
    worst = max(max(ratio, 1 / ratio) for ratio in ratios.values())
    assert found.spread == pytest.approx(worst, abs=0.001)
    assert 1.05 < found.spread < 1.4


def test_exact_measurements_still_leave_a_spread():
    assert fit(measured(8), ORIN).spread == 1.05


def test_a_network_is_left_out_with_all_that_was_measured_on_it():
    """One network that takes twice as long, measured twice: each would hide the other's error."""
    measurements = measured(8, network_of=lambda index: "net{}".format(index // 2))
    slow = [
        Measurement(one.name, one.network, one.layers, 2 * one.ms, one.mode) if one.network == "net0" else one
        for one in measurements
    ]
    assert left_out(slow, ORIN)["measurement0"] == pytest.approx(0.5, rel=0.01)


def test_a_known_bandwidth_is_kept():
    launch_ms, compute, bandwidth = coefficients(measured(6), ORIN, 0.6)
    assert bandwidth == pytest.approx(0.6)
    assert compute == pytest.approx(TRUE.compute_efficiency, rel=0.02)
    assert launch_ms == pytest.approx(TRUE.launch_us / 1e3, rel=0.02)


def test_efficiencies_stay_at_most_one():
    quick = [Measurement(one.name, one.network, one.layers, one.ms / 20, one.mode) for one in measured(6)]
    found = fit(quick, ORIN)
    assert found.compute_efficiency <= 1.0 and found.bandwidth_efficiency <= 1.0 and found.launch_us >= 0.0


def test_too_few_are_refused():
    with pytest.raises(ConfigError, match=r"4 measurements cannot be fitted, at least 5 are needed: bench more"):
        fit(measured(LEAST - 1), ORIN)


def test_a_measurement_needs_a_time():
    with pytest.raises(ValueError, match="layers and a time above 0"):
        Measurement("x", "x", network(0), 0.0, ORIN.mode())


@pytest.fixture
def orin_is_known(monkeypatch):
    monkeypatch.setattr("edgekit.bench.predict_fit.profile_of", lambda model: ORIN if "orin" in model.lower() else None)


def result(layers=(), board="NVIDIA Jetson Orin", backend="tensorrt 10.3.0"):
    return {
        "artifact": {"file": "x.ekb", "backend": backend, "lowering": "trt10"},
        "machine": {"board": board, "cpu": "ARMv8"},
        "stages": {"infer": {"p50": 2.0}},
        "layers": [{"count": 30}] + [{"name": name, "averageMs": ms} for name, ms in layers],
    }


def cost():
    return NetworkCost("x", "trt10", (conv(name="a"), conv(name="b"), conv(name="c")), 0, 0)


def test_a_result_gives_its_median_and_the_layers_it_names(orin_is_known):
    rows = [("a + PWN(x)", 1.5), ("b", 1.0), ("a + c", 0.5), ("Reformatting CopyNode", 1.0)]
    found = measurements_of(result(rows), cost(), ORIN, ORIN.mode())
    assert [one.name for one in found] == ["x.ekb trt10", "x.ekb: a", "x.ekb: b"]
    assert found[0].ms == 2.0 and found[0].whole and len(found[0].layers) == 3
    assert [one.ms for one in found[1:]] == pytest.approx([2.0 * 1.5 / 4, 2.0 * 1.0 / 4])
    assert [one.share for one in found[1:]] == pytest.approx([1.5 / 4, 1.0 / 4])


def test_a_result_without_layers_gives_its_median(orin_is_known):
    assert len(measurements_of(result(), cost(), ORIN, ORIN.mode())) == 1


def test_the_gpus_own_time_counts_where_it_is_known(orin_is_known):
    value = dict(result(), gpu={"compute_ms": {"p50": 1.25}})
    assert measurements_of(value, cost(), ORIN, ORIN.mode())[0].ms == 1.25


def test_the_profile_that_bench_recorded_counts():
    value = result(board=None)
    value["machine"]["profile"] = "orin"
    assert len(measurements_of(value, cost(), ORIN, ORIN.mode())) == 1


def test_a_result_of_the_processor_is_refused(orin_is_known):
    with pytest.raises(DataError, match=r"x.ekb is of onnxruntime 1.19 on NVIDIA Jetson Orin, not of TensorRT"):
        measurements_of(result(backend="onnxruntime 1.19"), cost(), ORIN, ORIN.mode())


def test_a_result_of_another_board_is_refused(orin_is_known):
    with pytest.raises(DataError, match=r"is from NVIDIA Jetson Nano, which is no Jetson-Nano|is no Orin"):
        measurements_of(result(board="NVIDIA Jetson Nano"), cost(), ORIN, ORIN.mode())
    with pytest.raises(DataError, match=r"is from NVIDIA Jetson Orin, which is no Jetson-Nano"):
        measurements_of(result(), cost(), NANO, NANO.mode())
