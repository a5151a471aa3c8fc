"""What a network costs a GPU: operations and bytes of each kernel that TensorRT is expected to make of it."""

from dataclasses import dataclass
from math import prod

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgekit.bench.cost import BYTES, LayerCost, NetworkCost
from edgekit.bundle import Bundle
from edgekit.errors import BundleError, ConfigError
from edgekit.graph.constants import static_shape
from edgekit.graph.kernels import WEIGHTED, Flow, Kernel, fuse
from edgekit.profiles import Profile

# The float type in which TensorRT runs what is not INT8; trt8 by its builder's FP16 flag, which edgekit sets.
FLOAT_TYPES = {"trt10": "fp16", "trt8": "fp16", "fp16": "fp16", "fp32": "fp32"}
_SMOOTH_SM = 80


def choose_cost(bundle: Bundle, profile: Profile, lowering: str | None = None) -> NetworkCost:
    """The costs of the graph that a device of that kind would be given.

    Args:
        bundle: the network.
        profile: the device.
        lowering: the graph; None for the best that the bundle has for it. A device without INT8 whose bundle has no
            fp16 graph is counted on the fp32 one in half precision, and the notes say so.

    Raises:
        ConfigError: `lowering` is not for this device.
        BundleError: the bundle has no graph for it.
    """
    smooth = profile.chip.sm >= _SMOOTH_SM
    if lowering is not None:
        if lowering not in FLOAT_TYPES or (not profile.chip.int8 and lowering.startswith("trt")):
            raise ConfigError(
                f"{profile.name} does not run lowering {lowering!r}; it runs {', '.join(profile.lowerings)}"
            )
        return network_cost(bundle, lowering, smooth)
    for name in profile.lowerings:
        if name in bundle.lowerings:
            return network_cost(bundle, name, smooth)
    if "fp32" in bundle.lowerings:
        return network_cost(bundle, "fp32", smooth, "fp16")
    raise BundleError(
        f"{bundle.path} has no graph for {profile.name}, which runs {', '.join(profile.lowerings)}; it has "
        f"{', '.join(bundle.lowerings)}. Export it again with --lowering {profile.lowerings[0]}"
    )


def layer_costs(bundle: Bundle, lowering: str, smooth: bool = True) -> tuple[LayerCost, ...]:
    """The kernels of one graph of a bundle; see `network_cost`."""
    return network_cost(bundle, lowering, smooth).layers


def network_cost(bundle: Bundle, lowering: str, smooth: bool = True, float_type: str | None = None) -> NetworkCost:
    """Kernels and memory of one graph of a bundle.

    Args:
        bundle: the network.
        lowering: one of `FLOAT_TYPES`.
        smooth: whether convolutions take SiLU and its like with them, as from compute capability 8.0 on.
        float_type: "fp16" or "fp32" for what is not INT8; None for the lowering's own.

    Raises:
        ConfigError: the lowering is not one that TensorRT runs.
        BundleError: the bundle does not have it.
    """
    if lowering not in FLOAT_TYPES:
        raise ConfigError(f"TensorRT does not run lowering {lowering!r}; it runs {', '.join(FLOAT_TYPES)}")
    if lowering not in bundle.lowerings:
        raise BundleError(f"{bundle.path} has no lowering {lowering!r}; it has {', '.join(bundle.lowerings)}")
    proto = onnx.load_model_from_string(bundle.read(bundle.manifest["lowerings"][lowering]["graph"]))
    notes: tuple[str, ...] = ()
    if float_type is not None and float_type != FLOAT_TYPES[lowering]:
        notes = (f"The bundle has no {float_type} graph: counted on its {lowering} graph in that type.",)
    return model_cost(ir.from_proto(proto), bundle.name, lowering, smooth, float_type or FLOAT_TYPES[lowering], notes)


def model_cost(
    model: ir.Model, name: str, lowering: str, smooth: bool, float_type: str, notes: tuple[str, ...] = ()
) -> NetworkCost:
    """The same for a graph in memory, with or without Q/DQ."""
    if any(static_shape(value) is None for node in model.graph for value in node.outputs):
        ShapeInferencePass(data_prop=True)(model)
    flow = Flow(model.graph)
    kernels = fuse(flow, smooth)
    count = _Counter(flow, float_type)
    layers = [layer for kernel in kernels for layer in count.layers(kernel)]
    layers = count.entries() + layers + count.exits()
    borders = sum(4 * _elements(value) for value in (*flow.inputs, *flow.outputs))
    return NetworkCost(name, lowering, tuple(layers), peak_activation_bytes(flow, kernels, float_type), borders, notes)


@dataclass(frozen=True, slots=True)
class _Counter:
    """Rows of kernels; tensors that are not INT8 are of `float_type`."""

    flow: Flow
    float_type: str

    def layers(self, kernel: Kernel) -> list[LayerCost]:
        """The kernel itself, and conversions of what it writes for readers of another type."""
        first = kernel.nodes[0]
        if first.op_type == "Concat":
            moved = sum(self._bytes(value) for value in kernel.copies)
            rows = [self._moving(first, moved, moved, len(kernel.copies))] if kernel.copies else []
        elif first.op_type in WEIGHTED:
            rows = [self._multiplying(kernel)]
        else:
            read = sum(self._bytes(value, as_int8) for value, as_int8 in kernel.reads)
            rows = [self._moving(first, read, sum(map(self._bytes, kernel.writes)), 1, _ops(kernel))]
        return rows + [self._conversion(value) for value in kernel.writes if self.flow.is_mixed(value)]

    def entries(self) -> list[LayerCost]:
        """Each input from the caller's float32 into the engine's type and format."""
        return [self._reformat(str(v.name), 4 * _elements(v), self._bytes(v)) for v in self.flow.inputs]

    def exits(self) -> list[LayerCost]:
        """Each output back to float32."""
        if self.float_type == "fp32":
            return []
        outputs = zip(self.flow.output_names, self.flow.outputs, strict=True)
        return [self._reformat(name, self._bytes(value), 4 * _elements(value)) for name, value in outputs]

    def _multiplying(self, kernel: Kernel) -> LayerCost:
        node = kernel.nodes[0]
        int8 = self.flow.runs_int8(node)
        weights = _constants(self.flow, node)
        itemsize = 1 if int8 else BYTES[self.float_type]
        work = _work_of(node, self.flow)
        read = sum(self._bytes(value, as_int8) for value, as_int8 in kernel.reads)
        return LayerCost(
            name=str(node.name),
            op=_ops(kernel),
            macs=work.macs,
            weight_bytes=itemsize * weights[0] + 4 * weights[1],
            input_bytes=read,
            output_bytes=sum(map(self._bytes, kernel.writes)),
            precision="int8" if int8 else self.float_type,
            in_channels=work.in_channels,
            out_channels=work.out_channels,
            groups=work.groups,
            positions=work.positions,
        )

    def _moving(self, node: ir.Node, read: int, written: int, kernels: int, op: str | None = None) -> LayerCost:
        precision = "int8" if self.flow.is_int8(node.outputs[0]) else self.float_type
        return LayerCost(str(node.name), op or node.op_type, 0, 0, read, written, precision, kernels)

    def _conversion(self, value: ir.Value) -> LayerCost:
        count = _elements(value)
        return LayerCost(f"{value.name} to int8", "Quantize", 0, 0, count * BYTES[self.float_type], count, "int8")

    def _reformat(self, name: str, read: int, written: int) -> LayerCost:
        return LayerCost(f"reformat {name}", "Reformat", 0, 0, read, written, self.float_type)

    def _bytes(self, value: ir.Value, as_int8: bool = False) -> int:
        return _elements(value) * (1 if as_int8 or self.flow.is_int8(value) else BYTES[self.float_type])


@dataclass(frozen=True, slots=True)
class _Work:
    macs: int
    in_channels: int
    out_channels: int
    groups: int
    positions: int


def _work_of(node: ir.Node, flow: Flow) -> _Work:
    """Multiply-accumulates of a Conv, ConvTranspose, Gemm or MatMul, and the shape of its matrix product."""
    out = static_shape(node.outputs[0]) or ()
    weight = _shape(node.inputs[1])
    if node.op_type == "Conv":
        groups = node.attributes["group"].as_int() if "group" in node.attributes else 1
        macs = prod(out) * prod(weight[1:])
        return _Work(macs, weight[1], weight[0] // groups, groups, prod(out[2:]))
    if node.op_type == "ConvTranspose":
        groups = node.attributes["group"].as_int() if "group" in node.attributes else 1
        read = _shape(node.inputs[0])
        return _Work(prod(read) * prod(weight[1:]), weight[0] // groups, weight[1], groups, prod(out[2:]))
    read = _shape(node.inputs[0])
    transposed = node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int() == 1
    inner = read[0] if transposed else read[-1]
    return _Work(prod(out) * inner, inner, out[-1], 1, prod(out[:-1]))


def _constants(flow: Flow, node: ir.Node) -> tuple[int, int]:
    """Elements of the constant weight and of the bias of a weighted node."""
    sizes = [prod(_shape(v)) if v is not None and flow.is_constant(v) else 0 for v in node.inputs[1:3]]
    return sizes[0], sizes[1] if len(sizes) > 1 else 0


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    shape = static_shape(value)
    if shape is None:
        raise ValueError(f"{value.name if value else 'an input'} has no static shape: lower a canonical graph")
    return shape


def _elements(value: ir.Value) -> int:
    return prod(_shape(value))


def _ops(kernel: Kernel) -> str:
    """The fused operators by their usual names: "Conv+SiLU", "Conv+Add+Relu"."""
    text = "+".join(node.op_type for node in kernel.nodes)
    return text.replace("HardSigmoid+Mul", "HardSwish").replace("Sigmoid+Mul", "SiLU")


def peak_activation_bytes(flow: Flow, kernels: list[Kernel], float_type: str) -> int:
    """Most bytes of tensors alive at once, one image; members of a Concat live in its buffer, nothing is in place."""
    home: dict[ir.Value, ir.Value] = {}
    for kernel in reversed(kernels):
        if kernel.nodes[0].op_type == "Concat":
            output = kernel.nodes[0].outputs[0]
            for value, _ in flow.reads(kernel.nodes[0]):
                if value not in kernel.copies:
                    home[value] = home.get(output, output)
    born: dict[ir.Value, int] = {home.get(value, value): 0 for value in flow.inputs}
    dies: dict[ir.Value, int] = {}
    for index, kernel in enumerate(kernels):
        for value in kernel.writes:
            born.setdefault(home.get(value, value), index)
        for value, _ in kernel.reads:
            dies[home.get(value, value)] = index
    dies.update({home.get(value, value): len(kernels) for value in flow.outputs})
    sizes = {v: _elements(v) * (1 if flow.is_int8(v) else BYTES[float_type]) for v in born}
    alive = [0] * (len(kernels) + 1)
    for value, first in born.items():
        for index in range(first, dies.get(value, first) + 1):
            alive[index] += sizes[value]
    return max(alive, default=0)
