"""The inspector: what the layers of an engine became, in the JSON of each version."""

import json
from typing import Any, Dict

from tests.nvidia.fake_tensorrt.vocabulary import Strict

_FORMATS = {
    "INT8": "Thirty-two wide channel vectorized row major",
    "FP16": "Row major linear",
    "FP32": "Row major linear",
}
_KINDS = {"CONVOLUTION": "CaskConvolution", "ACTIVATION": "PointWiseV2", "ELEMENTWISE": "PointWiseV2"}


class EngineInspector(Strict):
    """`trt.EngineInspector`: layer JSON, with the keys that 11 renamed."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._context: Any = None

    @property
    def execution_context(self) -> Any:
        return self._context

    @execution_context.setter
    def execution_context(self, value: Any) -> None:
        self._context = value

    def get_engine_information(self, format: Any) -> str:
        layers = [self._layer(one) for one in self._engine._plan["layers"]]
        if format.name == "ONELINE":
            return "\n".join(one if isinstance(one, str) else one["Name"] for one in layers)
        tensors = "I/O Tensors" if self._trt.fake.numbers[0] >= 11 else "Bindings"
        return json.dumps({"Layers": layers, tensors: self._engine._names})

    def get_layer_information(self, layer_index: int, format: Any) -> str:
        return json.dumps(self._layer(self._engine._plan["layers"][layer_index]))

    def _layer(self, layer: Dict[str, Any]) -> Any:
        if self._engine._plan["verbosity"] not in ("DETAILED", "VERBOSE"):
            return layer["name"]
        described: Dict[str, Any] = {
            "Name": layer["name"],
            "LayerType": _KINDS.get(layer["type"], layer["type"].title()),
            "Inputs": [self._tensor(one) for one in layer["inputs"]],
            "Outputs": [self._tensor(one) for one in layer["outputs"]],
            "ParameterType": layer["type"].title(),
            "TacticName": "sm{}_{}_nhwc".format(self._engine._plan["sm"], layer["precision"].lower()),
            "TacticValue": "0x1",
        }
        if self._trt.fake.numbers >= (8, 6):
            described["StreamId"] = 0
            described["Metadata"] = "\x1f".join("[ONNX Layer: {}]".format(name) for name in layer["origin"])
        return described

    def _tensor(self, tensor: Dict[str, Any]) -> Dict[str, Any]:
        kind, precision = _FORMATS[tensor["precision"]], tensor["precision"]
        found = {"Name": tensor["name"], "Location": "Device", "Dimensions": tensor["shape"]}
        if self._trt.fake.numbers[0] >= 11:
            found.update({"Format": kind, "Datatype": {"INT8": "Int8", "FP16": "Half", "FP32": "Float"}[precision]})
        elif precision == "INT8":
            found["Format/Datatype"] = kind + " Int8 format"
        else:
            found["Format/Datatype"] = "{} {} format".format(kind, precision)
        return found
