"""Which kernels TensorRT makes of a lowered graph, as far as that can be told without building it.

1. Q, DQ, Cast and Reshape are no kernels: Q and DQ become the types in which their neighbours write and read.
2. A tensor is INT8 when everything that reads it reads it through Q/DQ; MaxPool, nearest Resize, Concat and the like
   pass that on to what feeds them. A tensor with readers of both kinds is written in float and converted once.
3. A convolution takes with it a ReLU or Clip behind it, an Add whose other operand is there already (not behind an
   activation), and, where `smooth` is set, any other activation such as SiLU.
4. Elementwise operators that follow each other are one kernel.
5. Concat along channels costs nothing for an input that is written by a kernel straight into its place: not a tensor
   that another Concat has, and not one whose channels end in the middle of a vector of 32 bytes.
6. Each input and output of the network is converted between the caller's float32 and the engine's format.

Sources: "How TensorRT Works: Types of Fusions", "Working with Quantized Types: Q/DQ Layer-Placement
Recommendations" in NVIDIA's TensorRT documentation. Not foreseen: convolutions that read the same tensor and are merged
into one, and whole regions that TensorRT's graph compiler fuses.
"""

from dataclasses import dataclass, field

import onnx_ir as ir

from edgekit.graph.constants import static_shape
from edgekit.graph.operators import CLAMPS, commutes

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
ACTIVATIONS = frozenset(
    {"Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Elu", "Selu", "HardSigmoid", "HardSwish", "Softplus", "Mish", "Gelu"}
)
POINTWISE = (
    ACTIVATIONS
    | CLAMPS
    | {"Add", "Sub", "Mul", "Div", "Pow", "Exp", "Log", "Sqrt", "Neg", "Abs", "Min", "Max", "Floor", "Ceil", "Round"}
    | {"Erf", "Reciprocal", "Where", "Equal", "Less", "Greater", "Not", "And", "Or", "Sign"}
)
_QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
_FREE = _QDQ | {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
_VECTOR_BYTES = 32


@dataclass(eq=False)
class Kernel:
    """Nodes that run as one.

    Attributes:
        nodes: in order; the first names it.
        reads: (tensor, whether in INT8), constants left out.
        writes: the tensors that others read.
        copies: for a Concat, the inputs that have to be copied into place.
    """

    nodes: list[ir.Node]
    reads: list[tuple[ir.Value, bool]] = field(default_factory=list)
    writes: list[ir.Value] = field(default_factory=list)
    copies: list[ir.Value] = field(default_factory=list)


class Flow:
    """A lowered graph without its Q, DQ, Cast and Reshape: who reads which tensor, and in which type.

    Attributes:
        nodes: those that are left, in the order of the graph.
        inputs: of the network.
        outputs: the tensors behind the network's outputs.
        output_names: what those are called outside.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.inputs = [v for v in graph.inputs if v.name not in graph.initializers]
        self._constant = set(graph.initializers.values())
        self.nodes: list[ir.Node] = []
        for node in graph:
            if self._is_constant(node):
                self._constant.update(node.outputs)
            elif node.op_type not in _FREE:
                self.nodes.append(node)
        self.outputs = [self.source(value)[0] for value in graph.outputs]
        self.output_names = [str(value.name) for value in graph.outputs]
        self._readers: dict[ir.Value, list[tuple[ir.Node, bool]]] = {}
        for node in self.nodes:
            for value, quantized in self.reads(node):
                self._readers.setdefault(value, []).append((node, quantized))
        self._int8: dict[ir.Value, bool] = {}
        for node in reversed(self.nodes):
            for value in node.outputs:
                self._int8[value] = self._all_int8(value)
        for value in self.inputs:
            self._int8[value] = self._all_int8(value)

    def source(self, value: ir.Value) -> tuple[ir.Value, bool]:
        """The tensor behind `value`, and whether Q/DQ stands between."""
        quantized = False
        node = value.producer()
        while node is not None and node.op_type in _FREE and not self.is_constant(value):
            quantized |= node.op_type in _QDQ
            before = node.inputs[0]
            assert before is not None  # these operators require their first input
            value, node = before, before.producer()
        return value, quantized

    def reads(self, node: ir.Node) -> list[tuple[ir.Value, bool]]:
        """(tensor, whether through Q/DQ) of each input that is computed."""
        return [self.source(v) for v in node.inputs if v is not None and not self.is_constant(v)]

    def readers(self, value: ir.Value) -> list[ir.Node]:
        """The nodes that read a tensor."""
        return [node for node, _ in self._readers.get(value, [])]

    def is_constant(self, value: ir.Value) -> bool:
        """Whether `value` hangs on constants alone."""
        return value in self._constant

    def is_int8(self, value: ir.Value) -> bool:
        """Whether a tensor is stored in INT8."""
        return self._int8.get(value, False)

    def is_mixed(self, value: ir.Value) -> bool:
        """Whether some read a float tensor through Q/DQ, so that it is kept in both types."""
        return not self.is_int8(value) and any(self._in_int8(*reader) for reader in self._readers.get(value, []))

    def runs_int8(self, node: ir.Node) -> bool:
        """Whether a node computes on integers."""
        if node.op_type in WEIGHTED:
            return all(self.source(v)[1] for v in node.inputs[:1] if v is not None) and self._weight_is_quantized(node)
        return commutes(node) and self.is_int8(node.outputs[0])

    def only_reader(self, value: ir.Value) -> ir.Node | None:
        """The one node that reads `value`, or None for several, none, or an output of the network."""
        readers = self.readers(value)
        return readers[0] if len(readers) == 1 and value not in self.outputs else None

    def _all_int8(self, value: ir.Value) -> bool:
        readers = self._readers.get(value, [])
        return bool(readers) and value not in self.outputs and all(self._in_int8(*reader) for reader in readers)

    def _in_int8(self, node: ir.Node, quantized: bool) -> bool:
        passes_on = commutes(node) or node.op_type == "Concat"
        return quantized or (passes_on and self._int8.get(node.outputs[0], False))

    def _weight_is_quantized(self, node: ir.Node) -> bool:
        weight = node.inputs[1]
        producer = weight.producer() if weight is not None else None
        return producer is not None and producer.op_type in _QDQ

    def _is_constant(self, node: ir.Node) -> bool:
        return all(v is None or v in self._constant for v in node.inputs)


def fuse(flow: Flow, smooth: bool) -> list[Kernel]:
    """The kernels, in the order in which they run.

    Args:
        flow: the graph.
        smooth: whether convolutions take activations other than ReLU and Clip with them.
    """
    order = {node: index for index, node in enumerate(flow.nodes)}
    taken: set[ir.Node] = set()
    placed: set[ir.Value] = set()
    kernels = []
    for node in flow.nodes:
        if node in taken:
            continue
        if node.op_type == "Concat":
            kernel = _concat(flow, node, placed)
        elif node.op_type in WEIGHTED:
            kernel = Kernel(_with_epilogue(flow, node, order, smooth))
        elif node.op_type in POINTWISE:
            kernel = Kernel(_pointwise_chain(flow, node, order))
        else:
            kernel = Kernel([node])
        taken.update(kernel.nodes)
        _connect(flow, kernel)
        kernels.append(kernel)
    return kernels


def vector_channels(itemsize: int) -> int:
    """Channels of a 32-byte vector, in which the fast formats keep them together."""
    return _VECTOR_BYTES // itemsize


def _connect(flow: Flow, kernel: Kernel) -> None:
    inside = {value for node in kernel.nodes for value in node.outputs}
    for node in kernel.nodes:
        kernel.reads += [read for read in flow.reads(node) if read[0] not in inside and read not in kernel.reads]
        for value in node.outputs:
            if value in flow.outputs or any(reader not in kernel.nodes for reader in flow.readers(value)):
                kernel.writes.append(value)


def _with_epilogue(flow: Flow, node: ir.Node, order: dict[ir.Node, int], smooth: bool) -> list[ir.Node]:
    nodes = [node]
    reader = flow.only_reader(node.outputs[0])
    if reader is not None and reader.op_type == "Add" and _others_before(flow, reader, node, order):
        nodes.append(reader)
    return nodes + _activation(flow, nodes[-1].outputs[0], smooth)


def _activation(flow: Flow, value: ir.Value, smooth: bool) -> list[ir.Node]:
    """The nodes of the activation that reads `value`, or none."""
    reader = flow.only_reader(value)
    if reader is not None and (reader.op_type in CLAMPS or (smooth and reader.op_type in ACTIVATIONS)):
        return [reader]
    gate = next((n for n in flow.readers(value) if n.op_type in ("Sigmoid", "HardSigmoid", "Tanh")), None)
    if not smooth or gate is None or value in flow.outputs or len(flow.readers(value)) != 2:
        return []
    product = flow.only_reader(gate.outputs[0])
    if product is not None and product.op_type == "Mul" and product in flow.readers(value):
        return [gate, product]
    return []


def _pointwise_chain(flow: Flow, node: ir.Node, order: dict[ir.Node, int]) -> list[ir.Node]:
    nodes = [node]
    while (reader := flow.only_reader(nodes[-1].outputs[0])) is not None:
        same = static_shape(reader.outputs[0]) == static_shape(nodes[-1].outputs[0])
        if reader.op_type not in POINTWISE or not same or not _others_before(flow, reader, node, order):
            break
        nodes.append(reader)
    return nodes


def _others_before(flow: Flow, reader: ir.Node, node: ir.Node, order: dict[ir.Node, int]) -> bool:
    """Whether what `reader` reads besides the kernel of `node` is computed before that kernel runs."""
    for value, _ in flow.reads(reader):
        producer = value.producer()
        if producer in order and order[producer] > order[node]:
            return _chained(flow, value, node)
    return True


def _chained(flow: Flow, value: ir.Value, node: ir.Node) -> bool:
    """Whether `value` comes from `node` through elementwise operators alone."""
    producer = value.producer()
    while producer is not None and producer is not node and producer.op_type in POINTWISE:
        sources = [v.producer() for v, _ in flow.reads(producer)]
        producer = sources[0] if sources else None
    return producer is node


def _concat(flow: Flow, node: ir.Node, placed: set[ir.Value]) -> Kernel:
    """A Concat with the inputs that are not written into it directly."""
    kernel = Kernel([node])
    rank = len(static_shape(node.outputs[0]) or ())
    along_channels = node.attributes["axis"].as_int() % max(rank, 1) == 1 and rank == 4
    itemsize = 1 if flow.is_int8(node.outputs[0]) else 2
    for value, _ in flow.reads(node):
        shape = static_shape(value) or ()
        aligned = len(shape) == 4 and shape[1] % vector_channels(itemsize) == 0
        if along_channels and aligned and value not in placed and value.producer() is not None:
            placed.add(value)
        else:
            kernel.copies.append(value)
    return kernel
