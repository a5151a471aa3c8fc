import os

import pytest

from edgekit.bench.memory import MemoryLog, forget_peak, growth_mb_per_1000_frames, read_memory_mb

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
