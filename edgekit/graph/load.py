"""Any ONNX detector as a *canonical graph*: the one form that quantisation and every lowering start from.

Canonical means: opset 13, IR version 8, batch 1 and static shapes, float32, weights as initializers inside the file,
constants folded, identities, dropout and batch normalisation gone, every node and value with a unique stable name, in
topological order. SiLU stays Sigmoid and Mul, the Focus stem stays as it was exported.
"""

import os
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx_ir.passes.common import (
    DeduplicateHashedInitializersPass,
    IdentityEliminationPass,
    LiftConstantsToInitializersPass,
    RemoveInitializersFromInputsPass,
    RemoveUnusedNodesPass,
    ShapeInferencePass,
    TopologicalSortPass,
)

from edgekit.errors import ModelError
from edgekit.files import sha256_bytes
from edgekit.graph.batchnorm import fold_batchnorm
from edgekit.graph.constants import constant_value, fold_constants, static_shape
from edgekit.graph.opset import TARGET, downgrade, upgrade

IR_VERSION = 8
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "DynamicQuantizeLinear"})


def load_canonical(source: str | os.PathLike[str] | bytes, input_hw: tuple[int, int] | None = None) -> ir.Model:
    """Read `source` and bring it to the canonical form.

    Args:
        source: path of an .onnx file (external data beside it is read in), or its bytes.
        input_hw: (height, width) of the network's input, needed when the file leaves it open.

    Raises:
        ModelError: not ONNX, an open input size, several image inputs, no convolution, quantised already, operators
            that are not standard or have no opset 13 form.
    """
    proto, label = _read(source)
    _check_operators(proto, label)
    _fix_input(proto, label, input_hw)
    proto = upgrade(proto, _opset(proto, label))
    model = ir.from_proto(proto)
    _name_everything(model.graph)
    _simplify(model, label)
    downgrade(model)
    _finish(model, label)
    return model


def model_digest(source: str | os.PathLike[str] | bytes) -> str:
    """SHA-256 of the file as it was given, lower-case hex; range tables are keyed by it."""
    return sha256_bytes(source if isinstance(source, bytes) else Path(source).read_bytes())


def model_bytes(model: ir.Model) -> bytes:
    """Serialise `model`, the same bytes for the same graph."""
    return ir.to_proto(model).SerializeToString(deterministic=True)


def input_hw(model: ir.Model) -> tuple[int, int]:
    """(height, width) of the canonical graph's image input."""
    shape = static_shape(model.graph.inputs[0])
    if shape is None or len(shape) != 4:
        raise ValueError("not a canonical graph: load it with load_canonical")
    return shape[2], shape[3]


def _read(source: str | os.PathLike[str] | bytes) -> tuple[onnx.ModelProto, str]:
    label = "the model" if isinstance(source, bytes) else os.fspath(source)
    try:
        if isinstance(source, bytes):
            proto = onnx.load_model_from_string(source)
        else:
            proto = onnx.load(label)
    except DecodeError as error:
        raise ModelError(f"{label} is not an ONNX file; export the network to ONNX first") from error
    except (OSError, onnx.checker.ValidationError) as error:
        raise ModelError(f"cannot read {label}: {error}") from error
    if not proto.graph.node:
        raise ModelError(f"{label} is not an ONNX file or holds no nodes; export the network to ONNX first")
    return proto, label


def _opset(proto: onnx.ModelProto, label: str) -> int:
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx"):
            return int(entry.version)
    raise ModelError(f"{label} imports no standard opset; export it with opset {TARGET}")


def _check_operators(proto: onnx.ModelProto, label: str) -> None:
    types = {node.op_type for node in proto.graph.node}
    done = sorted(types & _QUANTIZED)
    if done:
        raise ModelError(f"{label} is quantised already ({', '.join(done)}); give the float network it was made from")
    foreign = sorted({f"{n.domain}.{n.op_type}" for n in proto.graph.node if n.domain not in ("", "ai.onnx")})
    if foreign:
        raise ModelError(
            f"{label} has operators that are not standard ONNX ({', '.join(foreign)}); export without them"
        )
    if not types & {"Conv", "ConvTranspose"}:
        raise ModelError(f"{label} has no convolution: not an image detector")
    if "NonMaxSuppression" in types:
        raise ModelError(
            f"{label} has NonMaxSuppression inside; export it without (nms=False): edgekit does that itself"
        )


def _fix_input(proto: onnx.ModelProto, label: str, hw: tuple[int, int] | None) -> None:
    """Write batch 1 and the given size into an input that leaves them open."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ModelError(f"{label} has {len(inputs)} inputs ({names}), expected one image of shape 1x3xHxW")
    kind = inputs[0].type.tensor_type
    dims = kind.shape.dim
    seen = "x".join(str(d.dim_value) if d.dim_value > 0 else (d.dim_param or "?") for d in dims)
    if kind.elem_type != onnx.TensorProto.FLOAT or len(dims) != 4:
        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
        raise ModelError(f"{label}: input {inputs[0].name} is {name} {seen}, expected float 1x3xHxW")
    # Four channels are colour and infrared; `families` checks that the file says so.
    wanted = (1, 4 if dims[1].dim_value == 4 else 3, *(hw or (0, 0)))
    for dim, size in zip(dims, wanted, strict=True):
        if dim.dim_value <= 0 and size:
            dim.dim_value = size
    sizes = [dim.dim_value for dim in dims]
    if min(sizes) < 1:
        raise ModelError(f"{label}: input {inputs[0].name} is {seen}; give its size with imgsz")
    if sizes[:2] != list(wanted[:2]) or (hw is not None and tuple(sizes[2:]) != tuple(hw)):
        want = "x".join(str(w) if w else s for w, s in zip(wanted, ["1", str(wanted[1]), "H", "W"], strict=True))
        raise ModelError(f"{label}: input {inputs[0].name} is {seen}, expected {want}")
    # shapes computed for an open batch would contradict the fixed one
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")


def _name_everything(graph: ir.Graph) -> None:
    """Give nodes without a name one that depends on their type and position only; make repeated names unique."""
    seen: set[str] = set()
    for index, node in enumerate(graph):
        base = node.name or f"{node.op_type}_{index}"
        name, count = base, 0
        while name in seen:
            count += 1
            name = f"{base}_{count}"
        node.name = name
        seen.add(name)


def _simplify(model: ir.Model, label: str) -> None:
    model.graph.metadata_props.clear()
    for node in model.graph:
        node.metadata_props.clear()
    RemoveInitializersFromInputsPass()(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _drop_dropout(model.graph)
    IdentityEliminationPass()(model)
    fold_constants(model)
    fold_batchnorm(model)
    RemoveUnusedNodesPass()(model)


def _drop_dropout(graph: ir.Graph) -> None:
    for node in [n for n in graph if n.op_type == "Dropout"]:
        source = node.inputs[0]
        assert source is not None
        ir.convenience.replace_all_uses_with(node.outputs[0], source, replace_graph_outputs=True)
        graph.remove(node, safe=True)


def _finish(model: ir.Model, label: str) -> None:
    DeduplicateHashedInitializersPass(size_limit=1024)(model)
    RemoveUnusedNodesPass()(model)
    TopologicalSortPass()(model)
    ShapeInferencePass(data_prop=True)(model)
    model.ir_version = IR_VERSION
    model.graph.opset_imports.pop("ai.onnx", None)
    for value in model.graph.outputs:
        if static_shape(value) is None:
            raise ModelError(f"{label}: the shape of output {value.name} depends on the image; export without NMS")
    if not any(n.op_type == "Conv" and constant_value(n.inputs[1]) is not None for n in model.graph):
        raise ModelError(f"{label} has no convolution with constant weights: not an image detector")
    try:
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{label} does not make a valid opset {TARGET} graph: {reason}") from error
