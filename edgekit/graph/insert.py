"""Insert QuantizeLinear / DequantizeLinear (Q/DQ) pairs into a float graph.

Needs: a canonical graph and a `QuantPlan`. Does, by rule (docs/lowerings.md has the evidence of each):

    R1   every input of a weighted operator: the activation by one scale, the weight by one scale a channel
    R2   nothing on the outputs of weighted operators ("trt"; "every-tensor" does the opposite, on purpose)
    R4   of a residual Add, the skip operand alone; with an activation before the Add, neither
    R5   a Concat's inputs and output share a scale when theirs lie within a factor of 4
    R6   operators that only move values get no pair of their own, and one scale on both sides
    R7   one pair a tensor, shared by all of its quantised readers
    R8   weights are float32 + Q + DQ, or int8 + DQ, those of 2 to 6 bits moved up to 7; the bias stays float32, or
         int32 + DQ where the backend's fusion asks for it (scale = input scale * weight scale)
    R9   layers that TensorRT has no INT8 kernel for stay in float, with their quantised weights baked in
    R10  excluded layers are not touched
    R11  nothing between Pad and Conv, on outputs of the network, or on shapes and constants

Promises: the same arguments give the same graph; a graph that has its pairs already is returned unchanged; every
layer of the plan computes with its quantised weights, whether in integers or in float.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.graph.bake import drop_unused_initializers
from edgekit.graph.codes import activation_codes
from edgekit.graph.constants import constant_value
from edgekit.graph.floors import floors
from edgekit.graph.placement import PLACEMENTS, Placement
from edgekit.graph.sources import SOURCE, codes_encoding, graph_scales, layer_scale, layer_weight, tag_sources
from edgekit.precision import QuantPlan, QuantSpec, dequantize, narrow_codes, quantize, raised_codes


@dataclass(frozen=True, slots=True)
class QdqStyle:
    """How codes are written for a backend.

    Attributes:
        activations: "int8" (zero point 0) or "uint8" (zero point 128).
        from_floor: start the grid of a tensor at the lowest value that it can have, see `edgekit.graph.codes`.
        weights: "int8" (codes + DQ), "float32" (values + Q + DQ) or "narrow-int8" (codes + DQ, those of 8 bits on the
            7-bit grid).
        bias: "float32", or "int32" (codes + DQ).
    """

    activations: str = "int8"
    from_floor: bool = False
    weights: str = "int8"
    bias: str = "float32"


CANONICAL = QdqStyle()


def insert_qdq(model: ir.Model, plan: QuantPlan, placement: str, style: QdqStyle = CANONICAL) -> ir.Model:
    """A copy of `model` with Q/DQ pairs.

    Args:
        model: a canonical graph; it is not changed.
        plan: what is quantised.
        placement: a key of `edgekit.graph.placement.PLACEMENTS`.
        style: how codes are written.
    """
    lowered = model.clone()
    tag_sources(lowered.graph)
    placed = PLACEMENTS[placement](lowered.graph, plan)
    _Insertion(lowered.graph, plan, placed, style).run()
    return lowered


class _Insertion:
    """The rewrite of one graph."""

    def __init__(self, graph: ir.Graph, plan: QuantPlan, placed: Placement, style: QdqStyle) -> None:
        self._graph = graph
        self._plan = plan
        self._placed = placed
        self._style = style
        self._nodes = {str(node.name): node for node in graph}
        self._values = {str(v.name): v for v in graph.inputs}
        self._values.update((str(v.name), v) for node in graph for v in node.outputs)
        self._floors = placed.grids.floors(floors(graph)) if style.from_floor else {}
        self._input_scale: dict[str, np.float32] = {}

    def run(self) -> None:
        for name, uses in self._placed.uses.items():
            self._activation(self._values[name], uses)
        for name in self._plan.weights:
            node = self._nodes.get(name)
            if node is None or node.inputs[1] is None or node.inputs[1].const_value is None:
                continue  # not of this graph, or done already
            if name in self._placed.layers:
                self._weight(node, self._plan.weights[name])
            elif name not in self._plan.excluded:
                self._bake(node, self._plan.weights[name])
        drop_unused_initializers(self._graph)

    def _activation(self, value: ir.Value, uses: list[tuple[str, int]]) -> None:
        name, spec = str(value.name), self._placed.grids.specs[str(value.name)]
        codes = activation_codes(spec, self._style.activations, self._floors.get(name))
        scale = self._constant(f"{name}_scale", np.array(codes.scale))
        zero = self._constant(f"{name}_zero_point", codes.zero_point)
        source = self._clipped(value, spec) if spec.bits < 8 or spec.clip is not None else value
        quantized = _node("QuantizeLinear", [source, scale, zero], f"{name}_quantized")
        restored = _node("DequantizeLinear", [quantized.outputs[0], scale, zero], f"{name}_dequantized")
        quantized.outputs[0].shape = restored.outputs[0].shape = value.shape
        quantized.outputs[0].dtype = ir.DataType.from_numpy(codes.zero_point.dtype)
        restored.outputs[0].dtype = ir.DataType.FLOAT
        self._after(source, [quantized, restored])
        for node_name, index in uses:
            self._nodes[node_name].replace_input_with(index, restored.outputs[0])
            if index == 0:
                self._input_scale[node_name] = codes.scale

    def _clipped(self, value: ir.Value, spec: QuantSpec) -> ir.Value:
        """Saturate at the planned width: Q itself saturates only at 8 bits."""
        low, high = spec.clip or (spec.qmin * spec.scale[0], spec.qmax * spec.scale[0])
        bounds = [
            self._constant(f"{value.name}_clip_{side}", np.array(bound, np.float32))
            for side, bound in (("low", low), ("high", high))
        ]
        clip = _node("Clip", [value, *bounds], f"{value.name}_clipped")
        clip.outputs[0].shape, clip.outputs[0].dtype = value.shape, ir.DataType.FLOAT
        self._after(value, [clip])
        return clip.outputs[0]

    def _weight(self, node: ir.Node, spec: QuantSpec) -> None:
        values, layer = constant_value(node.inputs[1]), str(node.name)
        assert values is not None  # checked by the placement
        codes, scales = quantize(values, spec), graph_scales(spec)
        axis = {"axis": spec.axis} if spec.granularity == "channel" else {}
        if self._style.weights == "narrow-int8" and spec.bits == 8:  # narrower codes fit as they are
            scales = scales * np.float32(127.0 / 63.0)
            stored = self._constant(f"{layer}.codes", narrow_codes(codes), (layer_weight(layer), "narrow-int8"))
            scale = self._constant(f"{layer}.scale", _shaped(scales, spec))
        else:
            scale = self._constant(f"{layer}.scale", _shaped(scales, spec), (layer_scale(layer), "float32"))
            stored = self._stored_codes(layer, codes, spec, scale, axis)
        node.replace_input_with(1, self._dequantized(f"{layer}.weight", stored, scale, axis))
        if self._style.bias == "int32" and len(node.inputs) > 2 and node.inputs[2] is not None:
            self._bias(node, scales)

    def _stored_codes(
        self, layer: str, codes: np.ndarray, spec: QuantSpec, scale: ir.Value, axis: dict[str, int]
    ) -> ir.Value:
        """int8 codes: an initializer, or computed by Q from float32 values that fall exactly on them (R8)."""
        if self._style.weights != "float32":
            raised = raised_codes(codes, spec.bits)
            return self._constant(f"{layer}.codes", raised, (layer_weight(layer), codes_encoding(spec)))
        values = dequantize(codes, spec)
        stored = self._constant(f"{layer}.values", values, (layer_weight(layer), "dequant-float32"))
        zero = self._constant(f"{layer}.zero_point", np.zeros(codes.shape[spec.axis] if axis else (), np.int8))
        node = _node("QuantizeLinear", [stored, scale, zero], f"{layer}.codes", axis)
        node.outputs[0].shape, node.outputs[0].dtype = ir.Shape(codes.shape), ir.DataType.INT8
        self._graph.insert_before(self._first(), node)
        return node.outputs[0]

    def _dequantized(self, name: str, codes: ir.Value, scale: ir.Value, axis: dict[str, int]) -> ir.Value:
        assert codes.dtype is not None and scale.const_value is not None
        zeros = np.zeros(tuple(scale.const_value.shape.numpy()), codes.dtype.numpy())
        zero = self._constant(f"{name.rsplit('.', 1)[0]}.{'bias_' if 'bias' in name else ''}zero_point", zeros)
        node = _node("DequantizeLinear", [codes, scale, zero], f"{name}_dequantized", axis)
        node.outputs[0].shape, node.outputs[0].dtype = codes.shape, ir.DataType.FLOAT
        if codes.producer() is not None:
            self._after(codes, [node])
        else:
            self._graph.insert_before(self._first(), node)
        return node.outputs[0]

    def _bias(self, node: ir.Node, weight_scales: np.ndarray) -> None:
        """The bias as int32 at the scale of the accumulator, in which a fused kernel adds it."""
        values, layer = constant_value(node.inputs[2]), str(node.name)
        if values is None or layer not in self._input_scale:
            return
        scales = np.broadcast_to(weight_scales * self._input_scale[layer], values.shape).astype(np.float32)
        limit = float(np.iinfo(np.int32).max)
        codes = np.clip(np.rint(values.astype(np.float64) / scales), -limit, limit).astype(np.int32)
        stored = self._constant(f"{layer}.bias_codes", codes)
        scale = self._constant(f"{layer}.bias_scale", scales)
        node.replace_input_with(2, self._dequantized(f"{layer}.bias", stored, scale, {"axis": 0}))

    def _bake(self, node: ir.Node, spec: QuantSpec) -> None:
        """A layer that runs in float here still computes with its quantised weights."""
        values, layer = constant_value(node.inputs[1]), str(node.name)
        assert values is not None
        baked = dequantize(quantize(values, spec), spec)
        name = layer_weight(layer)
        node.replace_input_with(1, self._constant(name, baked, (name, "dequant-float32")))

    def _constant(self, name: str, array: np.ndarray, source: tuple[str, str] | None = None) -> ir.Value:
        known = self._graph.initializers.get(name)
        if known is not None:
            return known
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
        if source is not None:
            value.meta[SOURCE] = source
        self._graph.register_initializer(value)
        return value

    def _after(self, value: ir.Value, nodes: list[ir.Node]) -> None:
        producer = value.producer()
        if producer is None:
            self._graph.insert_before(self._first(), nodes)
        else:
            self._graph.insert_after(producer, nodes)

    def _first(self) -> ir.Node:
        return next(iter(self._graph))


def _node(op_type: str, inputs: list[ir.Value], output: str, attributes: dict[str, int] | None = None) -> ir.Node:
    node = ir.node(op_type, inputs, attributes=attributes or {}, name=f"{output}_node")
    node.outputs[0].name = output
    return node


def _shaped(scales: np.ndarray, spec: QuantSpec) -> np.ndarray:
    return scales if spec.granularity == "channel" else scales.reshape(())
