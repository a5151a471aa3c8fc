"""The real CUDA bindings through their doors, on a driver whose GPU is host memory: names, arguments, what is left.

The bindings of this Python, and those in `.cache/nvidia/cuda11` to `cuda13` and `.cache/nvidia/pycuda` where they are;
each skips where it is not. The driver is `host_driver.c`: no GPU is needed, nor shown to work.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".cache", "nvidia")
DOORS = {"cuda": "edgekit.nvidia.cuda_python", "pycuda": "edgekit.nvidia.cuda_pycuda"}
PLACES = (
    ("cuda", ""),
    ("pycuda", ""),
    ("cuda", "cuda11"),
    ("cuda", "cuda12"),
    ("cuda", "cuda13"),
    ("pycuda", "pycuda"),
)
NOTHING_LEFT = "memory 0 pinned 0 streams 0 events 0 graphs 0 executables 0"


def python_with(binding, folder):
    """The interpreter of an environment that has the binding; skips the test where there is none."""
    python = os.path.join(CACHE, folder, "bin", "python") if folder else sys.executable
    if not os.path.exists(python):
        pytest.skip("{} is not there".format(os.path.dirname(os.path.dirname(python))))
    look = "import sys, importlib.util; sys.exit(importlib.util.find_spec('{}') is None)".format(binding)
    if subprocess.call([python, "-c", look]):
        pytest.skip("{} is not installed in {}".format(binding, folder or "this Python"))
    return python


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Folder of a libcuda.so.1 made of `host_driver.c`."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to build the host driver")
    folder = str(tmp_path_factory.mktemp("driver"))
    source, library = os.path.join(HERE, "host_driver.c"), os.path.join(folder, "libcuda.so.1")
    subprocess.check_call(["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"])
    return folder


@pytest.fixture(params=PLACES, ids=lambda place: place[1] or place[0] + " here")
def drive(request, driver):
    """`drive(**environment)` runs `drive_door.py` with the binding; (what it printed, what the driver had left)."""
    binding, folder = request.param
    python = python_with(binding, folder)

    def run(**environment):
        environment.update(LD_LIBRARY_PATH=driver, HOST_CUDA_REPORT="1")
        done = subprocess.Popen(
            [python, os.path.join(HERE, "drive_door.py"), DOORS[binding]],
            env=dict(os.environ, **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = (stream.decode() for stream in done.communicate())
        assert done.returncode == 0, errors
        return json.loads(out.splitlines()[-1]), errors.splitlines()[-1]

    run.binding = binding
    return run


def test_every_call_works(drive):
    found, left = drive()
    assert found["problem"] is None
    assert found["device"] == {
        "name": "host GPU",
        "sm": 87,
        "sm_count": 8,
        "memory_mib": 8192,
        "integrated": False,
        "driver": "13.0",
    }
    assert found["zeroed"] and found["elapsed"] and found["handle"]
    assert not found["mapped"]
    assert found["copied"] == [0, 1, 2, 3, 4, 5]
    assert found["memory"] == [pytest.approx(6442.45, abs=0.01), pytest.approx(8589.93, abs=0.01)]
    assert "out of memory" in found["too_much"].lower().replace("_", " ")
    assert left.endswith(NOTHING_LEFT)
    assert "contexts 0" in left


def test_memory_is_mapped_on_a_jetson(drive):
    found, left = drive(HOST_CUDA_INTEGRATED="1")
    assert found["device"]["integrated"] and found["mapped"]
    assert left.endswith(NOTHING_LEFT)


def test_graphs_where_the_binding_has_them(drive):
    found, _ = drive()
    assert found["graph"] == (drive.binding == "cuda")
    assert found.get("launched") == ([7] * 6 if found["graph"] else None)
    assert found["refused"] is None


def test_no_graph_where_cuda_refuses(drive):
    found, left = drive(HOST_CUDA_NO_GRAPHS="1")
    assert not found["graph"]
    assert left.endswith(NOTHING_LEFT)
