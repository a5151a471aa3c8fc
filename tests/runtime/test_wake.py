import json

import pytest

from edgekit.errors import ConfigError
from edgekit.runtime.wake import ASLEEP, DUE, FIRST, HOLD, SEEN, GateOptions, Look, WakeAccount, Watch


def flown(options, sights, frames, found=()):
    """The verdict on each frame where the gate sees what is in `sights`, the detector what is in `found`."""
    watch, verdicts = Watch(options), []
    for index in range(frames):
        verdict = watch.reason(index)
        if verdict is None:
            verdict = SEEN if index in sights else ASLEEP
            if verdict == SEEN:
                watch.saw(index)
        if verdict != ASLEEP:
            watch.ran(index)
            if index in found:
                watch.saw(index)
        verdicts.append(verdict)
    return verdicts


def test_the_first_frame_is_due_and_an_empty_scene_is_slept_through():
    assert flown(GateOptions(hold=2, every=100), (), 6) == [FIRST] + 5 * [ASLEEP]


def test_a_blind_gate_cannot_silence_the_detector():
    verdicts = flown(GateOptions(hold=0, every=4), (), 13)
    assert [index for index, verdict in enumerate(verdicts) if verdict == DUE] == [4, 8, 12]
    assert verdicts.count(ASLEEP) == 9


def test_every_1_is_no_gate():
    assert flown(GateOptions(every=1), (), 5) == [FIRST] + 4 * [DUE]


def test_a_sight_wakes_at_once_and_holds():
    verdicts = flown(GateOptions(hold=3, every=100), (5,), 12)
    assert verdicts == [FIRST] + 4 * [ASLEEP] + [SEEN] + 3 * [HOLD] + 3 * [ASLEEP]


def test_without_hold_the_gate_is_asked_about_each_frame():
    assert flown(GateOptions(hold=0, every=100), (2, 3), 6) == [FIRST, ASLEEP, SEEN, SEEN, ASLEEP, ASLEEP]


def test_what_the_detector_finds_keeps_it_awake():
    verdicts = flown(GateOptions(hold=2, every=100), (2,), 10, found=(3, 4, 5))
    assert verdicts == [FIRST, ASLEEP, SEEN, HOLD, HOLD, HOLD, HOLD, HOLD, ASLEEP, ASLEEP]


def test_what_a_heartbeat_finds_wakes():
    assert flown(GateOptions(hold=1, every=3), (), 6, found=(3,)) == [FIRST, ASLEEP, ASLEEP, DUE, HOLD, ASLEEP]


def test_dropped_frames_count():
    watch = Watch(GateOptions(hold=10, every=50))
    assert watch.reason(0) == FIRST
    watch.ran(0)
    watch.saw(0)
    assert watch.reason(10) == HOLD
    assert watch.reason(11) is None
    assert watch.reason(50) == DUE


def test_a_source_that_begins_again_is_a_new_flight():
    watch = Watch(GateOptions(hold=5, every=50))
    for index in (0, 1, 2):
        watch.reason(index)
        watch.ran(index)
        watch.saw(index)
    assert watch.reason(0) == FIRST
    watch.ran(0)
    assert watch.reason(1) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"conf": 0.0}, "a gate's score is above 0 and at most 1, got 0"),
        ({"conf": 1.5}, "above 0 and at most 1, got 1.5"),
        ({"hold": -1}, "holds for 0 or more frames and wakes every 1 or more, got -1 and 30"),
        ({"every": 0}, "wakes every 1 or more, got 15 and 0"),
    ],
)
def test_options_that_mean_nothing(wrong, message):
    with pytest.raises(ConfigError, match=message):
        GateOptions(**wrong)


def test_the_account_of_a_run():
    account = WakeAccount()
    assert account.summary() is None
    looks = [
        Look(FIRST),
        Look(ASLEEP, 1.0),
        Look(ASLEEP, 3.0),
        Look(DUE),
        Look(ASLEEP, 2.0),
        Look(SEEN, 2.0),
        Look(HOLD),
    ]
    for look, boxes in zip(looks, [5, 0, 0, 2, 0, 1, 0]):
        account.add(look, 10.0 if look.awake else 0.0, boxes)
    summary = account.summary()
    assert summary.verdicts == {FIRST: 1, DUE: 1, HOLD: 1, SEEN: 1, ASLEEP: 3}
    assert (summary.frames, summary.heartbeats, summary.overlooked) == (7, 1, 1)
    assert summary.share_awake == pytest.approx(4 / 7)
    assert (summary.gate_ms, summary.detector_ms) == (2.0, 10.0)
    assert summary.saved_ms == pytest.approx((3 * 10.0 - 4 * 2.0) / 7)
    assert len(summary.doubts()) == 1
    assert summary.doubts()[0].startswith("1 of 1 heartbeats found what the gate had slept through")
    assert json.loads(json.dumps(summary.to_json()))["share_awake"] == pytest.approx(4 / 7)


def test_a_gate_as_slow_as_the_detector_is_doubtful():
    account = WakeAccount()
    for look, ms in ((Look(FIRST), 2.5), (Look(ASLEEP, 3.25), 0.0)):
        account.add(look, ms, 0)
    (doubt,) = account.summary().doubts()
    assert doubt.startswith("the gate takes 3.25 ms and the detector 2.50 ms: it cannot save time")


def test_a_gate_that_was_never_asked_has_no_time():
    account = WakeAccount()
    account.add(Look(FIRST), 2.0, 1)
    account.add(Look(HOLD), 2.0, 1)
    summary = account.summary()
    assert summary.gate_ms is None
    assert (summary.saved_ms, summary.share_awake, summary.doubts()) == (0.0, 1.0, [])
