import os

import numpy as np
import pytest

from edgekit.bench.power import (
    energy_j,
    frame_energy_j,
    mean_total_w,
    power_channels,
    power_probes,
    power_problem,
    power_summary,
    read_mw,
    sensor_facts,
)
from edgekit.bench.sensors import Log
from edgekit.profiles import read_profile
from tests.sysfs import BOARDS, make_tree, set_rail

PROFILES = {name: name.split("-l4t")[0] for name in BOARDS}


def sensors_of(board):
    return read_profile(PROFILES[board]).sensors


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_every_board_tells_its_rails(tmp_path, board):
    root = make_tree(str(tmp_path), board)
    channels = power_channels(sensors_of(board), root)
    assert [channel.label for channel in channels] == list(BOARDS[board].rails)
    assert channels[0].part == "total"
    milliwatts = [read_mw(channel) for channel in channels]
    assert milliwatts == [volt * ampere / 1000 for volt, ampere in BOARDS[board].rails.values()]
    assert power_problem(read_profile(PROFILES[board]), channels) is None


def test_a_channel_that_is_off_is_left_out(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")
    set_rail(root, "VDD_SOC", "", "")
    set_rail(root, "VDD_CPU_GPU_CV", 5000, "nan")
    assert [channel.label for channel in power_channels(sensors_of("orin-nx"), root)] == ["VDD_IN"]


def test_a_voltage_without_a_current_is_no_power(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")
    os.unlink(root + BOARDS["orin-nx"].power + "/curr1_input")
    channels = power_channels(sensors_of("orin-nx"), root)
    assert "VDD_IN" not in [channel.label for channel in channels]
    problem = power_problem(read_profile("orin-nx"), channels)
    assert problem.startswith("VDD_IN reads nothing below /sys/bus/i2c/drivers/ina3221")


def test_a_channel_that_goes_off_later_reads_nothing(tmp_path):
    root = make_tree(str(tmp_path), "xavier-nx")
    channel = power_channels(sensors_of("xavier-nx"), root)[0]
    set_rail(root, "VDD_IN", "", 1000)
    assert read_mw(channel) is None


@pytest.mark.parametrize(
    ("profile", "words"), [(None, "no device profile fits this machine"), ("h100", "h100 has no INA3221 power sensor")]
)
def test_a_machine_without_a_sensor_says_so(profile, words):
    assert words in power_problem(profile and read_profile(profile), [])


@pytest.mark.parametrize(
    ("board", "facts"),
    [
        ("orin-nx", {"interface": "hwmon", "update_interval_ms": 2.0, "samples": 1.0}),
        ("jetson-nano", {"interface": "iio"}),
    ],
)
def test_what_the_kernel_says_of_the_chip(tmp_path, board, facts):
    assert sensor_facts(power_channels(sensors_of(board), make_tree(str(tmp_path), board))) == facts


def test_energy_is_the_area_below_the_readings():
    t_s = np.array([0.0, 1.0, 3.0])
    watts = np.array([4.0, 8.0, 2.0])
    # 0.5..1: (6 + 8) / 2 * 0.5; 1..2: (8 + 5) / 2; 2..2.5: (5 + 3.5) / 2 * 0.5
    assert energy_j(t_s, watts, [0.5, 1.0, 2.0, 2.5]) == pytest.approx([3.5, 6.5, 2.125])
    assert energy_j(t_s, watts, [0.0, 3.0]) == pytest.approx([6.0 + 10.0])
    assert energy_j(t_s, watts, [1.25, 1.25]) == [0.0]


def test_energy_of_parts_adds_up_to_the_whole():
    rng = np.random.RandomState(0)
    t_s = np.cumsum(rng.rand(65))
    watts = 5 + rng.rand(65)
    edges = np.sort(rng.uniform(t_s[0], t_s[-1], 63))
    whole = energy_j(t_s, watts, [edges[0], edges[-1]])[0]
    fine = np.linspace(edges[0], edges[-1], 400001)
    oracle = np.interp(fine, t_s, watts).mean() * (fine[-1] - fine[0])
    assert energy_j(t_s, watts, edges).sum() == pytest.approx(whole)
    assert whole == pytest.approx(oracle, rel=1e-5)


@pytest.mark.parametrize("edges", [[-0.1, 0.5], [0.5, 1.1]])
def test_readings_that_do_not_cover_the_frames(edges):
    with pytest.raises(ValueError, match="2 readings do not cover"):
        energy_j(np.array([0.0, 1.0]), np.array([5.0, 5.0]), edges)


def test_no_readings_are_no_energy():
    with pytest.raises(ValueError, match="0 readings do not cover"):
        energy_j(np.zeros(0), np.zeros(0), [0.0, 1.0])


@pytest.fixture
def ramp(tmp_path):
    """A log of 5 W at 0 s rising by 1 W a second until 10 s; the processor's line stays at 1 W."""
    root = make_tree(str(tmp_path), "orin-nano", rails={"VDD_CPU_GPU_CV": (5000, 200)})
    channels = power_channels(sensors_of("orin-nano"), root)
    log = Log(power_probes(channels))
    for second in range(11):
        set_rail(root, "VDD_IN", 5000, 1000 + 200 * second)
        log.take(float(second))
    return log, channels


def test_a_summary_to_the_joule(ramp):
    log, channels = ramp
    power = power_summary(log, channels, [2.0, 3.0, 4.0, 6.0], idle_w=5.5, alone=True)
    # 7 to 11 W over 4 s; idle 5.5 W
    assert power["energy_j"] == 36.0
    assert power["mean_w"] == 9.0
    assert power["j_per_frame"] == 12.0
    assert power["idle_w"] == 5.5
    assert power["j_per_frame_above_idle"] == pytest.approx((36 - 5.5 * 4) / 3, abs=1e-6)
    assert power["max_w"] == 11.0
    assert power["p99_w"] == pytest.approx(10.96)
    assert power["readings"] == 5
    assert power["rails"]["VDD_CPU_GPU_CV"] == {"part": "cpu+gpu", "mean_w": 1.0}
    assert frame_energy_j(log, channels, [2.0, 3.0, 4.0, 6.0]) == [7.5, 8.5, 20.0]


def test_two_bundles_in_turns_have_no_energy_of_their_own(ramp):
    power = power_summary(*ramp, edges_s=[2.0, 3.0], idle_w=None, alone=False)
    assert power["mean_w"] == 7.5
    assert power["j_per_frame"] is None and power["j_per_frame_above_idle"] is None and power["idle_w"] is None


def test_a_run_that_was_not_read_to_its_end(ramp):
    power = power_summary(*ramp, edges_s=[2.0, 30.0], idle_w=None, alone=True)
    assert power == {"missing": "VDD_IN was read 11 times, which does not cover the run"}
    assert frame_energy_j(*ramp, edges_s=[2.0, 30.0]) == []


def test_the_mean_between_two_times(ramp):
    assert mean_total_w(*ramp, span_s=(0.0, 1.0)) == 5.5
    assert mean_total_w(*ramp, span_s=(9.0, 11.0)) is None
