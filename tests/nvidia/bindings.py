"""NVIDIA's real Python bindings over libraries that do nothing: enough to import them and read their names.

The wheels are fetched by `tests/nvidia/fetch_bindings.sh` and never kept in the tree. They link to libnvinfer, which is
not on PyPI; a C file with the functions that they look up stands in for it, each giving NULL.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, List

import pytest

CACHE = Path(__file__).parents[2] / ".cache" / "nvidia"
VERSIONS = ("8.6.1", "10.3.0", "10.16.1.11", "11.4.0.106")

_FUNCTIONS = (
    "createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL createNvOnnxParser_INTERNAL "
    "createNvOnnxParserRefitter_INTERNAL getBuilderPluginRegistry getNvOnnxParserVersion getPluginRegistry "
    "initLibNvInferPlugins "
    # of the Caffe and UFF parsers, which 8.x binds as well
    "_ZN14nvcaffeparser117createCaffeParserEv _ZN14nvcaffeparser123shutdownProtobufLibraryEv "
    "_ZN11nvuffparser15createUffParserEv _ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi"
)
PROBE = """
import json, sys
import {module} as trt
found = {{"": dir(trt), "__version__": trt.__version__}}
for name in dir(trt):
    if isinstance(getattr(trt, name), type):
        found[name] = dir(getattr(trt, name))
print(json.dumps(found))
"""


def run_on_bindings(version: str, code: str, folder: Path) -> Any:
    """Run `code`, which may `import tensorrt_bindings`, on the bindings of `version`.

    Skips the test where the wheel or a C compiler is absent.
    """
    environment = dict(os.environ, PYTHONPATH=str(unpacked(version, folder)))
    environment["LD_LIBRARY_PATH"] = str(library_path(version, folder))
    return run_quietly([sys.executable, "-c", code], env=environment)


def names_of(version: str, folder: Path) -> Dict[str, List[str]]:
    """Class or enumeration -> its names, of the bindings of `version`; the module's own under ""."""
    done = run_on_bindings(version, PROBE.format(module="tensorrt_bindings"), folder)
    assert done.returncode == 0, done.stderr
    found: Dict[str, List[str]] = json.loads(done.stdout)
    return found


def run_quietly(command: List[str], env: Any = None) -> Any:
    """Run, and keep what it says as text."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, env=env)


def unpacked(version: str, folder: Path) -> Path:
    """Folder with the package `tensorrt_bindings` of `version`; skips the test where the wheel is absent."""
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    wheels = sorted((CACHE / "wheels").glob(f"tensorrt*bindings-{version}-{tag}-*.whl"))
    if not wheels:
        pytest.skip(
            f"the bindings of TensorRT {version} for {tag} are not in {CACHE}; see tests/nvidia/fetch_bindings.sh"
        )
    target = folder / version
    if not target.is_dir():
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(str(target))
    return target


def library_path(version: str, folder: Path) -> Path:
    """Folder with libraries that do nothing, made with the C compiler, for the bindings of `version`."""
    major = version.split(".")[0]
    target = folder / f"stubs{major}"
    if target.is_dir():
        return target
    target.mkdir()
    source = target / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _FUNCTIONS.split()))
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser", "nvparsers"):
        name = f"lib{library}.so.{major}"
        try:
            subprocess.run(
                ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(target / name), str(source)], check=True
            )
        except FileNotFoundError:
            pytest.skip("no gcc here to stand in for libnvinfer")
    return target
