from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgekit.errors import ModelError
from edgekit.graph.constants import constant_value
from edgekit.graph.lower import lower
from edgekit.graph.runner import Runner
from edgekit.models import build
from edgekit.models.weights import load_weights, read_checkpoint
from edgekit.precision import QuantPlan, quantize
from edgekit.quant import LayerBits, apply_plan, calibrate, float_twin, plan_for_graph, plan_of, prepare
from edgekit.quant.dorefa import DorefaWeight
from edgekit.quant.modules import QuantConv2d, input_quantizer_of
from edgekit.quant.swap import quant_layers
from edgekit.train.checkpoint import Progress, save_checkpoint
from edgekit.train.ema import Ema
from tests.quant.nets import SIZE, Block, Forked, graph_of, images, trained, widths


def ready(weight: int = 8, read: int = 8, signed: bool = True, seed: int = 0) -> nn.Module:
    model = prepare(trained(Forked(), seed), images(), widths(weight, read, signed))
    calibrate(model, [images(4)])
    return model.eval()


def nodes_of(graph: ir.Model, model: nn.Module) -> dict[str, ir.Node]:
    """Layer -> its node, found by the weights; without those that `deploy()` gave another shape."""
    nodes = {}
    for name, layer in quant_layers(model).items():
        weight = layer.to_float().weight.detach().numpy()
        for node in graph.graph:
            if node.op_type == "Conv" and np.array_equal(constant_value(node.inputs[1]), weight):
                nodes[name] = node
    return nodes


def compare_node_by_node(model: nn.Module, graph: ir.Model, lowered: ir.Model, x: torch.Tensor) -> int:
    """Feed each layer what onnxruntime itself had there, so that a code can only differ if the arithmetic does.

    Returns how many layers were compared in integers.
    """
    layers, nodes = quant_layers(model), nodes_of(graph, model)
    reads = {name: str(node.inputs[0].name) for name, node in nodes.items()}
    writes = {name: str(node.outputs[0].name) for name, node in nodes.items()}
    integers = [name for name in nodes if input_quantizer_of(layers[name]) is not None]
    picture = str(graph.graph.inputs[0].name)
    tensors = sorted({*reads.values(), *writes.values(), *(f"{reads[n]}_quantized" for n in integers)} - {picture})
    seen = dict(zip(tensors, Runner(lowered, tensors=tensors, optimised=False).run(x.numpy()), strict=True))
    seen[picture] = x.numpy()
    for name in nodes:
        given = torch.from_numpy(seen[reads[name]])
        if name in integers:
            ours = input_quantizer_of(layers[name]).codes(given).numpy()
            assert np.array_equal(ours, seen[f"{reads[name]}_quantized"].astype(np.int16)), name
        with torch.no_grad():
            output = layers[name](given).numpy()
        scale = np.abs(output).max()
        assert np.abs(output - seen[writes[name]]).max() <= 1e-5 * scale, name
    return len(integers)


def test_plan_names_layers() -> None:
    plan = plan_of(ready(4, 6, signed=False))
    assert list(plan.weights) == ["stem.conv", "left.conv", "right.0.conv", "right.1.conv", "last"]
    assert list(plan.activations) == ["left.conv", "right.0.conv", "right.1.conv", "last"]
    assert plan.activations["left.conv"] == plan.activations["right.0.conv"]
    assert {spec.bits for spec in plan.weights.values()} == {4}
    assert [len(spec.scale) for spec in plan.weights.values()] == [17, 19, 17, 17, 21]
    spec = plan.activations["last"]
    assert (spec.bits, spec.signed, spec.source) == (6, False, "qat:lsq")
    assert spec.clip == (0.0, pytest.approx(63 * spec.scale[0]))
    assert QuantPlan.from_json(plan.to_json()) == plan


def test_what_stays_in_float_is_named() -> None:
    model = prepare(trained(Forked()), images(), lambda name, _: None if name == "last" else LayerBits(8, None))
    assert plan_of(model).excluded == {"last": "not quantised in training"}


def test_apply_plan_gives_the_same_function() -> None:
    model = ready(4, 5)
    again = apply_plan(trained(Forked()), plan_of(model), images())
    assert torch.equal(again.eval()(images()), model(images()))
    assert plan_of(again) == plan_of(model)


def test_plan_and_weights_survive_a_checkpoint(tmp_path: Path) -> None:
    model = ready(3, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    ema = Ema(model, 0.9)
    optimizer = torch.optim.AdamW(model.parameters())
    path = tmp_path / "qat.safetensors"
    save_checkpoint(path, model, ema, optimizer, Progress(), {"plan": plan_of(model).to_json()})
    tensors, about = read_checkpoint(path)
    again = apply_plan(Forked(), QuantPlan.from_json(about["plan"]), images())
    load_weights(again, tensors, "model.", path)
    assert torch.equal(again.eval()(images()), model(images()))
    assert plan_of(again) == plan_of(model)


@pytest.mark.parametrize(("weight", "read", "signed"), [(8, 8, True), (4, 4, True), (2, 3, True), (5, 7, False)])
def test_trt8_lowering_computes_what_was_trained_node_by_node(weight: int, read: int, signed: bool) -> None:
    model = ready(weight, read, signed)
    graph = graph_of(float_twin(model))
    lowered = lower("trt8", graph, plan_for_graph(graph, model)).model
    assert compare_node_by_node(model, graph, lowered, images(1)) == 4
    whole = Runner(lowered, optimised=False).run(images(1).numpy())[0]
    with torch.no_grad():
        ours = model(images(1)).numpy()
    # rounding of sums moves single codes by one; the rest is alike
    assert np.abs(whole - ours).mean() < 1e-3 * np.abs(ours).max()


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_weights_of_the_lowering_are_those_of_training_bit_for_bit(bits: int) -> None:
    """Codes times steps: a lowering may write narrow codes as wider ones, a power of two larger at a finer step."""
    model = ready(bits, 8)
    graph = graph_of(float_twin(model))
    lowered = lower("ort-arm", graph, plan_for_graph(graph, model)).model
    stored = lowered.graph.initializers
    layers, nodes = quant_layers(model), nodes_of(graph, model)
    written = [name for name in layers if f"{nodes[name].name}.codes" in stored]
    assert written
    for name in written:
        codes, scale = (stored[f"{nodes[name].name}.{part}"].const_value.numpy() for part in ("codes", "scale"))
        values = codes.astype(np.float32) * scale.reshape(-1, 1, 1, 1)
        expected = layers[name].weight_quantizer(layers[name].folded_weight()).detach().numpy()
        assert np.array_equal(values, expected)


def test_a_layer_that_reads_float_computes_with_its_quantised_weights() -> None:
    model = ready(2, 8)
    graph = graph_of(float_twin(model))
    lowered = lower("trt8", graph, plan_for_graph(graph, model)).model
    stem = next(n for n in lowered.graph if n.name == nodes_of(graph, model)["stem.conv"].name)
    layer = quant_layers(model)["stem.conv"]
    expected = layer.weight_quantizer(layer.folded_weight()).detach().numpy()
    assert np.array_equal(stem.inputs[1].const_value.numpy(), expected)


def test_the_student_keeps_its_plan_through_deploy() -> None:
    """Focus and the PixSF encoders become other convolutions; they are found by their blocks."""
    torch.manual_seed(0)
    example = torch.rand(1, 3, 64, 64)
    model = prepare(trained(build("fasterx_student", 3)), example, lambda _, m: LayerBits(6, 8))
    calibrate(model, [example])
    graph = graph_of(float_twin(model).deploy(), (64, 64))
    plan = plan_for_graph(graph, model)
    assert len(plan.weights) == len(quant_layers(model)) and not plan.excluded
    lowered = lower("trt8", graph, plan)
    assert not lowered.kept_float
    rewritten = 4  # the stem and three encoders
    assert compare_node_by_node(model.eval(), graph, lowered.model, example) == len(plan.weights) - rewritten


def test_a_plan_of_another_model() -> None:
    plan = plan_of(ready())
    with pytest.raises(ModelError, match="quantises layer 'last', which this model does not have"):
        apply_plan(nn.Sequential(Block(3, 17)), QuantPlan(weights={"last": plan.weights["last"]}), images())
    other = {**plan.weights, "last": plan.weights["left.conv"]}
    with pytest.raises(ModelError, match="the plan has 19 steps for last, which has 21 channels"):
        apply_plan(trained(Forked()), QuantPlan(other, plan.activations), images())


def test_a_model_that_was_not_calibrated() -> None:
    model = prepare(trained(Forked()), images(), widths())
    with pytest.raises(ModelError, match=r"left.conv has no step yet .* calibrate the model first"):
        plan_of(model)


def test_dorefa_has_no_plan() -> None:
    model = nn.Sequential(QuantConv2d.with_quantizers(nn.Conv2d(3, 16, 1), DorefaWeight(4), None))
    with pytest.raises(ModelError, match="0 is quantised by DorefaWeight, whose levels are not whole steps"):
        plan_of(model)


def test_a_layer_that_is_not_in_the_graph() -> None:
    model = ready()
    graph = graph_of(trained(nn.Sequential(Block(3, 16))))
    with pytest.raises(ModelError, match=r"layer 'stem.conv' of the model is not in the graph"):
        plan_for_graph(graph, model)


def test_a_graph_of_other_weights() -> None:
    with pytest.raises(ModelError, match="stem/conv/Conv has other weights than the layer that was trained"):
        plan_for_graph(graph_of(float_twin(ready(seed=1))), ready(seed=0))


class Again(nn.Module):
    """One convolution that runs twice: its batch norm is folded by the graph, after training."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 16)
        self.body = Block(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(self.body(self.stem(x)))
        return y


def test_a_norm_that_only_the_graph_folds() -> None:
    model = prepare(trained(Again()), images(), widths())
    calibrate(model, [images()])
    with pytest.raises(ModelError, match="quantise no convolution that runs twice before a batch norm"):
        plan_for_graph(graph_of(float_twin(model)), model)


def test_integers_where_tensorrt_has_no_kernel() -> None:
    model = prepare(trained(Forked()), images(), lambda name, _: LayerBits(8, 8))
    calibrate(model, [images()])
    with pytest.raises(ModelError, match=r"stem/conv/Conv runs in float .*LayerBits\(input=None\)"):
        plan_for_graph(graph_of(float_twin(model)), model)


class Residual(nn.Module):
    """A sum straight behind a convolution: TensorRT reads its other operand in integers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 16)
        self.body = nn.Conv2d(16, 16, 3, padding=1)
        self.last = nn.Conv2d(16, 16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y: torch.Tensor = self.last(x + self.body(x))
        return y


def test_a_sum_that_is_trained_in_float_and_deployed_in_integers() -> None:
    model = prepare(trained(Residual()), images(), widths())
    calibrate(model, [images()])
    with pytest.raises(ModelError, match=r"the sum /Add reads .* put an activation between"):
        plan_for_graph(graph_of(float_twin(model)), model)


class Pooled(nn.Module):
    """One layer reads a tensor, another its maxima: the same numbers, one grid where they are deployed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 16)
        self.one = nn.Conv2d(16, 16, 1)
        self.two = nn.Conv2d(16, 16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.one(x) + self.two(nn.functional.max_pool2d(x, 3, 1, 1)).relu()


def test_neighbours_that_share_a_grid_only_where_they_are_deployed() -> None:
    model = prepare(trained(Pooled()), images(1, SIZE), widths())
    calibrate(model, [images()], "mse")
    quant_layers(model)["two"].input_quantizer.set_step(0.5)
    with pytest.raises(ModelError, match="shares the step 0.5 of its neighbours"):
        plan_for_graph(graph_of(float_twin(model)), model)


class Flat(nn.Module):
    """A linear layer over vectors (Gemm) and one over tokens (MatMul, which keeps its weights transposed)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 17)
        self.vector = nn.Linear(17, 19)
        self.tokens = nn.Linear(17, 23)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        return self.vector(x.mean(dim=(2, 3))), self.tokens(x.flatten(2).transpose(1, 2))


@pytest.mark.parametrize("bits", [3, 8])
def test_linear_layers_keep_their_channels_through_the_exporter(bits: int) -> None:
    model = prepare(trained(Flat()), images(1), widths(bits, 8))
    calibrate(model, [images()])
    graph = graph_of(float_twin(model))
    plan = plan_for_graph(graph, model)
    found = {node.op_type: node for node in graph.graph if node.op_type in ("Gemm", "MatMul")}
    layers = quant_layers(model)
    for op_type, name in (("Gemm", "vector"), ("MatMul", "tokens")):
        node, layer = found[op_type], layers[name]
        spec = plan.weights[str(node.name)]
        codes = quantize(constant_value(node.inputs[1]), spec)
        codes = codes if spec.axis == 0 else codes.T
        expected = layer.weight_quantizer.codes(layer.weight).numpy()
        assert np.array_equal(codes.astype(np.int16), expected)
    assert plan.weights[str(found["MatMul"].name)].axis == 1
