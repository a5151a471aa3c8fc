"""What may be imported where: the truth, by importing each module with the heavy libraries poisoned."""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEVICE_FOLDERS = ("process", "ops", "nvidia", "runtime", "builders", "bench", "data", "cli")
WORKSTATION = {"metrics", "graph", "models", "quant", "distill", "train", "export"}
# The modules whose business is one of the heavy libraries.
MAY_IMPORT = {"edgekit.runtime.backends.ort": {"onnxruntime"}}
HEAVY = {"torch", "onnx", "onnx_ir", "onnxruntime", "tensorrt"}


def _modules():
    package = os.path.join(ROOT, "edgekit")
    for folder, folders, files in os.walk(package):
        parts = os.path.relpath(folder, ROOT).split(os.sep)
        if len(parts) > 1 and parts[1] in WORKSTATION:
            folders[:] = []
            continue
        for name in sorted(files):
            if name.endswith(".py"):
                stem = [] if name == "__init__.py" else [name[:-3]]
                yield ".".join(parts + stem)


def test_every_folder_is_sorted_into_a_side():
    package = os.path.join(ROOT, "edgekit")
    folders = {n for n in os.listdir(package) if os.path.isfile(os.path.join(package, n, "__init__.py"))}
    assert folders <= set(DEVICE_FOLDERS) | WORKSTATION


@pytest.mark.parametrize("module", [m for m in _modules() if not m.endswith("__main__")])
def test_imports_without_heavy_libraries(module):
    forbidden = sorted(HEAVY - MAY_IMPORT.get(module, set()))
    code = "import sys; sys.modules.update(dict.fromkeys({!r})); import {}".format(forbidden, module)
    done = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)
    _, errors = done.communicate()
    assert done.returncode == 0, errors.decode()


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
