"""The fake's serialised engine: a line of magic, then JSON with everything that running it needs."""

import json
from typing import Any, Dict, List

MAGIC = b"fake TensorRT plan\n"
_FOLDED = ("QUANTIZE", "DEQUANTIZE", "CONSTANT")


def plan_of(trt: Any, network: Any, config: Any) -> bytes:
    """The engine of a network that builds."""
    fake = trt.fake
    compatible = config._compatibility is not None and config._compatibility.name == "AMPERE_PLUS"
    tensors = [_tensor(one, True) for one in network._inputs] + [_tensor(one, False) for one in network._outputs]
    plan = {
        "tensorrt": fake.version,
        "rtx": fake.rtx,
        "sm": fake.sm,
        "name": network.name,
        "tensors": tensors,
        "layers": _layers(trt, network, config),
        "verbosity": config._verbosity.name,
        "ampere_plus": compatible,
        "dla_core": config._core if config._device.name == "DLA" else None,
        "workspace": config._workspace,
    }
    return write_plan(plan)


def write_plan(plan: Dict[str, Any]) -> bytes:
    """The bytes of a plan."""
    return MAGIC + json.dumps(plan, sort_keys=True).encode()


def read_plan(data: bytes) -> Dict[str, Any]:
    """What `plan_of` wrote.

    Raises:
        ValueError: not such a plan.
    """
    if not data.startswith(MAGIC):
        raise ValueError("magic")
    plan: Dict[str, Any] = json.loads(data[len(MAGIC) :].decode())
    return plan


def _tensor(tensor: Any, is_input: bool) -> Dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype.name, "shape": list(tensor._shape), "input": is_input}


def _layers(trt: Any, network: Any, config: Any) -> List[Dict[str, Any]]:
    """Kernels: an activation goes with the convolution before it, Q, DQ and constants are folded away."""
    made = {id(tensor): layer for layer in network._layers for tensor in layer._outputs}
    found: List[Dict[str, Any]] = []
    places: Dict[int, Dict[str, Any]] = {}
    for layer in network._layers:
        if layer.type.name in _FOLDED:
            continue
        before = made.get(id(layer.get_input(0)))
        kernel = places.get(id(before)) if layer.type.name == "ACTIVATION" else None
        if kernel is not None and kernel["type"] == "CONVOLUTION":
            kernel["name"] += " + " + layer.name
            kernel["origin"].append(layer.name)
            kernel["outputs"] = [_described(one, kernel["precision"]) for one in layer._outputs]
        else:
            kernel = _kernel(trt, layer, network, config, made)
            found.append(kernel)
        places[id(layer)] = kernel
    return found


def _kernel(trt: Any, layer: Any, network: Any, config: Any, made: Dict[int, Any]) -> Dict[str, Any]:
    before = made.get(id(layer.get_input(0)))
    precision = "FP32"
    if before is not None and before.type.name == "DEQUANTIZE":
        precision = "INT8"
    elif _half(trt, layer, network, config):
        precision = "FP16"
    return {
        "name": layer.name,
        "type": layer.type.name,
        "precision": precision,
        "origin": [layer.name],
        "inputs": [_described(one, precision) for one in layer._inputs],
        "outputs": [_described(one, "FP16" if precision == "INT8" else precision) for one in layer._outputs],
    }


def _half(trt: Any, layer: Any, network: Any, config: Any) -> bool:
    if network._strongly_typed:
        return any(one.dtype.name == "HALF" for one in layer._outputs)
    flag = trt.BuilderFlag.__members__.get("FP16")
    pinned = layer._precision is not None and layer._precision.name == "FLOAT"
    return flag is not None and config.get_flag(flag) and not pinned


def _described(tensor: Any, precision: str) -> Dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor._shape), "precision": precision}
