import os

import pytest

from edgekit.bench.clocks import clock_points, clock_probes, clock_summary
from edgekit.bench.sensors import Log
from edgekit.profiles import read_profile
from tests.sysfs import BOARDS, make_tree, set_gpu_hz, write


def profile_of_board(board):
    return read_profile(board.split("-l4t")[0])


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_every_board_tells_its_clocks(tmp_path, board):
    root = make_tree(str(tmp_path), board, gpu_hz=510000000, emc_hz=1600000000, cpu_khz=1190400)
    log = Log(clock_probes(profile_of_board(board), root))
    log.take(1.0)
    found = clock_summary(log, profile_of_board(board), [1.0, 1.0], root)
    assert found["gpu_mhz"] == {"min": 510.0, "mean": 510.0, "max": 510.0}
    assert found["memory_mhz"]["mean"] == 1600.0
    assert found["cpu_mhz"]["mean"] == 1190.4
    assert found["gpu_load_percent"]["mean"] == 0.0
    assert (found["gpu_governor"], found["cpu_governor"]) == ("nvhost_podgov", "schedutil")


def test_only_the_counted_frames_count(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")
    profile = read_profile("orin-nx")
    log = Log(clock_probes(profile, root))
    for second, mhz in enumerate((306, 408, 1173, 816, 306)):
        set_gpu_hz(root, "orin-nx", mhz * 1000000)
        write(root, BOARDS["orin-nx"].gpu + "/load", 100 * second)
        log.take(float(second))
    found = clock_summary(log, profile, [1.0, 2.0, 3.0], root)
    assert found["gpu_mhz"] == {"min": 408.0, "mean": 799.0, "max": 1173.0}
    assert found["gpu_load_percent"]["mean"] == 20.0
    assert clock_points(log, [1.0, 3.0])["gpu_mhz"] == [[0.0, 408.0], [1.0, 1173.0], [2.0, 816.0]]


def test_the_fastest_cluster_is_the_processor_s_clock(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx", cpu_khz=729600)
    write(root, "/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", 1984000)
    assert clock_probes(None, root)["cpu_mhz"]() == 1984.0


def test_clocks_that_are_not_shown_say_why(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx", without=["gpu", "debug", "cpufreq"])
    profile = read_profile("orin-nx")
    found = clock_summary(Log(clock_probes(profile, root)), profile, [0.0, 1.0], root)
    assert "run with sudo" in found["memory_mhz"]["missing"]
    assert "is not shown" in found["gpu_mhz"]["missing"]
    assert "the kernel shows no /sys/devices/system/cpu/cpufreq" in found["cpu_mhz"]["missing"]
    assert found["gpu_governor"] is None and found["cpu_governor"] is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_clock_for_root_alone_is_no_clock(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")
    os.chmod(root + "/sys/kernel/debug/bpmp/debug/clk/emc/rate", 0)
    assert "memory_mhz" not in clock_probes(read_profile("orin-nx"), root)


def test_a_machine_without_a_profile_has_its_processor(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")
    log = Log(clock_probes(None, root))
    log.take(0.0)
    found = clock_summary(log, None, [0.0, 1.0], root)
    assert found["cpu_mhz"]["mean"] == 1497.6
    assert found["gpu_mhz"] == {"missing": "no device profile fits this machine"}


def test_a_run_between_two_readings_has_the_next_one(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx")
    log = Log(clock_probes(None, root))
    for second, khz in ((0.0, 1000000), (1.0, 1500000)):
        write(root, "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", khz)
        write(root, "/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", khz)
        log.take(second)
    assert clock_summary(log, None, [0.7, 0.8], root)["cpu_mhz"]["mean"] == 1500.0
