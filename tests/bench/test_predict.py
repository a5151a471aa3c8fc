import json

import pytest

from edgekit.bench.predict import (
    KIND,
    fill,
    flop_per_clock_sm,
    launch_scale,
    predict,
    predict_layer,
    roofline_ms,
)
from edgekit.errors import ConfigError
from edgekit.profiles import Fit
from tests.roofline import NANO, ORIN, conv, net


def test_the_roofline_by_hand():
    """2 GFLOP at 8 x 2048 x 1 GHz = 16.384 TFLOP/s; 2 MB at 100 GB/s."""
    compute_ms, memory_ms = roofline_ms(conv(), ORIN, ORIN.mode())
    assert compute_ms == pytest.approx(2e9 / 16.384e12 * 1e3)
    assert memory_ms == pytest.approx(0.02)


def test_a_kernel_is_the_larger_term_and_its_launch():
    found = predict_layer(conv(), ORIN, ORIN.mode(), ORIN.fit)
    assert found.compute_ms == pytest.approx(2 * 0.1220703125)
    assert found.memory_ms == pytest.approx(0.04)
    assert found.launch_ms == pytest.approx(0.010)
    assert found.ms == pytest.approx(found.compute_ms + 0.010)
    assert found.bound == "compute"


@pytest.mark.parametrize(
    ("changed", "bound"),
    [({}, "compute"), ({"macs": 10**7, "input_bytes": 10**7}, "memory"), ({"macs": 10, "input_bytes": 10}, "launch")],
)
def test_what_bounds_a_kernel(changed, bound):
    layer = conv(output_bytes=10, **changed) if changed else conv()
    assert predict_layer(layer, ORIN, ORIN.mode(), ORIN.fit).bound == bound


def test_moving_costs_no_arithmetic():
    assert roofline_ms(conv(macs=0), ORIN, ORIN.mode())[0] == 0.0


@pytest.mark.parametrize(
    ("device", "precision", "rate"),
    [
        (ORIN, "int8", 4096),
        (ORIN, "fp16", 2048),
        (ORIN, "fp32", 1024),  # TF32
        (NANO, "fp16", 512),
        (NANO, "fp32", 256),
    ],
)
def test_rates(device, precision, rate):
    assert flop_per_clock_sm(conv(precision=precision), device) == rate


def test_depthwise_kernels_run_beside_the_tensor_cores():
    depthwise = conv(in_channels=1, out_channels=1, groups=64)
    assert flop_per_clock_sm(depthwise, ORIN) == 2 * 256
    assert flop_per_clock_sm(depthwise, NANO) == 512
    assert flop_per_clock_sm(conv(in_channels=1, out_channels=1, groups=64, precision="fp32"), NANO) == 256


@pytest.mark.parametrize(
    ("changed", "share"),
    [
        ({}, 1.0),
        ({"in_channels": 3}, 3 / 16),
        ({"in_channels": 17}, 17 / 32),
        ({"precision": "int8", "in_channels": 16}, 16 / 32),
        ({"positions": 64}, 1 / 8),  # one tile for eight multiprocessors
        ({"positions": 64 * 9}, 9 / 16),  # nine tiles: a second round for one
        ({"in_channels": 1, "out_channels": 1, "groups": 64}, 1.0),
    ],
)
def test_idle_lanes_and_multiprocessors(changed, share):
    assert fill(conv(**changed), ORIN, ORIN.mode()) == pytest.approx(share)


def test_without_tensor_cores_no_lanes_are_idle():
    assert fill(conv(in_channels=3), NANO, NANO.mode()) == 1.0


def test_launches_take_longer_at_a_lower_clock():
    assert launch_scale(ORIN, ORIN.mode("FAST")) == 1.0
    assert launch_scale(ORIN, ORIN.mode("SLOW")) == 2.0
    assert predict_layer(conv(kernels=3), ORIN, ORIN.mode("slow"), ORIN.fit).launch_ms == pytest.approx(0.060)


def test_a_network_is_the_sum_of_its_kernels():
    found = predict(net(conv(), conv(name="other", macs=0)), ORIN)
    assert found.latency_ms == pytest.approx(sum(layer.ms for layer in found.layers))
    assert (found.low_ms, found.high_ms) == pytest.approx((found.latency_ms / 2, found.latency_ms * 2))
    assert found.mode == "FAST"
    assert sum(found.shares().values()) == pytest.approx(1.0)


def test_a_slower_mode_is_slower():
    cost = net(conv())
    assert predict(cost, ORIN, "SLOW").latency_ms > 2 * predict(cost, ORIN, "FAST").latency_ms


def test_other_coefficients_replace_the_profiles():
    fit = Fit(0.0, 1.0, 1.0, 1.1, 50.0, True, "here")
    found = predict(net(conv()), ORIN, fit=fit)
    assert found.latency_ms == pytest.approx(0.1220703125)
    assert found.high_ms == pytest.approx(0.1220703125 * 1.1)
    assert any("are measured: here" in line for line in found.assumptions)


def test_sizes():
    cost = net(conv(weight_bytes=2 * 10**6), activation_bytes=5 * 10**6, border_bytes=10**6)
    found = predict(cost, ORIN)
    assert found.engine_mb == pytest.approx(2.025)
    assert found.memory_mb == pytest.approx(104.8576 + 2 * 2.025 + 5 + 2)


def test_it_says_what_it_is_wherever_it_goes():
    found = predict(net(conv(), notes=("One thing was guessed.",)), ORIN)
    value = json.loads(json.dumps(found.to_json()))
    assert found.kind == value["kind"] == KIND == "prediction"
    assert value["interval_ms"] == [round(found.low_ms, 4), round(found.high_ms, 4)]
    assert value["layers"][0]["bound"] == "compute"
    assert "One thing was guessed." in value["assumptions"]
    assert any("not measured on such a device: made up" in line for line in value["assumptions"])


def test_int8_is_refused_where_there_is_none():
    cost = net(conv(precision="int8"), lowering="trt8")
    with pytest.raises(ConfigError, match=r"jetson-nano has no INT8 and lowering 'trt8' of net is INT8; .* fp16"):
        predict(cost, NANO)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match=r"orin has no power mode 'TURBO'; it has FAST, SLOW"):
        predict(net(conv()), ORIN, "TURBO")
