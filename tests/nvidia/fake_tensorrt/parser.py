"""The ONNX importer: fills a network from a file, with the refusals of each version."""

import os
from typing import Any, Dict, List, Optional

import numpy as np

from tests.nvidia.fake_tensorrt.onnx_reader import Model, Node, Tensor, read_onnx
from tests.nvidia.fake_tensorrt.vocabulary import Strict, check_logger, said

# ONNX operator -> LayerType; the importer makes one layer of most, several of some (HardSwish, Split), never mind
_KINDS = {
    "CONVOLUTION": "Conv",
    "DECONVOLUTION": "ConvTranspose",
    "QUANTIZE": "QuantizeLinear",
    "DEQUANTIZE": "DequantizeLinear",
    "ELEMENTWISE": "Add Sub Mul Div Min Max Pow Mod Equal Greater Less And Or Xor Sum",
    "ACTIVATION": "Relu Sigmoid Tanh Clip LeakyRelu HardSigmoid HardSwish Elu Selu Softplus Mish Gelu",
    "CONCATENATION": "Concat",
    "SHUFFLE": "Reshape Transpose Flatten Squeeze Unsqueeze DepthToSpace SpaceToDepth",
    "SLICE": "Slice Split Pad",
    "RESIZE": "Resize Upsample",
    "POOLING": "MaxPool AveragePool",
    "REDUCE": "GlobalAveragePool GlobalMaxPool ReduceMean ReduceSum ReduceMax ReduceMin ReduceL2",
    "SOFTMAX": "Softmax LogSoftmax",
    "MATRIX_MULTIPLY": "MatMul Gemm",
    "SCALE": "BatchNormalization InstanceNormalization LayerNormalization",
    "UNARY": "Exp Log Sqrt Neg Abs Reciprocal Floor Ceil Round Erf Not Sign",
    "GATHER": "Gather GatherND GatherElements",
    "SHAPE": "Shape",
    "IDENTITY": "Identity Dropout",
    "SELECT": "Where",
    "TOPK": "TopK ArgMax",
    "FILL": "ConstantOfShape Range",
    "GRID_SAMPLE": "GridSample",
}
IMPORTERS = {op: kind for kind, ops in _KINDS.items() for op in ops.split()}
IMPORTERS["Cast"] = "CAST"

# ONNX element type -> DataType
_TYPES = {
    1: "FLOAT",
    2: "UINT8",
    3: "INT8",
    6: "INT32",
    7: "INT64",
    9: "BOOL",
    10: "HALF",
    11: "FLOAT",
    16: "BF16",
    22: "INT4",
}

# Highest opset that a version documents. NVIDIA's importer reads beyond it by older definitions, with what result is
# nobody's promise: the fake refuses, so that nothing of ours gets there.
_OPSETS = (((8, 0), 13), ((8, 4), 17), ((10, 0), 20), ((10, 15), 24))

# operators of the above that came after 8.2 -> with which version (onnx-tensorrt, docs/operators.md of each branch)
_SINCE = {
    "Xor": (8, 4),
    "GridSample": (8, 5),
    "HardSwish": (8, 5),
    "Mod": (8, 5),
    "Reciprocal": (8, 5),
    "LayerNormalization": (8, 6),
    "Gelu": (10, 0),
    "Mish": (10, 0),
}


def opset_limit(numbers: Any) -> int:
    """Highest opset of the importer of that version."""
    return max(opset for first, opset in _OPSETS if tuple(numbers) >= first)


class ParserError(Strict):
    """`trt.ParserError`."""

    def __init__(self, text: str, node: int, code: str, name: str = "", op: str = "") -> None:
        self._text, self._node, self._code, self._name, self._op = text, node, code, name, op

    def desc(self) -> str:
        return self._text

    def code(self) -> Any:
        return getattr(self._trt.ErrorCode, self._code)

    def node(self) -> int:
        return self._node

    def node_name(self) -> str:
        return self._name

    def node_operator(self) -> str:
        return self._op

    def file(self) -> str:
        return "onnx2trt_utils.cpp"

    def func(self) -> str:
        return "importModel"

    def line(self) -> int:
        return 1

    def __str__(self) -> str:
        return "In node {} ({}): {}: {}".format(self._node, self.func(), self._code, self._text)


class _RefusedError(Exception):
    def __init__(self, text: str, code: str = "UNSUPPORTED_NODE") -> None:
        Exception.__init__(self, text)
        self.text, self.code = text, code


class OnnxParser(Strict):
    """`trt.OnnxParser`."""

    def __init__(self, network: Any, logger: Any) -> None:
        if not isinstance(network, self._trt.INetworkDefinition):
            raise TypeError("OnnxParser(): incompatible constructor arguments: {!r}".format(network))
        check_logger(self._trt, logger)
        self._network, self._logger = network, logger
        self._errors: List[Any] = []
        self._flags = 0

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    @property
    def flags(self) -> int:
        return self._flags

    @flags.setter
    def flags(self, value: int) -> None:
        self._flags = value

    def set_flag(self, flag: Any) -> None:
        self._flags |= 1 << int(flag)

    def clear_flag(self, flag: Any) -> None:
        self._flags &= ~(1 << int(flag))

    def get_flag(self, flag: Any) -> bool:
        return bool(self._flags & (1 << int(flag)))

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors = []

    def supports_operator(self, op_name: str) -> bool:
        known = op_name in IMPORTERS or op_name == "Constant"
        return known and self._trt.fake.numbers >= _SINCE.get(op_name, (0, 0))

    def supports_model_v2(self, model: bytes, path: Optional[str] = None) -> bool:
        return all(self.supports_operator(node.op) for node in read_onnx(bytes(model)).nodes)

    def supports_model(self, model: bytes, path: Optional[str] = None) -> Any:
        return self.supports_model_v2(model, path), []

    def parse_from_file(self, model: str) -> bool:
        self._trt.fake.note("parser.parse_from_file({})", os.path.basename(model))
        try:
            with open(model, "rb") as stream:
                data = stream.read()
        except OSError:
            return self._fail("Failed to parse ONNX model from file: {}!".format(model), -1, "INVALID_VALUE")
        return self._import(data, os.path.dirname(os.path.abspath(model)))

    def parse(self, model: Any, path: Optional[str] = None) -> bool:
        self._trt.fake.note("parser.parse({} bytes)", len(memoryview(model)))
        return self._import(bytes(model), os.path.dirname(path) if path else "")

    def _import(self, data: bytes, folder: str) -> bool:
        try:
            model = read_onnx(data, folder)
        except (ValueError, KeyError, TypeError):
            return self._fail("Failed to parse ONNX model: it is no ModelProto", -1, "MODEL_DESERIALIZE_FAILED")
        if not self._network._explicit_batch:
            text = (
                "This version of the ONNX parser only supports TensorRT INetworkDefinitions with an explicit batch "
                "dimension. Please ensure the network was created using the EXPLICIT_BATCH "
                "NetworkDefinitionCreationFlag."
            )
            return self._fail(text, -1, "INVALID_VALUE")
        limit = opset_limit(self._trt.fake.numbers)
        if model.opset > limit:
            text = "Assertion failed: opset {} is above {}, the highest that this version of TensorRT's parser reads"
            return self._fail(text.format(model.opset, limit), -1, "UNSUPPORTED_GRAPH")
        return _Import(self._trt, self._network, model).run(self._fail, self.supports_operator)

    def _fail(self, text: str, node: int, code: str, name: str = "", op: str = "") -> bool:
        error = self._trt.ParserError(text, node, code, name, op)
        self._errors.append(error)
        said(self._logger, "ERROR", str(error))
        return False


class _Import:
    """One graph on its way into one network."""

    def __init__(self, trt: Any, network: Any, model: Model) -> None:
        self.trt, self.network, self.model = trt, network, model
        self.constants: Dict[str, Tensor] = dict(model.initializers)
        self.tensors: Dict[str, Any] = {}

    def run(self, fail: Any, supported: Any) -> bool:
        try:
            for value in self.model.inputs:
                self.tensors[value.name] = self.network.add_input(value.name, self.dtype(value.dtype), value.shape)
        except _RefusedError as refused:
            return bool(fail(refused.text, -1, refused.code))
        for index, node in enumerate(self.model.nodes):
            try:
                if not supported(node.op):
                    raise _RefusedError(self.no_importer(node))
                self.add(node)
            except _RefusedError as refused:
                return bool(fail(refused.text, index, refused.code, node.name, node.op))
        for value in self.model.outputs:
            self.network.mark_output(self.tensors[value.name])
        return True

    def dtype(self, number: int) -> Any:
        name = _TYPES.get(number, "")
        if name == "INT64" and not hasattr(self.trt.DataType, "INT64"):
            name = "INT32"  # the importer casts down
        if not hasattr(self.trt.DataType, name or "-"):
            raise _RefusedError("Assertion failed: unsupported data type {}".format(number), "UNSUPPORTED_NODE")
        return getattr(self.trt.DataType, name)

    def add(self, node: Node) -> None:
        if node.op == "Constant":
            value = node.attributes["value"]
            self.constants[node.outputs[0]] = value._replace(name=node.outputs[0])
            return
        kind = IMPORTERS[node.op]
        for name in node.inputs:
            if name in self.constants and self.constants[name].values is None and self.constants[name].dtype in _TYPES:
                raise _RefusedError("Failed to open the external weights of {}".format(name), "INVALID_GRAPH")
        checks = {"QuantizeLinear": self.check_q, "DequantizeLinear": self.check_dq, "Conv": self.check_four_bits}
        check = checks.get(node.op)
        if check is not None:
            check(node)
        inputs = [self.tensor(name) for name in node.inputs[: self.read(node)]]
        dtype = self.out_type(node, inputs)
        self.check_types(node, inputs)
        if kind == "CAST" and not hasattr(self.trt.LayerType, "CAST"):
            kind = "IDENTITY"
        outputs = [self.trt.ITensor(name, dtype, self.shape(name)) for name in node.outputs if name]
        self.tensors.update((tensor.name, tensor) for tensor in outputs)
        self.network._add(node.name, kind, inputs, outputs, node.op)

    def no_importer(self, node: Node) -> str:
        if self.trt.fake.numbers[0] >= 10:
            return "Plugin not found, are the plugin name, version, and namespace correct? (op {})".format(node.op)
        text = "No importer registered for op: {0}. Attempting to import as plugin. getPluginCreator could not find "
        return (text + "plugin: {0} version: 1").format(node.op)

    def read(self, node: Node) -> int:
        """How many of a node's inputs are tensors of the network; the others are weights or parameters."""
        weighted = node.op in ("Conv", "ConvTranspose", "Gemm", "BatchNormalization")
        if weighted:
            return 1 if node.inputs[1] in self.constants else 2
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            return 2
        return 1 if node.op in ("Clip", "Resize", "Reshape", "Slice", "Split", "Pad", "Unsqueeze", "Squeeze") else 9

    def tensor(self, name: str) -> Any:
        if name not in self.tensors:
            if name not in self.constants:
                raise _RefusedError("Assertion failed: tensor {} is not found".format(name or "''"), "INVALID_GRAPH")
            found = self.constants[name]
            self.tensors[name] = self.trt.ITensor(name + "_output", self.dtype(found.dtype), found.dims)
            self.network._add(name, "CONSTANT", [], [self.tensors[name]], "Constant")
        return self.tensors[name]

    def shape(self, name: str) -> Any:
        value = self.model.values.get(name)
        return value.shape if value is not None else ()

    def out_type(self, node: Node, inputs: List[Any]) -> Any:
        types = self.trt.DataType
        if node.op == "Cast":
            return self.dtype(node.attributes["to"])
        if node.op == "QuantizeLinear":
            return types.INT8
        if node.op == "DequantizeLinear":
            return inputs[1].dtype
        if node.op in ("Equal", "Greater", "Less"):
            return types.BOOL
        if node.op == "Shape":
            return self.dtype(7)
        return inputs[1 if node.op == "Where" else 0].dtype if inputs else types.FLOAT

    def check_types(self, node: Node, inputs: List[Any]) -> None:
        """In a strongly typed network both sides of an operator have one type."""
        if not self.network._strongly_typed:
            return
        types = [tensor.dtype for tensor in inputs]
        if node.op in ("Conv", "ConvTranspose", "Gemm"):
            types += [self.dtype(self.constants[name].dtype) for name in node.inputs[1:] if name in self.constants]
        elif node.op not in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Concat", "MatMul"):
            return
        if len(set(types)) > 1:
            text = "{}: must have same input types. But they are of types {}."
            raise _RefusedError(
                text.format(node.name or node.op, " and ".join(one.name for one in types)), "INVALID_NODE"
            )

    def check_scale(self, node: Node) -> None:
        scale = self.constants.get(node.inputs[1])
        if scale is None or scale.values is None:
            raise _RefusedError("Assertion failed: {}: the scale must be an initializer".format(node.name))
        if not np.all(scale.values > 0):
            raise _RefusedError("Assertion failed: {}: Scale coefficients must all be positive".format(node.name))

    def check_four_bits(self, node: Node) -> None:
        weight = self.tensors.get(node.inputs[1])
        maker = next((one for one in self.network._layers if weight in one._outputs), None)
        if maker is not None and maker.type.name == "DEQUANTIZE" and maker.get_input(0).dtype.name == "INT4":
            raise _RefusedError("{}: INT4 weights are for matrix multiplication only".format(node.name), "INVALID_NODE")

    def check_q(self, node: Node) -> None:
        self.check_scale(node)
        self.check_zero_point(node)
        types = [self.constants[name].dtype for name in node.inputs[:2] if name in self.constants]
        if 10 in types and self.trt.fake.numbers < (10, 0):
            raise _RefusedError("Assertion failed: QuantizeLinear of float16 is not supported", "INVALID_NODE")

    def check_dq(self, node: Node) -> None:
        weight = self.constants.get(node.inputs[0])
        if weight is not None and weight.dtype == 6:
            raise _RefusedError(
                "{}: input has type Int32 but must have type FP8, FP4, Int4, Int8, or UInt8".format(node.name),
                "INVALID_NODE",
            )
        if weight is not None and self.trt.fake.numbers < (8, 5):
            raise _RefusedError(
                "{}: Assertion failed: weights of DequantizeLinear must be FP32 with a QuantizeLinear before".format(
                    node.name
                )
            )
        self.check_scale(node)
        self.check_zero_point(node)

    def check_zero_point(self, node: Node) -> None:
        if len(node.inputs) < 3 or not node.inputs[2]:
            if self.trt.fake.numbers >= (10, 0):
                return  # taken for int8
            text = "Assertion failed: This version of TensorRT requires 3 inputs for the {} operator."
            raise _RefusedError(text.format(node.op))
        zero = self.constants.get(node.inputs[2])
        if zero is None or zero.values is None or np.any(zero.values != 0):
            raise _RefusedError("Assertion failed: {}: Non-zero zero point is not supported".format(node.name))
