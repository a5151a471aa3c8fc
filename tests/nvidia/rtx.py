"""TensorRT-RTX, where `fetch_bindings.sh` has installed it: NVIDIA's own importer and builder, without a GPU."""

import json
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest

from tests.nvidia.bindings import CACHE, PROBE, run_quietly

_SCRIPT = Path(__file__).parent / "rtx_build.py"


def rtx_python() -> str:
    """The interpreter that has TensorRT-RTX; skips the test where there is none."""
    python = CACHE / "rtx" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"TensorRT-RTX is not in {CACHE}; tests/nvidia/fetch_bindings.sh gets it")
    return str(python)


def rtx_build(paths: Sequence[str], layers: bool = False) -> List[Dict[str, Any]]:
    """What RTX says of each file, in one process: see `rtx_build.py`; a file that crashes it has "crashed" alone.

    Args:
        paths: ONNX files.
        layers: whether to tell the layers of the parsed networks as well.
    """
    found: List[Dict[str, Any]] = []
    python, flags = rtx_python(), ["--layers"] if layers else []
    while len(found) < len(paths):
        done = run_quietly([python, str(_SCRIPT), *flags, *map(str, paths[len(found) :])])
        found += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if len(found) < len(paths):
            assert done.returncode < 0, done.stderr  # killed by a signal: that file is what did it
            found.append({"model": str(paths[len(found)]), "crashed": True})
    return found


def rtx_names() -> Dict[str, List[str]]:
    """As `names_of`, of TensorRT-RTX."""
    code = PROBE.format(module="tensorrt_rtx")
    done = run_quietly([rtx_python(), "-c", code])
    assert done.returncode == 0, done.stderr
    found: Dict[str, List[str]] = json.loads(done.stdout)
    return found
