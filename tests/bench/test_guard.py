import pytest

from edgekit.bench.guard import Candidate, GuardOptions, decide, race
from edgekit.engine import Engine, EngineKey
from edgekit.errors import BackendError, GateError
from edgekit.runtime.session import RunTimes
from tests.fakes import FakeSession, fake_detector

KEY = EngineKey("b" * 64, "trt8", "tensorrt", "8.5.2.2", "11.4", 87, 8, "Orin")
FAST, SLOW = (1.0, 1.1, 1.2) * 20, (2.0, 2.1, 2.2) * 20


def candidate(lowering, compute_ms=(), problem="", built=True):
    engine = Engine(lowering + ".engine", KEY, "0" * 64, 4, 1.0) if built else None
    return Candidate(lowering, engine, None, compute_ms, problem)


def test_int8_flies_where_it_is_faster():
    verdict = decide([candidate("trt8", FAST), candidate("fp16", SLOW)])
    assert verdict.lowering == "trt8" and verdict.speedup.speedup == pytest.approx(2.1 / 1.1, abs=1e-3)
    assert "INT8 takes 1.100 ms, FP16 2.100 ms: 1.91 times as fast" in verdict.why


@pytest.mark.parametrize("int8", [SLOW, FAST])
def test_the_twin_flies_where_int8_gains_nothing(int8):
    verdict = decide([candidate("trt8", int8), candidate("fp16", FAST)])
    assert verdict.lowering == "fp16" and verdict.why.endswith("not enough to fly INT8")


def test_a_speedup_that_is_asked_for():
    pair = [candidate("trt8", FAST), candidate("fp16", SLOW)]
    assert decide(pair, 1.5).lowering == "trt8"
    assert decide(pair, 2.0).lowering == "fp16"


def test_a_difference_that_the_samples_do_not_show_is_none():
    int8 = tuple(0.999 * (1.0 + 0.5 * (number % 7)) for number in range(60))
    twin = tuple(1.0 + 0.5 * (number * 3 % 7) for number in range(60))
    verdict = decide([candidate("trt8", int8), candidate("fp16", twin)])
    assert verdict.lowering == "fp16"


def test_an_int8_engine_that_loses_the_boxes_is_out():
    verdict = decide([candidate("trt8", problem="2 of 2 golden images differ"), candidate("fp16")])
    assert verdict.lowering == "fp16" and verdict.why == "trt8 is out: 2 of 2 golden images differ"


def test_a_twin_that_cannot_be_built_does_not_ground_int8():
    assert decide([candidate("trt8"), candidate("fp16", problem="overflow", built=False)]).lowering == "trt8"


def test_nothing_that_could_fly():
    with pytest.raises(GateError, match="no engine finds the golden boxes: trt8: lost; fp16: lost too"):
        decide([candidate("trt8", problem="lost"), candidate("fp16", problem="lost too")])
    with pytest.raises(BackendError, match="no engine could be built: trt8: no kernel; fp16: no memory"):
        decide(
            [candidate("trt8", problem="no kernel", built=False), candidate("fp16", problem="no memory", built=False)]
        )


class TimedSession(FakeSession):
    """Says that each run took `compute_ms`; notes its name in `log`."""

    def __init__(self, name, compute_ms, log):
        FakeSession.__init__(self)
        self._name, self._compute_ms, self._log = name, compute_ms, log

    def run(self, feeds):
        self._log.append(self._name)
        if self._compute_ms is not None:
            self.last_times = RunTimes(0.1, self._compute_ms, 0.1, 0.0)
        return FakeSession.run(self, feeds)


def feeds():
    import numpy as np

    return [np.zeros((1, 3, 32, 32), np.float32)]


def test_the_race_takes_turns_and_leaves_the_warm_up_out():
    log = []
    sessions = [TimedSession("a", 2.0, log), TimedSession("b", 3.0, log)]
    detectors = [fake_detector(session) for session in sessions]
    times = race(detectors, feeds(), GuardOptions(rounds=8, warmup=2, seed=1))
    assert times == [(2.0,) * 8, (3.0,) * 8]
    assert all(sorted(log[at : at + 2]) == ["a", "b"] for at in range(0, 20, 2))
    assert len({tuple(log[at : at + 2]) for at in range(0, 20, 2)}) == 2
    assert all(session.closed for session in sessions)


def test_a_session_without_times_cannot_race():
    session = TimedSession("a", None, [])
    with pytest.raises(BackendError, match="fake 1.0 gives no times"):
        race([fake_detector(session)], feeds(), GuardOptions(rounds=1, warmup=0))
    assert session.closed
