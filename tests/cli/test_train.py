import signal
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import ROOT

pytest.importorskip("torch")

RECIPE = """
name = "tiny"
model = "yolox_nano"
out = "{out}"
height = 64
width = 64
crop = 64
epochs = {epochs}
full_epochs = 1
batch = 4
full_batch = 4
threads = 1
eval_every = {epochs}
device = "cpu"

[data]
train_images = "{images}"
train_labels = "{labels}"
val_images = "{images}"
val_labels = "{labels}"
"""


def _recipe(folder, pictures, epochs):
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(out=folder / "run", epochs=epochs, images=pictures[0], labels=pictures[1]))
    return path


def test_an_unknown_key_is_one_line(edgekit, pictures, tmp_path):
    path = _recipe(tmp_path, pictures, 2)
    path.write_text(path.read_text().replace("eval_every", "eval_evry"))
    done = edgekit("train", path)
    assert done.status == 2
    assert done.err.endswith("unknown key 'eval_evry'; did you mean 'eval_every'?\n")


@pytest.mark.slow
def test_train_prints_the_checkpoint_and_its_scores(edgekit, pictures, tmp_path):
    path = _recipe(tmp_path, pictures, 2)
    done = edgekit("train", path, "--json")
    assert done.status == 0, done.err
    assert done.json["checkpoint"].endswith("last.safetensors")
    assert done.json["scores"]["AP"] >= 0
    again = edgekit("train", path)
    assert again.status == 2 and "holds a run already" in again.err
    _check_export(edgekit, done.json, pictures, tmp_path / "trained.ekb")


def _check_export(edgekit, trained, pictures, bundle):
    """The exported checkpoint scores what training said: the same preprocessing, head and weights."""
    done = edgekit("export", trained["checkpoint"], "--fp32", "-o", bundle)
    assert done.status == 0, done.err
    scored = edgekit("val", bundle, "--images", pictures[0], "--annotations", pictures[1], "--json")
    assert scored.status == 0, scored.err
    assert scored.json["AP"] == pytest.approx(trained["scores"]["AP"], abs=0.01)
    assert scored.json["classes_matched_by"] == "name"


@pytest.mark.slow
def test_ctrl_c_keeps_a_checkpoint_and_resume_goes_on(edgekit, pictures, tmp_path):
    path = _recipe(tmp_path, pictures, 30)
    command = [sys.executable, "-m", "edgekit", "train", str(path)]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stderr is not None
    for line in iter(running.stderr.readline, b""):
        if b"epoch" in line:
            break
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err.decode()
    assert "Go on with: edgekit train" in err.decode().splitlines()[-1]
    resumed = edgekit("train", path, "--resume", "--json")
    assert resumed.status == 0, resumed.err
    assert resumed.json["scores"]["epoch"] == 30
