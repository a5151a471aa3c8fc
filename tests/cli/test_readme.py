"""The README is true: its commands run as they are printed, on a small detector under the names that it uses."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.cli.conftest import ROOT

pytest.importorskip("onnx")


def _readme():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as stream:
        return stream.read()


def _blocks(language):
    return re.findall(r"```{}\n(.*?)```".format(language), _readme(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory, tiny_model, pictures, video):
    """A folder with the files that the README names, and the environment to run commands in it."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(tiny_model, str(folder / "yolox_nano_416.onnx"))
    for name in ("photos", "val"):
        shutil.copytree(pictures[0], str(folder / name))
    shutil.copy(pictures[1], str(folder / "val.json"))
    shutil.copy(video, str(folder / "flight.mp4"))
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    script = bin_folder / "edgekit"
    script.write_text('#!/bin/sh\nexec "{}" -m edgekit "$@"\n'.format(sys.executable))
    script.chmod(0o755)
    environment = dict(os.environ, PYTHONPATH=ROOT, EDGEKIT_CACHE=str(folder / "cache"))
    environment["PATH"] = "{}:{}".format(bin_folder, environment["PATH"])
    return folder, environment


def test_the_four_commands_and_the_program(desk):
    folder, environment = desk
    (commands,) = [block for block in _blocks("sh") if block.startswith("edgekit export")]
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=str(folder), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout.decode()
    for name in ("nano.ekb", "boxes.mp4", "boxes.jsonl", "report.html"):
        assert (folder / name).stat().st_size > 0, name

    (program,) = _blocks("python")
    lines = ["import cv2", "frame_bgr = cv2.imread('photos/01.png')", program]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=str(folder),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode()
    assert b"'class'" in done.stdout

    (before,) = [block for block in _blocks("sh") if block.startswith("edgekit bench nano.ekb --predict")]
    done = subprocess.run(
        ["sh", "-e", "-c", before], cwd=str(folder), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout.decode()
    assert (folder / "for_nano" / "model.onnx").exists()


def test_every_make_target_and_page_is_there():
    text = _readme()
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as stream:
        targets = set(re.findall(r"^([a-z-]+):", stream.read(), flags=re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", text)) <= targets
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link:
            assert os.path.exists(os.path.join(ROOT, link)), link


def test_extras_of_the_install_lines_exist():
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as stream:
        project = stream.read()
    for extra in re.findall(r"pip install '\.\[([a-z]+)\]'", _readme()):
        assert re.search(r"^{} = \[".format(extra), project, flags=re.MULTILINE), extra
