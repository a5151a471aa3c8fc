import os
import warnings

import numpy as np
import pytest

from edgekit.bench import BenchConfig, against, bench
from edgekit.bench.gated import gate_energy, gate_summary
from edgekit.bench.measure import Runner, measure
from edgekit.bench.report import render
from edgekit.errors import BundleError, ConfigError
from edgekit.runtime.wake import ASLEEP, DUE, FIRST, HOLD, SEEN, GateOptions, Look

TINY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny.ekb")
FLIGHT = "synth://?seed=3&frames=8&size=160x128&fps=20"


class Gate:
    """Gives its verdicts in turn; a look takes 2 ms."""

    def __init__(self, clock, verdicts):
        self._clock, self._verdicts = clock, list(verdicts)
        self.told = []

    def look(self, frame):
        verdict = self._verdicts.pop(0)
        if verdict in (FIRST, DUE, HOLD):
            return Look(verdict)
        self._clock.pass_ms(2.0)
        return Look(verdict, 2.0)

    def found(self, frame):
        self.told.append(frame.index)


def test_a_frame_slept_through_takes_the_gates_time_alone(clock, fakes):
    gate, tracker = Gate(clock, [FIRST, ASLEEP, ASLEEP, SEEN, HOLD]), fakes.Tracker(clock)
    runner = Runner(fakes.Detector(clock), tracker, clock=clock, gate=gate)
    measure(lambda: fakes.Stream(clock, 5), [runner], frames=5, warmup=0, clock=clock)
    samples = runner.samples
    assert samples.stages["infer"] == [10.0, 0, 0, 10.0, 10.0]
    assert samples.stages["track"] == pytest.approx([0.75, 0, 0, 0.75, 0.75])
    assert samples.process_ms == pytest.approx([14.25, 2.0, 2.0, 16.25, 14.25])
    assert samples.objects == [3, 0, 0, 3, 3]
    assert [look.verdict for look in samples.looks] == [FIRST, ASLEEP, ASLEEP, SEEN, HOLD]
    assert samples.to_json()["gate"][1:4] == [[ASLEEP, 2.0], [ASLEEP, 2.0], [SEEN, 2.0]]
    assert gate.told == [0, 3, 4]
    assert tracker.steps == [1, 3, 1]


def test_the_summary_is_that_of_the_counted_frames():
    stages = {name: [3.0, 0.0, 3.0] for name in ("preprocess", "infer", "postprocess", "track")}
    looks = [Look(HOLD), Look(ASLEEP, 1.0), Look(DUE)]
    value = gate_summary(looks, stages, [1, 0, 0], {"file": "tiny.ekb"}, GateOptions(hold=4, every=9), 0.3)
    assert (value["gate_ms"], value["detector_ms"], value["heartbeats"], value["overlooked"]) == (1.0, 12.0, 1, 0)
    assert value["saved_ms"] == pytest.approx(11 / 3)
    assert (value["conf"], value["hold"], value["every"], value["artifact"]) == (0.3, 4, 9, {"file": "tiny.ekb"})


def test_energy_of_frames_awake_and_asleep():
    looks = [Look(FIRST), Look(ASLEEP, 1.0), Look(ASLEEP, 1.0), Look(SEEN, 1.0)]
    energy = gate_energy(looks, [0.5, 0.1, 0.1, 0.5])
    assert energy == pytest.approx({"awake_j": 0.5, "asleep_j": 0.1, "saved_j": 0.2})
    assert gate_energy(looks, []) is None
    assert gate_energy([Look(FIRST), Look(HOLD)], [0.5, 0.5]) is None


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    before, os.environ["EDGEKIT_CACHE"] = os.environ.get("EDGEKIT_CACHE"), str(tmp_path_factory.mktemp("cache"))
    when = GateOptions(conf=1.0, hold=0, every=5)
    config = BenchConfig(FLIGHT, 16, warmup=2, threads=1, conf=1.0, layers=False, gate=TINY, gate_options=when)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy's, of a ratio with nothing under it
        yield bench(TINY, vs=TINY, config=config)
    os.environ.pop("EDGEKIT_CACHE")
    if before is not None:
        os.environ["EDGEKIT_CACHE"] = before


def test_a_gated_bundle_beside_itself_without_gate(gated):
    value = gated.to_json()
    gate = value["gate"]
    # 2 to 7 after the warm-up, 0 to 7 of the flight that starts anew, 0 and 1: each 0 is the first, each 5 is due
    assert gate["verdicts"] == {FIRST: 2, DUE: 2, HOLD: 0, SEEN: 0, ASLEEP: 12}
    assert gate["artifact"]["file"] == "tiny.ekb" and gate["artifact"]["threads"] == 1
    assert gate["mean_ms"] == pytest.approx(np.mean(gated.lane.samples.process_ms), abs=1e-3)
    assert gate["vs_mean_ms"] == pytest.approx(np.mean(gated.other.samples.process_ms), abs=1e-3)
    assert gate["energy"] is None  # no sensor here, and two in turns
    assert set(value["vs"]["speedup"]) == {"process"}
    assert gated.other.samples.looks == [] and min(gated.other.samples.stages["infer"]) > 0
    assert len(gated.trace()) == 4


def test_the_report_tells_it(gated):
    html = render(gated.to_json())
    assert "Woken by tiny.ekb" in html and "and slept through 12" in html


def test_against_a_run_without_gate_is_a_doubt(gated):
    value = gated.to_json()
    told = against(dict(value, gate=None), value)
    assert "gate: none and tiny.ekb at 1, 0, 5" in told["warnings"]
    assert set(told["speedup"]) == {"process"}


def test_a_gate_that_is_absent_is_told_first():
    with pytest.raises(BundleError, match="there is no bundle absent.ekb"):
        bench(TINY, config=BenchConfig(source="synth://", gate="absent.ekb"))


def test_a_gate_that_never_holds():
    with pytest.raises(ConfigError, match="holds for 0 or more"):
        BenchConfig(gate=TINY, gate_options=GateOptions(hold=-2))
