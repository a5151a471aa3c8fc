import importlib.util
from pathlib import Path

import pytest

from edgekit.runtime.wake import GateOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("cascade_script", ROOT / "benchmarks" / "cascade.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def taken(boxes, scores):
    return {"boxes": boxes, "gate_score": scores, "detector_ms": [10.0] * len(boxes), "gate_ms": [1.0] * len(boxes)}


def test_what_a_setting_keeps_and_takes(script):
    # awake: the first, the third, which the gate sees, and the one after, as the detector found something
    flight = taken([0, 2, 3, 0, 0, 1], [0.0, 0.1, 0.6, 0.0, 0.0, 0.2])
    row = script.replayed(flight, GateOptions(conf=0.5, hold=1, every=100), stills=False)
    assert (row["awake"], row["frames_kept"], row["boxes_kept"]) == (0.5, 0.3333, 0.5)
    assert row["ms"] == pytest.approx((3 * 10 + 4 * 1) / 6, abs=1e-3)  # asked about the second, third, fifth and sixth
    assert row["ms_without"] == 10.0


def test_a_still_stands_for_itself(script):
    row = script.replayed(taken([1, 1, 0], [0.4, 0.6, 0.7]), GateOptions(conf=0.5, hold=0), stills=True)
    assert (row["awake"], row["frames_kept"], row["ms"]) == (0.6667, 0.5, pytest.approx(1 + 20 / 3, abs=1e-3))


def test_a_flight_without_anything_has_nothing_to_keep(script):
    row = script.replayed(taken([0, 0], [0.0, 0.0]), GateOptions(), stills=False)
    assert row["frames_kept"] is None and row["boxes_kept"] is None
