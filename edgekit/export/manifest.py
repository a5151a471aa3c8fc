"""The manifest of a bundle, as far as the exporter knows it (docs/bundle.md)."""

import os
import platform
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

import edgekit
from edgekit.export.network import Network, model_name
from edgekit.graph.constants import static_shape


def make_manifest(
    network: Network, name: str | None, licence: str | None, golden: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything but weights, lowerings and entries, which `write_bundle` fills in.

    Args:
        network: what is exported.
        name: of the model; None takes the file's.
        licence: of the weights.
        golden: the golden records.
    """
    graph, family = network.model.graph, network.family
    return {
        "model": {
            "name": name or model_name(network.path),
            "task": "detect",
            "classes": list(family.classes),
            "source": {"file": os.path.basename(network.path), "sha256": network.sha256},
            "licence": licence,
        },
        "preprocess": family.preprocess.to_json(),
        "decode": family.decode.to_json(),
        "input": _tensor(graph.inputs[0]),
        "outputs": [_tensor(value) for value in graph.outputs],
        "plan": None if network.plan is None else short_floats(network.plan.to_json()),
        "calibration": network.calibration,
        "overflow": None if network.overflow is None else network.overflow.to_json(),
        "golden": golden,
        "provenance": {
            "tool": f"edgekit {edgekit.__version__}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": ort.__version__,
        },
    }


def _tensor(value: Any) -> dict[str, Any]:
    return {"name": value.name, "shape": list(static_shape(value) or ()), "dtype": str(value.dtype.numpy())}


def short_floats(value: Any) -> Any:
    """Plain values with the fewest digits that give the same float32: thousands of scales stand in the manifest."""
    if isinstance(value, dict):
        return {key: short_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [short_floats(item) for item in value]
    return float(str(np.float32(value))) if isinstance(value, float) else value
