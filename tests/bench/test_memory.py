import os

import pytest

from edgekit.bench.memory import (
    FOOTPRINT,
    FootprintProbe,
    MemoryLog,
    footprint_summary,
    forget_peak,
    growth_mb_per_1000_frames,
    memory_points,
    nvmap_mb,
    read_memory_mb,
)
from edgekit.bench.sensors import Log
from tests.sysfs import BOARDS, make_tree, write

STATUS = "Name:\tpython\nVmPeak:\t  900000 kB\nVmHWM:\t  250000 kB\nVmRSS:\t  200000 kB\n"


def test_reads_what_the_kernel_writes(tmp_path):
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "rollup").write_text("Rss:  200000 kB\nPss:   150000 kB\nPss_Anon: 9 kB\n")
    found = read_memory_mb(str(tmp_path / "status"), str(tmp_path / "rollup"))
    assert found == {"rss": 204.8, "peak": 256.0, "pss": 153.6}


def test_a_value_that_is_not_given_is_left_out(tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t  1000 kB\n")
    assert read_memory_mb(str(tmp_path / "status"), str(tmp_path / "none")) == {"rss": 1.024}


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_this_process_has_memory():
    found = read_memory_mb()
    assert 1 < found["rss"] <= found["peak"] < 1e6


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this kernel keeps the peak")
def test_the_peak_can_be_forgotten():
    block = bytearray(96 << 20)
    del block
    before = read_memory_mb()["peak"]
    assert forget_peak()
    assert read_memory_mb()["peak"] < before - 60


def test_a_kernel_that_forbids_it_is_no_error(tmp_path):
    assert not forget_peak(str(tmp_path / "no" / "clear_refs"))


def test_growth_is_the_slope_of_the_second_half():
    filling = [(frame, 100.0 + 2 * frame) for frame in range(0, 100, 5)]
    steady = [(frame, 300.0 + 0.05 * frame) for frame in range(100, 200, 5)]
    assert growth_mb_per_1000_frames(filling + steady) == pytest.approx(50.0)


def test_one_jump_is_not_growth():
    points = [(frame, 100.0 if frame < 900 else 108.0) for frame in range(0, 1000, 10)]
    assert growth_mb_per_1000_frames(points) == 0.0


def test_too_few_readings_say_nothing():
    assert growth_mb_per_1000_frames([(frame, 1.0 * frame) for frame in range(30)]) is None


def test_the_log_reads_every_so_many_frames():
    log = MemoryLog(every=10)
    for frame in range(25):
        log.note(frame)
    assert [frame for frame, _ in log.points] in ([0, 10, 20], [])


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_a_board_s_memory_is_the_process_s_and_its_gpu_s(tmp_path, board):
    root = make_tree(str(tmp_path), board, nvmap_kib={77: 400000, 78: 999999})
    probe = FootprintProbe(True, root, pid=77)
    assert probe.method == "pss + nvmap"
    assert probe() == pytest.approx((150000 + 400000) * 1024 / 1e6)
    assert probe.gpu_mb == pytest.approx(409.6)


def test_without_debugfs_it_is_what_the_system_has_more_in_use(tmp_path):
    root = make_tree(str(tmp_path), "orin-nano", without=["debug"])
    probe = FootprintProbe(True, root)
    assert probe.method == "pss + system"
    assert probe() == pytest.approx(153.6)
    meminfo = "MemTotal: {} kB\nMemFree: {} kB\nBuffers: 40000 kB\nCached: {} kB\nSReclaimable: 60000 kB\n"
    total = 7619 * 1024
    free, cached = total * 5 // 10, total * 2 // 10
    # 300000 kB more are in use, and as much again went into the page cache, which is nobody's
    write(root, "/proc/meminfo", meminfo.format(total, free - 600000, cached + 300000))
    assert probe() == pytest.approx(153.6 + 307.2)
    assert probe.gpu_mb is None


def test_without_a_shared_gpu_it_is_the_process_s_own(tmp_path):
    root = make_tree(str(tmp_path), "orin-nano", nvmap_kib={77: 400000})
    probe = FootprintProbe(False, root, pid=77)
    assert (probe.method, probe()) == ("pss", 153.6)


def test_a_kernel_that_does_not_tell(tmp_path):
    probe = FootprintProbe(True, str(tmp_path))
    log = Log({FOOTPRINT: probe})
    log.take(0.0)
    assert probe() is None
    assert "does not tell the memory of a process" in footprint_summary(log, probe, 0.0, 1.0)["missing"]


def test_nvmap_s_list_is_read_by_process_id():
    clients = """CLIENT                        PROCESS      PID        SIZE
user                          python3     1234      418000K
user                          python3     1234        1000K
user                             1234      912       50000K
user                      gnome-shell    11234          16K
total                                              469016K
"""
    assert nvmap_mb(clients, 1234) == pytest.approx(419000 * 1024 / 1e6)
    assert nvmap_mb(clients, 16) == 0
    assert nvmap_mb("", 1234) == 0


def test_the_peak_is_that_of_the_time_with_the_bundle(tmp_path):
    root = make_tree(str(tmp_path), "orin-nx", nvmap_kib={77: 0})
    probe = FootprintProbe(True, root, pid=77)
    log = Log({FOOTPRINT: probe})
    for second, kib in enumerate((0, 300000, 200000, 900000)):
        write(root, "/sys/kernel/debug/nvmap/iovmm/clients", "user  python3  77  {}K".format(kib))
        log.take(float(second))
    found = footprint_summary(log, probe, 0.0, 2.5)
    assert found["start"] == 153.6 and found["end"] == 358.4 and found["peak"] == 460.8
    assert memory_points(log, [1.0, 2.0])[0] == [-1.0, 153.6]


def test_an_old_kernel_s_pss_follows_the_resident_pages(tmp_path):
    root = make_tree(str(tmp_path), "jetson-nano", without=["debug"])
    probe = FootprintProbe(False, root)
    os.unlink(root + "/proc/self/smaps")  # it is looked at once
    assert probe() == pytest.approx(153.6)
    write(root, "/proc/self/status", "VmRSS: 300000 kB")
    assert probe() == pytest.approx(153.6 + 102.4)
