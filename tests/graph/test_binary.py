"""Binary convolutions: found in a graph, in a plan, and as integers in the lowerings without 1-bit operators."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekit.graph.binary import (
    SIGN_STEP,
    binary_layers,
    binary_spec,
    magnitudes,
    other_scales,
    planned_layers,
    with_sign_grids,
)
from edgekit.graph.binary_sums import exact_sums
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.graph.plan import PlanOptions, binary_plan, make_plan
from edgekit.graph.runner import Runner
from edgekit.graph.sources import stored_tensors
from edgekit.precision import QuantPlan, quantize
from tests.graph import binary_nets, small

NETS = {"residual": binary_nets.residual_net, "chain": binary_nets.chain_net}


def plan_of(model):
    return small.plan_of(model, keep=["stem_node"])


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize(("name", "count"), [("residual", 4), ("chain", 4)])
def test_layers_are_found_with_their_geometry(name, count, one):
    layers = binary_layers(small.canonical(NETS[name](one=one)).graph)
    assert len(layers) == count
    assert not {"stem_node", "last_node", "shortcut_node"} & set(layers)
    first = layers["first_node"].geometry
    assert (first.padding, first.pads, first.kernel) == ("one" if one else "zero", (1, 1, 1, 1), (3, 3))
    if name == "chain":
        assert layers["second_node"].geometry.groups == 2
        assert layers["second_node"].geometry.stride == (2, 2)
        assert layers["fourth_node"].geometry.pads == (0, 0, 0, 0)


def test_the_tensor_whose_signs_are_taken_is_named():
    layers = binary_layers(small.canonical(binary_nets.residual_net()).graph)
    assert layers["second_node"].x.name == "first_sum_clipped"
    assert layers["down_node"].x.name == "second_sum_clipped"


def change(net, edit):
    """The canonical graph of a net whose protobuf `edit` has changed."""
    proto = onnx.load_from_string(net.bytes(["last"]))
    edit(proto.graph)
    return load_canonical(proto.SerializeToString())


def node(graph, name):
    return next(each for each in graph.node if each.name == name)


def set_constant(graph, name, array):
    stored = next(each for each in graph.initializer if each.name == name)
    stored.CopyFrom(numpy_helper.from_array(np.asarray(array), name))


def three_values(graph):
    weight = numpy_helper.to_array(next(each for each in graph.initializer if each.name == "first_w")).copy()
    weight[0, 0, 0, 0] = 0
    set_constant(graph, "first_w", weight)


def other_magnitude(graph):
    weight = numpy_helper.to_array(next(each for each in graph.initializer if each.name == "first_w")).copy()
    weight[3, 1, 1, 1] *= 2
    set_constant(graph, "first_w", weight)


def dilated(graph):
    node(graph, "first_node").attribute.append(onnx.helper.make_attribute("dilations", [2, 2]))


def padded_by_two(graph):
    graph.initializer.append(numpy_helper.from_array(np.array(2, np.float32), "two"))
    node(graph, "first_padded_node").input[2] = "two"


def padded_twice(graph):
    attribute = next(each for each in node(graph, "first_node").attribute if each.name == "pads")
    attribute.ints[:] = [1, 1, 1, 1]


def half_signs(graph):
    graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    node(graph, "stem_clipped_signs_node").input[1] = "half"


def other_threshold(graph):
    graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    node(graph, "stem_clipped_sign_node").input[1] = "half"


@pytest.mark.parametrize(
    ("edit", "one"),
    [
        (three_values, False),
        (other_magnitude, False),
        (dilated, False),
        (padded_by_two, True),
        (padded_twice, True),
        (half_signs, False),
        (other_threshold, False),
    ],
)
def test_what_no_kernel_computes_is_no_binary_layer(edit, one):
    found = binary_layers(change(binary_nets.chain_net(one=one), edit).graph)
    assert "first_node" not in found
    assert "third_node" in found  # of other signs


def test_magnitudes():
    assert magnitudes(np.array([[1, -1], [2, 2]], np.float32)).tolist() == [1, 2]
    for wrong in ([[1, -1], [0, 0]], [[1, 2]], [[np.nan, np.nan]], [[np.inf, np.inf]], [[]]):
        assert magnitudes(np.array(wrong, np.float32)) is None


def test_a_plan_gives_them_the_bit_they_have():
    model = small.canonical(binary_nets.residual_net())
    plan = plan_of(model)
    layer = binary_layers(model.graph)["first_node"]
    assert plan.weights["first_node"] == binary_spec(layer)
    assert plan.weights["first_node"].bits == 1
    assert plan.weights["shortcut_node"].bits == 8
    assert np.array_equal(
        quantize(layer.node.inputs[1].const_value.numpy(), plan.weights["first_node"])
        * layer.scale[:, None, None, None],
        layer.node.inputs[1].const_value.numpy(),
    )
    assert set(planned_layers(model.graph, plan)) == set(binary_layers(model.graph))
    options = PlanOptions("minmax", keep_float={"first_node": "asked for"}, layer_bits={"second_node": 4})
    asked = make_plan(model, small.ranges_of(model), options)
    assert "first_node" in asked.excluded
    assert asked.weights["second_node"].bits == 4
    assert "first_node" not in planned_layers(model.graph, asked)


def test_a_plan_without_pictures():
    model = small.canonical(binary_nets.residual_net())
    plan = binary_plan(model)
    assert {spec.bits for spec in plan.weights.values()} == {1}
    assert set(plan.excluded) == {"stem_node", "shortcut_node", "last_node"}
    assert plan.activations == {}
    assert binary_plan(small.canonical(small.relu_net())) is None


def test_signs_have_a_grid_of_their_own_whatever_was_calibrated():
    model = small.canonical(binary_nets.residual_net())
    plan = plan_of(model)
    grids = with_sign_grids(model.graph, plan).activations
    assert grids["stem_clipped_signs"].scale == (SIGN_STEP,) != plan.activations["stem_clipped_signs"].scale
    assert quantize(np.array([1, -1], np.float32), grids["stem_clipped_signs"]).tolist() == [64, -64]
    other = small.canonical(small.relu_net())
    assert with_sign_grids(other.graph, small.plan_of(other)) == small.plan_of(other)


def test_weights_take_one_bit():
    model = small.canonical(binary_nets.residual_net())
    plan = plan_of(model)
    stored = stored_tensors(model, plan)["first_node.weight"]
    assert stored.bits == 1
    weight = binary_layers(model.graph)["first_node"].node.inputs[1].const_value.numpy()
    assert np.array_equal(stored.dequantized(), weight)


def test_a_plan_of_other_weights_is_told():
    model = small.canonical(binary_nets.residual_net())
    plan = plan_of(model)
    assert list(other_scales(model.graph, plan)) == []
    scales = {**plan.weights, "down_node": plan.weights["first_node"]}
    assert [name for name, _, _ in other_scales(model.graph, QuantPlan(scales, plan.activations))] == ["down_node"]


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("name", list(NETS))
def test_sums_of_signs_are_the_network(name, one):
    model = small.canonical(NETS[name](one=one))
    plan = plan_of(model)
    twin = exact_sums(model.clone(), plan)
    x = small.inputs(model, 1)[0]
    np.testing.assert_allclose(Runner(twin).run(x)[0], Runner(model).run(x)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("name", ["trt8", "ort-x86", "ort-arm"])
def test_as_int8_the_signs_are_exact(name, one):
    """Where the pattern is lowered to integers, its Conv reads exactly +1 and -1 and multiplies exactly by +-s."""
    model = small.canonical(binary_nets.residual_net(one=one))
    lowered = lower(name, model, plan_of(model)).model
    tensor = "first_padded" if one else "stem_clipped_signs"
    seen = Runner(lowered, [f"{tensor}_dequantized"], optimised=False).run(small.inputs(model, 1)[0])[0]
    assert set(np.unique(seen)) == {-1.0, 1.0}
    conv = next(each for each in lowered.graph if each.name == "first_node")
    dequantize = conv.inputs[1].producer()
    weights = Runner(lowered, [str(dequantize.outputs[0].name)], optimised=False).run(small.inputs(model, 1)[0])[0]
    assert np.array_equal(weights, binary_layers(model.graph)["first_node"].node.inputs[1].const_value.numpy())
