"""What an engine's layers became and how long each took, in one form for TensorRT 8.2 to 11.

EngineInspector's JSON, by version: 8.2 to 8.5 name the layers that were fused in a layer's name alone, later ones in
`Metadata`; 11 says `I/O Tensors` for `Bindings`, and `Format` and `Datatype` for `Format/Datatype` (NVIDIA, "Migrating
IEngineInspector Usage from TensorRT 10.x to 11.x"). An engine that was built without layer details has names only.
"""

import json
import re
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from edgekit.nvidia.trt import TensorRT

if TYPE_CHECKING:
    import tensorrt as trt

_ORIGIN = re.compile(r"\[ONNX Layer: (.*?)\](?=[\x1e\x1f]|$)")
_OWN = re.compile(r"^(Reformatting CopyNode|Myelin|\{ForeignNode\[|__my)")  # TensorRT's own: of no node of the graph
_FUSED = re.compile(r" \+ | \|\| |,\s*")
_PRECISION = re.compile(r"\b(fp32|float|fp16|half|bf16|bfloat16|fp8|int8|uint8|int4|int32|int64|bool)\b", re.I)
_SHORT = {"float": "fp32", "half": "fp16", "bfloat16": "bf16"}
_NOTHING: Dict[str, Any] = {"op": "", "precision": "", "inputs": [], "outputs": [], "tactic": ""}


def layers_from_json(text: str) -> List[Dict[str, Any]]:
    """The layers of EngineInspector's JSON, in the engine's order.

    Returns:
        A dict a layer:
            name: TensorRT's.
            op: what it computes, such as "Convolution"; "" where the engine was built without details.
            precision: "int8", "fp16", "fp32", … of its weights, else of its first input; "" where unknown.
            inputs, outputs: of {name, shape, dtype, format}.
            tactic: the kernel's name; "" where unknown.
            origin: names of the ONNX nodes that went into it; none for a layer that TensorRT added.
    """
    return [_layer(one) for one in json.loads(text)["Layers"]]


def _layer(layer: Any) -> Dict[str, Any]:
    if isinstance(layer, str):
        return dict(_NOTHING, name=layer, origin=_origin_of_name(layer))
    inputs = [_tensor(one) for one in layer.get("Inputs", ())]
    outputs = [_tensor(one) for one in layer.get("Outputs", ())]
    name = layer["Name"]
    return {
        "name": name,
        "op": layer.get("ParameterType") or layer.get("LayerType", ""),
        "precision": _precision(layer, inputs, outputs),
        "inputs": inputs,
        "outputs": outputs,
        "tactic": layer.get("TacticName") or layer.get("TacticValue", ""),
        "origin": _ORIGIN.findall(layer["Metadata"]) if "Metadata" in layer else _origin_of_name(name),
    }


def _tensor(tensor: Dict[str, Any]) -> Dict[str, Any]:
    both = tensor.get("Format/Datatype", "")
    kind = tensor.get("Datatype") or tensor.get("DataType") or both
    return {
        "name": tensor["Name"],
        "shape": tensor.get("Dimensions", []),
        "dtype": _short(kind),
        "format": tensor.get("Format", both),
    }


def _short(text: str) -> str:
    """ "fp16" of "Channel major FP16 format where channel % 8 == 0", or of "Half"."""
    found = _PRECISION.search(text)
    name = found.group(1).lower() if found else ""
    return _SHORT.get(name, name)


def _precision(layer: Dict[str, Any], inputs: List[Dict[str, Any]], outputs: List[Dict[str, Any]]) -> str:
    weights = layer.get("Weights")
    if isinstance(weights, dict) and weights.get("Type"):
        return _short(weights["Type"])
    return next((one["dtype"] for one in inputs + outputs if one["dtype"]), "")


def _origin_of_name(name: str) -> List[str]:
    """Nodes of "a + b", "a || b", "PWN(PWN(a), b)"."""
    if _OWN.match(name):
        return []
    nodes = [part.strip() for part in _FUSED.split(_without_wrappers(name))]
    return [node for node in nodes if node]


def _without_wrappers(name: str) -> str:
    """Point-wise networks stand in PWN(…); a name may have brackets of its own, so only those that belong go."""
    while "PWN(" in name:
        start = name.rindex("PWN(")
        end = _closing(name, start + len("PWN("))
        name = name[:start] + name[start + len("PWN(") : end] + name[end + 1 :]
    return name


def _closing(name: str, start: int) -> int:
    depth = 1
    for index in range(start, len(name)):
        depth += {"(": 1, ")": -1}.get(name[index], 0)
        if depth == 0:
            return index
    return len(name)


class LayerClock:
    """Collects what an `IProfiler` is told.

    Attributes:
        profiler: for `TrtEngine.profile`.
    """

    def __init__(self, tensorrt: TensorRT) -> None:
        self._ms: Dict[str, List[float]] = {}
        self.profiler = _profiler(tensorrt, self._ms)

    def times(self) -> List[Tuple[str, List[float]]]:
        """Layer and its times in milliseconds, one a run, in the engine's order."""
        return list(self._ms.items())


def _profiler(tensorrt: TensorRT, times: Dict[str, List[float]]) -> "trt.IProfiler":
    module = tensorrt.module

    class Profiler(module.IProfiler):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            module.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times.setdefault(layer_name, []).append(ms)

    return Profiler()
