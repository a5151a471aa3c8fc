import numpy as np
import pytest

from edgekit.runtime.record import OK, STALE, Account, FrameRecord


def record(index, latency_ms, start_s=0.0, **stages):
    return FrameRecord(index, OK, start_s, start_s, start_s + latency_ms / 1e3, latency_ms, **stages)


def test_percentiles_of_latency_and_stages():
    account = Account()
    for index in range(101):
        account.add(record(index, float(index), start_s=index * 0.1, infer_ms=2.0 * index))
    summary = account.summary(dropped=3, ended="end")
    assert summary.latency_ms == pytest.approx({"p50": 50, "p90": 90, "p99": 99, "max": 100})
    assert summary.stages_ms["infer"]["max"] == pytest.approx(200)
    assert (summary.frames, summary.dropped, summary.stale) == (101, 3, 0)
    assert summary.seconds == pytest.approx(10.1)
    assert summary.fps == pytest.approx(10.0)


def test_nothing_grows():
    account = Account()
    size = account._table.nbytes
    for index in range(25000):
        account.add(record(index, 1.0 if index < 20000 else 2.0))
    assert account._table.nbytes == size
    assert account.summary(0, "end").frames == 25000
    assert account.summary(0, "end").latency_ms["max"] == 2.0


def test_stale_is_counted_apart():
    account = Account()
    account.add(FrameRecord(3, STALE, 0, 1, 1, 1000.0))
    summary = account.summary(0, "end")
    assert (summary.frames, summary.stale, summary.fps) == (0, 1, 0.0)
    assert summary.latency_ms == {"p50": 0, "p90": 0, "p99": 0, "max": 0}


def test_json_is_plain():
    import json

    value = json.loads(json.dumps(record(1, 1.23456789).to_json()))
    assert value["latency_ms"] == 1.234568
    assert np.isclose(json.loads(json.dumps(Account().summary(0, "end").to_json()))["fps"], 0)
