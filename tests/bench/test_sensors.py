import math

import numpy as np
import pytest

from edgekit.bench.sensors import Log, Sampler, file_probe
from tests.sysfs import write


def test_a_file_that_cannot_be_read_is_nothing_and_not_zero(tmp_path):
    assert file_probe(write(str(tmp_path), "/temp", 51000), 0.001)() == 51.0
    assert file_probe(write(str(tmp_path), "/temp", "nan"), 0.001)() is None
    assert file_probe(str(tmp_path / "none"), 0.001)() is None


def test_a_log_leaves_out_what_read_nothing():
    values = iter([1.0, None, 3.0])
    log = Log({"a": lambda: next(values), "b": lambda: 7.0})
    for now_s in (10.0, 11.0, 12.0):
        log.take(now_s)
    t_s, a = log.series("a")
    assert (t_s.tolist(), a.tolist()) == ([10.0, 12.0], [1.0, 3.0])
    assert log.series("b")[1].tolist() == [7.0] * 3


def test_a_full_log_thins_itself_and_goes_on():
    count = iter(range(1000))
    log = Log({"n": lambda: float(next(count))}, most=16)
    for now_s in range(100):
        log.take(float(now_s))
    t_s, values = log.series("n")
    assert len(log) <= 16
    assert values.tolist() == t_s.tolist()
    assert set(np.diff(values)) == {8.0}  # every eighth of 100, from the first on
    assert values[0] == 0 and values[-1] >= 88


def test_slow_probes_are_read_every_so_many_times(clock):
    fast, slow = Log({"x": lambda: 1.0}), Log({"y": lambda: 2.0})
    sampler = Sampler(fast, slow, slow_every=4, clock=clock)
    for _ in range(9):
        sampler.take()
        clock.pass_ms(50)
    assert (len(fast), len(slow)) == (9, 3)
    assert slow.series("y")[0] == pytest.approx([100.0, 100.2, 100.4])


def test_reading_takes_time_and_that_is_counted(clock):
    sampler = Sampler(Log({"x": lambda: clock.pass_ms(3) or 1.0}), Log({}), clock=clock)
    sampler.take()
    sampler.take()
    assert sampler.busy_s == pytest.approx(0.006)


def test_the_thread_reads_until_it_is_stopped():
    sampler = Sampler(Log({"x": lambda: 1.0}), Log({"y": lambda: 2.0}), period_s=0.001)
    sampler.start()
    while sampler.readings < 5:
        pass
    sampler.stop()
    readings = sampler.readings
    sampler.stop()
    assert sampler.readings == readings == len(sampler.fast)
    t_s, _ = sampler.fast.series("x")
    assert (np.diff(t_s) > 0).all()
    # the first and the last reading are of both logs
    assert sampler.slow.series("y")[0][[0, -1]].tolist() == t_s[[0, -1]].tolist()


def test_a_probe_that_breaks_is_told_when_the_thread_is_stopped():
    readings = iter([1.0])

    def probe():
        return next(readings, None) or math.sqrt(-1)

    sampler = Sampler(Log({"x": probe}), Log({}), period_s=0.001)
    sampler.start()
    sampler._thread.join(5)
    with pytest.raises(ValueError, match="math domain"):
        sampler.stop()


def test_a_log_that_is_begun_again_keeps_every_reading():
    log = Log({"n": lambda: 1.0}, most=4)
    for now_s in range(9):
        log.take(float(now_s))
    log.clear()
    log.take(20.0)
    log.take(21.0)
    assert log.series("n")[0].tolist() == [20.0, 21.0]


def test_a_restarted_log_begins_with_a_reading_of_now(clock):
    sampler = Sampler(Log({"x": lambda: 1.0}), Log({"y": lambda: 2.0}), clock=clock)
    sampler.take()
    clock.pass_ms(500)
    sampler.restart()
    assert sampler.fast.series("x")[0] == pytest.approx([100.5])
    assert sampler.slow.series("y")[0][0] == 100.0
