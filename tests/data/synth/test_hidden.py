from dataclasses import replace

import numpy as np
import pytest

from edgekit.data.synth import Flight
from edgekit.data.synth.hidden import BOTH, COLOUR, INFRARED, seen_by
from edgekit.data.synth.truth import Truth
from edgekit.errors import DataError

FLIGHT = Flight(seed=2, width=320, height=256, altitude_m=(60.0, 60.0), tilt_deg=(0.0, 0.0), infrared=True)


def inside(frame, row):
    x1, y1, x2, y2 = frame.xyxy[row].astype(int)
    return np.s_[y1:y2, x1:x2]


def test_the_share_is_kept_half_for_each_camera():
    seen = seen_by(5, 20000, 0.4)
    shares = [float((seen == who).mean()) for who in (BOTH, COLOUR, INFRARED)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    assert np.array_equal(seen, seen_by(5, 20000, 0.4))
    few = seen_by(5, 20000, 0.1)
    assert np.array_equal(few[few != BOTH], seen[few != BOTH])
    assert not seen_by(5, 100, 0.0).any()


def test_what_a_camera_does_not_see_is_ground_there_and_the_truth_is_the_same():
    index = next(k for k in range(0, 300, 10) if len(FLIGHT.render(k).xyxy) >= 8)
    whole, halved = FLIGHT.render(index), replace(FLIGHT, one_camera=1.0).render(index)
    assert np.array_equal(whole.xyxy, halved.xyxy)
    assert not whole.seen_by.any()
    assert set(halved.seen_by.tolist()) == {COLOUR, INFRARED}
    # The sensors see the same noise in both; a pixel that changed lost an actor, or the shadow of one.
    colour = np.abs(halved.image_hwc.astype(int) - whole.image_hwc).max(axis=2) > 0
    changed = {who: [colour[inside(halved, row)].mean() for row in np.flatnonzero(halved.seen_by == who)]
               for who in (COLOUR, INFRARED)}  # fmt: skip
    assert np.median(changed[INFRARED]) > 0.5
    assert np.median(changed[COLOUR]) < 0.1


def test_no_share_no_change():
    assert np.array_equal(FLIGHT.render(40).image_hwc, replace(FLIGHT, one_camera=0.0).render(40).image_hwc)


def test_the_truth_says_who_sees_an_object(tmp_path):
    import json

    frame = replace(FLIGHT, one_camera=1.0).render(40)
    truth = Truth(FLIGHT.classes, "")
    truth.add(frame, "a", {})
    truth.add(FLIGHT.render(40), "b", {})
    truth.write(tmp_path / "t.json")
    rows = json.loads((tmp_path / "t.json").read_text())["annotations"]
    named = [row.get("seen_by") for row in rows if not row["iscrowd"]]
    assert named == [["", "colour", "infrared"][who] for who in frame.seen_by] + [None] * len(frame.xyxy)


def test_a_share_beyond_one_is_refused():
    with pytest.raises(DataError, match="one_camera is 1.5, expected a share from 0 to 1"):
        replace(FLIGHT, one_camera=1.5)
