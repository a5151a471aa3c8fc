import pytest

from edgekit.bench.timing import Timing, interleave, shuffled_orders, summary, time_calls


def test_summary_of_known_samples():
    found = summary([float(value) for value in range(1, 101)])
    assert found == {"p50": 50.5, "p90": 90.1, "p99": 99.01, "max": 100.0, "mean": 50.5, "min": 1.0}


@pytest.mark.parametrize("count", [1, 2, 63])
def test_summary_orders_its_percentiles(count):
    found = summary([(7.0 * value) % 11 for value in range(count)])
    assert found["min"] <= found["p50"] <= found["p90"] <= found["p99"] <= found["max"]


def test_summary_of_nothing():
    assert summary([]) == {}


def test_time_calls_counts_the_warm_up_out(clock):
    durations = iter([50.0, 40.0, 3.0, 4.0, 5.0])
    timing = time_calls(lambda: clock.pass_ms(next(durations)), runs=3, warmup=2, clock=clock)
    assert timing.samples_ms == pytest.approx((3.0, 4.0, 5.0))
    assert timing.warmup == 2
    assert timing.summary()["p50"] == pytest.approx(4.0)


def test_interleave_runs_each_once_a_round(clock):
    log = []

    def call(name, ms):
        log.append(name)
        clock.pass_ms(ms)

    calls = {"a": lambda: call("a", 2.0), "b": lambda: call("b", 6.0)}
    timings = interleave(calls, rounds=20, warmup=3, seed=1, clock=clock)
    assert timings["a"].samples_ms == pytest.approx([2.0] * 20)
    assert timings["b"].samples_ms == pytest.approx([6.0] * 20)
    rounds = [tuple(log[at : at + 2]) for at in range(0, len(log), 2)]
    assert len(rounds) == 23
    assert set(rounds) == {("a", "b"), ("b", "a")}


def test_the_order_depends_on_the_seed_alone():
    assert shuffled_orders("abc", 9, seed=4) == shuffled_orders("abc", 9, seed=4)
    assert shuffled_orders("abc", 9, seed=4) != shuffled_orders("abc", 9, seed=5)


def test_a_timing_is_frozen():
    with pytest.raises(AttributeError):
        Timing((1.0,)).warmup = 3
