"""Check what we write about TensorRT against the real bindings of each version, with a type checker.

    .venv/bin/python -m tests.nvidia.typecheck

A name that is written plainly must be in all versions; one that some version lacks is reached by `optional` only (see
`edgekit.nvidia.trt`). The stubs are generated from the wheels once and stay in .cache.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

import pytest

from tests.nvidia.bindings import CACHE, VERSIONS, library_path, run_quietly, unpacked

ROOT = Path(__file__).parents[2]
_BIN = CACHE / "venv" / "bin"
_RULES = ("reportAttributeAccessIssue", "reportCallIssue", "reportIndexIssue")


class Finding(NamedTuple):
    """One complaint of the type checker."""

    version: str
    file: str
    line: int
    text: str


def checked_files() -> List[Path]:
    """The modules that speak of TensorRT's own objects."""
    files = sorted((ROOT / "edgekit" / "nvidia").glob("*.py")) + sorted((ROOT / "edgekit" / "builders").glob("*.py"))
    return [*files, ROOT / "edgekit" / "runtime" / "backends" / "trt.py"]


def require_tools() -> None:
    """Skip the test where the type checker is absent."""
    if not (_BIN / "basedpyright").exists():
        pytest.skip("the type checker is not in {}; tests/nvidia/fetch_bindings.sh gets it".format(_BIN))


def make_stubs(version: str) -> Path:
    """Folder with `tensorrt/__init__.pyi` of one version, generated where it is not there yet."""
    folder = CACHE / "typings" / version
    target = folder / "tensorrt" / "__init__.pyi"
    if target.exists():
        return folder
    require_tools()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        environment = dict(os.environ, PYTHONPATH=str(unpacked(version, work)))
        environment["LD_LIBRARY_PATH"] = str(library_path(version, work))
        command = [str(_BIN / "pybind11-stubgen"), "tensorrt_bindings.tensorrt", "-o", str(work), "--ignore-all-errors"]
        done = run_quietly(command, env=environment)
        made = work / "tensorrt_bindings"
        source = made / "tensorrt.pyi" if (made / "tensorrt.pyi").exists() else made / "tensorrt" / "__init__.pyi"
        assert source.exists(), done.stderr
        target.parent.mkdir(parents=True, exist_ok=True)
        # what the package's __init__ adds to the binary module
        target.write_text(source.read_text() + "\n__version__: str\n")
    return folder


def check(version: str, files: Sequence[Path]) -> List[Finding]:
    """What the type checker says of `files` where `tensorrt` is that of `version`."""
    require_tools()
    with tempfile.TemporaryDirectory() as temporary:
        settings: Dict[str, Any] = {
            "include": [str(one) for one in files],
            "stubPath": str(make_stubs(version)),
            "extraPaths": [str(ROOT)],
            "pythonVersion": "3.11",
            "typeCheckingMode": "off",
            "enableTypeIgnoreComments": False,  # those are mypy's
        }
        settings.update((rule, "error") for rule in _RULES)
        config = Path(temporary) / "pyrightconfig.json"
        config.write_text(json.dumps(settings))
        command = [str(_BIN / "basedpyright"), "--outputjson", "-p", str(config), "--pythonpath", sys.executable]
        done = run_quietly(command)
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] >= len(files), done.stdout
    return [
        Finding(version, one["file"], one["range"]["start"]["line"] + 1, one["message"].splitlines()[0])
        for one in told["generalDiagnostics"]
        if one["severity"] == "error"
    ]


def main() -> int:
    """Check all versions; 1 where there are findings."""
    files = [one for one in checked_files() if one.exists()]
    findings = [finding for version in VERSIONS for finding in check(version, files)]
    for one in findings:
        print("{}:{}: TensorRT {}: {}".format(os.path.relpath(one.file, str(ROOT)), one.line, one.version, one.text))
    print("{} files, TensorRT {}: {} findings".format(len(files), ", ".join(VERSIONS), len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
