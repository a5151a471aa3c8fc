"""What may be imported where: the truth, by importing each module with the heavy libraries poisoned."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEVICE_FOLDERS = ("process", "ops", "nvidia", "runtime", "builders", "bench", "data", "delta", "cli")
WORKSTATION = {"metrics", "graph", "models", "quant", "distill", "train", "export", "search"}
# The modules whose business is one of the heavy libraries, and what must be installed to import them.
MAY_IMPORT = {
    "edgekit.runtime.backends.ort": {"onnxruntime"},
    "edgekit.nvidia.cuda_pycuda": {"pycuda"},
    "edgekit.nvidia.cuda_python": {"cuda"},
}
HEAVY = {"torch", "onnx", "onnx_ir", "onnxruntime", "tensorrt", "tensorrt_rtx", "pycuda", "cuda"}

# Each module in a process of its own, forked from one that has only NumPy.
SCRIPT = """
import importlib, json, os, sys, traceback
import numpy
for module, forbidden in json.load(sys.stdin):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.modules.update(dict.fromkeys(forbidden))
        try:
            importlib.import_module(module)
            told = ""
        except BaseException:
            told = traceback.format_exc()
        print(json.dumps([module, told]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def _modules():
    package = os.path.join(ROOT, "edgekit")
    for folder, folders, files in os.walk(package):
        parts = os.path.relpath(folder, ROOT).split(os.sep)
        if len(parts) > 1 and parts[1] in WORKSTATION:
            folders[:] = []
            continue
        for name in sorted(files):
            if name.endswith(".py") and name != "__main__.py":
                stem = [] if name == "__init__.py" else [name[:-3]]
                yield ".".join(parts + stem)


def test_every_folder_is_sorted_into_a_side():
    package = os.path.join(ROOT, "edgekit")
    folders = {n for n in os.listdir(package) if os.path.isfile(os.path.join(package, n, "__init__.py"))}
    assert folders <= set(DEVICE_FOLDERS) | WORKSTATION


@pytest.fixture(scope="module")
def imported():
    """Module -> what importing it printed, with the heavy libraries poisoned."""
    wanted = [(module, sorted(HEAVY - MAY_IMPORT.get(module, set()))) for module in _modules()]
    started = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, errors = started.communicate(json.dumps(wanted).encode())
    assert started.returncode == 0, errors.decode()
    return dict(json.loads(line) for line in out.decode().splitlines())


@pytest.mark.parametrize("module", list(_modules()))
def test_imports_without_heavy_libraries(imported, module):
    for library in sorted(MAY_IMPORT.get(module, ())):
        if importlib.util.find_spec(library) is None:
            pytest.skip("{} is not installed".format(library))
    assert imported[module] == ""


def test_help_imports_no_image_or_inference_library():
    forbidden = sorted(HEAVY | {"cv2", "matplotlib"})
    code = (
        "import sys; sys.modules.update(dict.fromkeys({!r})); sys.argv = ['edgekit', '--help'];"
        "from edgekit.cli import main; main()".format(forbidden)
    )
    done = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = done.communicate()
    assert done.returncode == 0, errors.decode()
    assert b"quantize" in out


def test_a_processor_opens_a_bundle_without_what_belongs_to_boards_and_builders():
    code = (
        "import sys, edgekit; edgekit.open('tests/golden/tiny.ekb').close();"
        "print([name for name in ('jetson', 'nvpmodel', 'profiles', 'builders') if 'edgekit.' + name in sys.modules])"
    )
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    done = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = done.communicate()
    assert done.returncode == 0, errors.decode()
    assert out.decode().strip() == "[]"
