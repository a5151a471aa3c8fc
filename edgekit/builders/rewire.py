"""Change a parsed network so that a layer that could not be built can: without its Q/DQ pairs, or in FP32.

The device has no onnx package, so the graph is not written anew: TensorRT's own network is rewired, and what is no
longer read it drops itself. Source of the need: "Could not find any implementation for node …QuantizeLinear + Conv" on
GPUs that lack some INT8 kernels (TensorRT issues 1768, 3385, 3638).
"""

from typing import TYPE_CHECKING, Dict, List, Sequence, Set

from edgekit.nvidia.trt import TensorRT, optional
from edgekit.nvidia.trt_build import layers_of

if TYPE_CHECKING:
    import tensorrt as trt


def take_pairs_off(tensorrt: TensorRT, network: "trt.INetworkDefinition", names: Set[str]) -> List[str]:
    """Let these layers read what stood before their Q/DQ pairs; the names of those that had any.

    A weight that is stored as int8 with DQ alone keeps it: there is no float behind it, and without a quantised
    activation its kernel is a float one all the same.
    """
    makers = _makers(network)
    changed = []
    for layer in layers_of(network):
        if layer.name in names and _bypass(tensorrt, layer, makers):
            changed.append(layer.name)
    return changed


def pin_to_float32(tensorrt: TensorRT, network: "trt.INetworkDefinition", names: Set[str]) -> List[str]:
    """Compute these layers in FP32; the names of those that were pinned. For networks that are not strongly typed."""
    pinned = []
    for layer in layers_of(network):
        if layer.name not in names:
            continue
        layer.precision = tensorrt.module.DataType.FLOAT  # pyright: ignore[reportAttributeAccessIssue]  (VERSIONED)
        for index in range(layer.num_outputs):
            optional(layer, "set_output_type")(index, tensorrt.module.DataType.FLOAT)
        pinned.append(layer.name)
    return pinned


def layers_with_pairs(tensorrt: TensorRT, network: "trt.INetworkDefinition", names: Sequence[str]) -> List[str]:
    """Those of `names` that read at least one activation through a Q/DQ pair."""
    makers = _makers(network)
    wanted = set(names)
    return [
        layer.name
        for layer in layers_of(network)
        if layer.name in wanted and any(_behind_pair(tensorrt, layer, i, makers) for i in range(layer.num_inputs))
    ]


def _makers(network: "trt.INetworkDefinition") -> "Dict[str, trt.ILayer]":
    """Tensor name -> the layer that writes it."""
    return {layer.get_output(i).name: layer for layer in layers_of(network) for i in range(layer.num_outputs)}


def _bypass(tensorrt: TensorRT, layer: "trt.ILayer", makers: "Dict[str, trt.ILayer]") -> bool:
    changed = False
    for index in range(layer.num_inputs):
        before = _behind_pair(tensorrt, layer, index, makers)
        if before is not None:
            layer.set_input(index, before)
            changed = True
    return changed


def _behind_pair(
    tensorrt: TensorRT, layer: "trt.ILayer", index: int, makers: "Dict[str, trt.ILayer]"
) -> "trt.ITensor | None":
    """The tensor in front of the Q/DQ pair that input `index` is read through, or None without a pair."""
    kinds = tensorrt.module.LayerType
    value = layer.get_input(index)
    dq = makers.get(value.name) if value is not None else None
    if dq is None or dq.type != kinds.DEQUANTIZE:
        return None
    q = makers.get(dq.get_input(0).name)
    return q.get_input(0) if q is not None and q.type == kinds.QUANTIZE else None
