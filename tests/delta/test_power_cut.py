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

# Dies of its own hand, as no handler and no clean-up can follow: when a share of the bytes is written, or a moment
# after. The first does not depend on how busy the machine is.
VICTIM = """
import os, signal, sys, threading, time
from edgekit.delta import apply_update

base, update, share, delay_s = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
armed = []

def die():
    time.sleep(delay_s)
    os.kill(os.getpid(), signal.SIGKILL)

def progress(done, total, text):
    if done >= share * total and not armed and delay_s == 0.0:
        die()
    if done >= share * total and not armed:
        armed.append(threading.Thread(target=die, daemon=True))
        armed[0].start()

progress(0, 1, "")
apply_update(base, update, progress=progress)
"""


def _apply_and_die(base, update, rng):
    share = rng.choice([0.0, rng.uniform(0.0, 1.0), rng.uniform(0.97, 1.0)])
    delay_s = rng.choice([0.0, rng.uniform(0.0, 0.06 if share == 0.0 else 0.006)])
    command = [sys.executable, "-c", VICTIM, base, update, str(share), str(delay_s)]
    return subprocess.call(command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT))


def _cut(step, folder, kills, seed):
    """Cut one to three times in a row, then let one finish, until `kills` processes have died.

    Returns:
        Deaths that left the old bundle, deaths that left the new one, tries that went on from an earlier one.
    """
    rng, base = random.Random(seed), os.path.join(folder, "base.ekb")
    left_old = left_new = resumed = 0
    while left_old + left_new < kills:
        shutil.copy(step.old, base)
        for _ in range(rng.randint(1, 3)):
            status = _apply_and_die(base, step.update, rng)
            assert status in (0, -signal.SIGKILL)
            found = read_bytes(base)
            assert found in (step.old_bytes, step.new_bytes)
            left_old += status != 0 and found == step.old_bytes
            left_new += status != 0 and found == step.new_bytes
        resumed += apply_update(base, step.update).resumed > 0
        assert read_bytes(base) == step.new_bytes
        assert os.listdir(folder) == ["base.ekb"]
    return left_old, left_new, resumed


def test_cut_at_15_points(student, tmp_path):
    left_old, _, resumed = _cut(student, str(tmp_path), 15, seed=1)
    assert left_old > 5 and resumed > 0


@pytest.mark.slow
def test_cut_at_240_points(student, tmp_path):
    left_old, left_new, resumed = _cut(student, str(tmp_path), 240, seed=2)
    print("{} left the old bundle, {} the new one; {} went on".format(left_old, left_new, resumed))
    assert left_old > 100 and resumed > 20
