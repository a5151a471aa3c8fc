"""kill -9 in the middle: the path holds the old or the new bundle, byte for byte, and the next try ends in the new."""

import os
import random
import shutil
import signal
import subprocess
import sys

import pytest

from edgekit.delta import apply_update
from tests.delta.twins import ROOT, read_bytes

# Dies of its own hand, as no handler and no clean-up can follow: when a share of the bytes is written, or after a time.
VICTIM = """
import os, signal, sys, threading, time
from edgekit.delta import apply_update

base, update, share, delay_s = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])

def die():
    time.sleep(delay_s)
    os.kill(os.getpid(), signal.SIGKILL)

def progress(done, total, text):
    if done >= share * total:
        die()

if share < 0:
    threading.Thread(target=die, daemon=True).start()
apply_update(base, update, progress=progress if share >= 0 else None)
"""


def _apply_and_die(base, update, rng):
    by_time = rng.random() < 0.5
    share = -1.0 if by_time else rng.uniform(0.0, 1.0)
    delay_s = rng.uniform(0.0, 0.16) if by_time else 0.0
    command = [sys.executable, "-c", VICTIM, base, update, str(share), str(delay_s)]
    return subprocess.call(command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT))


def _cut(step, folder, kills, seed):
    """Until `kills` processes have died: cut one to three times in a row, then let one finish."""
    rng, base = random.Random(seed), os.path.join(folder, "base.ekb")
    died = finished = resumed = 0
    while died < kills:
        shutil.copy(step.old, base)
        for _ in range(rng.randint(1, 3)):
            status = _apply_and_die(base, step.update, rng)
            assert status in (0, -signal.SIGKILL)
            died += status != 0
            found = read_bytes(base)
            assert found in (step.old_bytes, step.new_bytes)
            finished += found == step.new_bytes
        resumed += apply_update(base, step.update).resumed > 0
        assert read_bytes(base) == step.new_bytes
        assert os.listdir(folder) == ["base.ekb"]
    return died, finished, resumed


def test_cut_at_15_points(student, tmp_path):
    died, _, resumed = _cut(student, str(tmp_path), 15, seed=1)
    assert died >= 15 and resumed > 0


@pytest.mark.slow
def test_cut_at_240_points(student, tmp_path):
    died, finished, resumed = _cut(student, str(tmp_path), 240, seed=2)
    assert died >= 240 and resumed > 40
    print("died {}, of which after the rename or not at all {}, resumed {}".format(died, finished, resumed))
