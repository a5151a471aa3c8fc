import json
import os
import zipfile

import numpy as np
import pytest

from edgekit.errors import BundleError, ConfigError
from edgekit.frames import Frame
from edgekit.runtime.gate import Gate, open_gate
from edgekit.runtime.wake import ASLEEP, DUE, FIRST, HOLD, SEEN, GateOptions
from tests.fakes import FakeClock, FakeSession, fake_detector

TINY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny.ekb")


class Eyes(FakeSession):
    """Its one box scores `score`."""

    def __init__(self, score=0.0):
        super().__init__()
        self.score = score

    def run(self, feeds):
        self._output[0, 5, 4:] = [self.score, 0.0, 1.0]
        return super().run(feeds)


def frame(index):
    return Frame(np.zeros((32, 32, 3), np.uint8), index, float(index))


def test_verdicts_of_a_gate_and_how_often_it_is_asked():
    eyes = Eyes()
    gate = Gate(fake_detector(eyes), GateOptions(conf=0.5, hold=2, every=5))
    verdicts = []
    for index in range(12):
        eyes.score = 0.6 if index == 2 else 0.4
        verdicts.append(gate.look(frame(index)).verdict)
    assert verdicts == [FIRST, ASLEEP, SEEN, HOLD, HOLD] + 4 * [ASLEEP] + [DUE] + 2 * [ASLEEP]
    assert eyes.runs == 8  # it rests where the detector runs anyway


def test_what_the_detector_found_holds():
    gate = Gate(fake_detector(Eyes()), GateOptions(hold=1, every=100))
    looks = []
    for index in range(4):
        looks.append(gate.look(frame(index)).verdict)
        if index == 0:
            gate.found(frame(0))
    assert looks == [FIRST, HOLD, ASLEEP, ASLEEP]


def test_the_score_is_the_bundles_own_where_none_is_given():
    eyes = Eyes(score=0.24)
    gate = Gate(fake_detector(eyes))
    assert gate.conf == gate.detector.decode.conf == 0.25
    gate.look(frame(0))
    assert gate.look(frame(1)).verdict == ASLEEP
    eyes.score = 0.26
    assert gate.look(frame(2)).verdict == SEEN


def test_what_a_look_takes():
    gate = Gate(fake_detector(Eyes()), clock=FakeClock(tick_s=0.004))
    assert gate.look(frame(0)) == (FIRST, None)
    assert gate.look(frame(1)).ms == pytest.approx(4.0)


def test_it_closes_its_network():
    eyes = Eyes()
    with Gate(fake_detector(eyes)):
        assert not eyes.closed
    assert eyes.closed


def test_any_bundle_is_a_gate_on_one_thread_of_the_processor(tmp_path):
    pytest.importorskip("onnxruntime")
    with open_gate(TINY, GateOptions(every=2), cache_dir=str(tmp_path)) as gate:
        assert gate.detector.session.threads == 1
        assert "onnxruntime" in gate.detector.session.backend
        looks = [gate.look(Frame(np.zeros((48, 64, 3), np.uint8), index, 0.0)) for index in range(3)]
    assert [look.verdict for look in looks] == [FIRST, ASLEEP, DUE]
    assert looks[1].ms > 0


def test_a_bundle_of_another_task(tmp_path):
    other = str(tmp_path / "faces.ekb")
    with zipfile.ZipFile(TINY) as old, zipfile.ZipFile(other, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "manifest.json":
                manifest = json.loads(data.decode())
                manifest["model"]["task"] = "classify"
                data = json.dumps(manifest).encode()
            new.writestr(entry, data)
    with pytest.raises(ConfigError, match="faces.ekb is made for the task 'classify' and cannot be a gate; take"):
        open_gate(other)


def test_no_bundle():
    with pytest.raises(BundleError, match="there is no bundle absent.ekb"):
        open_gate("absent.ekb")
