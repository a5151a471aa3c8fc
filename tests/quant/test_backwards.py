"""What stands before a join or a sum gets the grid behind it, so that processors stay on integers."""

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.graph.lint import lint
from edgekit.graph.lower import lower
from edgekit.graph.runner import Runner
from edgekit.quant import LayerBits, calibrate, float_twin, plan_for_graph, plan_of, prepare
from edgekit.quant.backwards import grids_behind
from tests.quant.nets import Block, Forked, graph_of, images, trained, widths
from tests.quant.test_plan import ready


def test_the_tensors_of_a_join_and_a_sum_have_grids() -> None:
    model = ready(4, 8)
    graph = graph_of(float_twin(model))
    plan, trained = plan_for_graph(graph, model), plan_of(model)
    nodes = {str(node.name): node for node in graph.graph}
    add, concat = (next(node for node in graph.graph if node.op_type == op) for op in ("Add", "Concat"))
    joined = plan.activations[str(concat.outputs[0].name)]
    assert joined == trained.activations["last"]
    right = next(v for v in add.inputs if v is not None and v.producer().op_type == "Relu" and "right" in str(v.name))
    for value in (*concat.inputs, right, right.producer().inputs[0]):
        assert plan.activations[str(value.name)] == joined, value.name
    read = nodes["/left/conv/Conv"].inputs[0]
    assert plan.activations[str(read.name)] == trained.activations["left.conv"]  # its own grid, though the sum reads it


def test_processors_then_run_every_layer_but_the_last_on_integers() -> None:
    model = ready(4, 8)
    graph = graph_of(float_twin(model))
    plan = plan_for_graph(graph, model)
    lowered = lower("ort-arm", graph, plan)
    behind = {
        str(node.name)
        for node in lowered.model.graph
        if node.op_type == "Conv"
        and all(reader.node.op_type in ("Relu", "QuantizeLinear") for reader in node.outputs[0].uses())
    }
    assert {"/left/conv/Conv", "/right/right.0/conv/Conv", "/right/right.1/conv/Conv"} <= behind
    relus = [node for node in lowered.model.graph if node.op_type == "Relu" and "stem" not in str(node.name)]
    assert all(reader.node.op_type == "QuantizeLinear" for node in relus for reader in node.outputs[0].uses())
    found = Runner(lowered.model, optimised=False).run(images(1).numpy())[0]
    with torch.no_grad():
        ours = model(images(1)).numpy()
    # one more rounding in front of the sum, and grids that start at the floor of a tensor
    assert np.abs(found - ours).mean() < 0.02 * np.abs(ours).max()


def test_grids_stop_where_others_read_too() -> None:
    model = ready(4, 8)
    graph = graph_of(float_twin(model)).graph
    concat = next(node for node in graph if node.op_type == "Concat")
    spec = plan_of(model).activations["last"]
    own = plan_of(model).activations["left.conv"]
    name = str(concat.inputs[0].name)
    found = grids_behind(graph, {str(concat.outputs[0].name): spec, name: own})
    assert found[name] == own and str(concat.inputs[1].name) not in found


def test_a_layer_that_reads_float_keeps_reading_float() -> None:
    """The operand of the sum is what a layer without a quantiser of its input reads."""

    def rule(name: str, module: nn.Module) -> LayerBits:
        return LayerBits(8, 8 if name in ("last", "right.1.conv") else None)

    model = prepare(trained(Forked()), images(), rule)
    calibrate(model, [images(4)])
    graph = graph_of(float_twin(model))
    plan = plan_for_graph(graph, model)
    left = next(node for node in graph.graph if node.name == "/left/conv/Conv")
    assert str(left.inputs[0].name) not in plan.activations


class Pyramid(nn.Module):
    """Pools in a row that one join reads, and a sum with a tensor that was resized, whose original a layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 16)
        self.wide = Block(16, 16)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.joined = Block(48, 16)
        self.down = Block(16, 16, stride=2)
        self.top = nn.Conv2d(16, 16, 1)
        self.last = nn.Conv2d(16, 20, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        one = self.wide(self.stem(x))
        two = self.pool(one)
        joined = self.joined(torch.cat((one, two, self.pool(two)), dim=1))
        low = self.down(joined)
        total = joined + functional.interpolate(low, scale_factor=2.0)
        return self.last(total).sigmoid(), self.top(low).sigmoid()


def pyramid() -> tuple[nn.Module, ir.Model]:
    size = (16, 12)
    model = prepare(trained(Pyramid()), images(size=size), widths(4, 8))
    calibrate(model, [images(4, size)])
    return model.eval(), graph_of(float_twin(model.eval()), size)


def test_pools_that_hand_a_tensor_on_to_the_join_do_not_stop_its_grid() -> None:
    model, graph = pyramid()
    plan = plan_for_graph(graph, model)
    concat = next(node for node in graph.graph if node.op_type == "Concat")
    wide = next(node for node in graph.graph if node.name == "/wide/conv/Conv")
    for value in (*concat.inputs, wide.outputs[0]):
        assert plan.activations[str(value.name)] == plan_of(model).activations["joined.conv"], value.name


def test_a_moved_operand_of_a_sum_keeps_the_grid_of_what_was_moved() -> None:
    model, graph = pyramid()
    plan = plan_for_graph(graph, model)
    resize = next(node for node in graph.graph if node.op_type == "Resize")
    assert plan.activations[str(resize.outputs[0].name)] == plan_of(model).activations["top"]


def test_a_layer_without_a_grid_behind_it_computes_in_float_from_codes() -> None:
    model, graph = pyramid()
    lowered = lower("ort-x86", graph, plan_for_graph(graph, model))
    last = {str(node.name): node for node in lowered.model.graph if node.name in ("/last/Conv", "/top/Conv")}
    assert set(lowered.kept_float) >= set(last)
    for node in last.values():
        assert node.inputs[0].producer().op_type == "DequantizeLinear"
        assert node.inputs[1].const_value is not None  # no DQ to be run with every frame
    assert not lint(lowered.model, "ort-x86")
