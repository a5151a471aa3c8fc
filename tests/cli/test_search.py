"""A tiny search from end to end: killed, resumed, trained, printed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import ROOT

pytest.importorskip("torch")

from tests.search.conftest import SEARCH, TRAIN, write_float


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with recipes and float weights."""
    folder = tmp_path_factory.mktemp("desk")
    write_float(folder / "float.onnx")
    (folder / "train.toml").write_text(TRAIN.format(folder=folder, init=folder / "float.onnx"))
    text = SEARCH.format(folder=folder, budget="[budget]\nbytes = 480_000", top=1, epochs=1)
    (folder / "search.toml").write_text(text.replace('"hq-solved", ', ""))
    return folder


@pytest.mark.slow
def test_a_kill_loses_little_and_resume_ends_it(edgekit, desk):
    command = [sys.executable, "-m", "edgekit", "search", str(desk / "search.toml")]
    running = subprocess.Popen(
        command, cwd=str(desk), env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with running.stderr as lines:
        for line in lines:
            if line.startswith(b"measuring sensitivity"):
                break
    running.send_signal(signal.SIGKILL)
    running.communicate()
    journal = desk / "out" / "journal.jsonl"
    kept = [line for line in journal.read_text().splitlines(True) if line.endswith("\n")]
    assert sum('"item": "sensitivity' in line for line in kept) == 2

    done = edgekit("search", desk / "search.toml", "--resume", "--json", cwd=str(desk))
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    assert journal.read_text().startswith("".join(kept))
    found = done.json
    assert found["finished"] and {row["name"] for row in found["plans"]} == {"sensitivity", "hq", "uniform"}
    seen = found["plans"][0]["verified"]
    assert seen["epochs"] == 1 and seen["weight_bytes"] == found["plans"][0]["costs"]["bytes"] <= 480_000
    assert os.path.getsize(seen["bundle"]) == seen["bundle_bytes"]
    assert found == json.loads((desk / "out" / "search.json").read_text())

    shown = edgekit("search", desk / "search.toml", "--resume", cwd=str(desk))
    assert shown.status == 0, shown.err
    assert "Plans, untrained" in shown.out and "Verified" in shown.out
    best = found["plans"][0]["recipe"]
    assert "edgekit train {}".format(best) in " ".join(shown.out.split())


def test_a_mistake_is_one_line(edgekit, desk):
    wrong = desk / "wrong.toml"
    text = (desk / "search.toml").read_text().replace("bytes = 480_000", "bytes = 1_000").replace("/out", "/wrong")
    wrong.write_text(text)
    done = edgekit("search", wrong)
    assert done.status == 2
    assert "budget.bytes 1000 is out of reach; the smallest is " in done.err.splitlines()[-1]
    assert not done.out
