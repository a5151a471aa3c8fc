import numpy as np
import onnx
import pytest

from edgekit.graph import placement
from edgekit.graph.insert import CANONICAL, QdqStyle, insert_qdq
from edgekit.graph.load import model_bytes
from edgekit.precision import QuantPlan, QuantSpec, dequantize, quantize
from tests.graph import small, tiny

UINT8 = QdqStyle("uint8", from_floor=True, weights="int8", bias="int32")


@pytest.fixture
def whole(monkeypatch):
    """Integers from the first layer on, whatever the cost model says of networks this small."""
    monkeypatch.setattr(placement, "float_prefix", lambda graph, planned, looked_up=False: {})


def node(model, name):
    return next(n for n in model.graph if n.name == name)


def run(model, x, optimised=False):
    return small.Runner(model, optimised=optimised).run(x)[0]


@pytest.mark.parametrize(
    "style", [CANONICAL, UINT8, QdqStyle(weights="float32"), QdqStyle("uint8", weights="narrow-int8")]
)
@pytest.mark.parametrize("kind", ["trt", "every-tensor"])
def test_the_same_graph_again_and_a_second_pass_changes_nothing(kind, style):
    model = small.canonical(small.concat_net())
    plan, before = small.plan_of(model), model_bytes(model)
    first = insert_qdq(model, plan, kind, style)
    assert model_bytes(model) == before
    assert model_bytes(insert_qdq(model, plan, kind, style)) == model_bytes(first)
    assert model_bytes(insert_qdq(first, plan, kind, style)) == model_bytes(first)
    onnx.checker.check_model(onnx.load_from_string(model_bytes(first)), full_check=True)


def test_every_input_of_weighted_operators_and_nothing_behind_them():
    """R1, R2: the pairs stand on the convolutions' inputs; SiLU and the outputs stay in float."""
    model = small.canonical(small.silu_net())
    lowered = insert_qdq(model, small.plan_of(model), "trt")
    assert small.pairs_on(lowered) == {"images", "stem_silu", "mix_silu"}
    for name in ("mix_node", "last_node"):
        assert [v.producer().op_type for v in node(lowered, name).inputs[:2]] == ["DequantizeLinear"] * 2
        assert node(lowered, name).inputs[2].const_value is not None


def test_weights_are_codes_of_the_oracle():
    """R8: int8 + DQ holds the oracle's codes; float32 + Q + DQ gives the same codes back."""
    model = small.canonical(small.silu_net())
    plan = small.plan_of(model)
    weight = node(model, "mix_node").inputs[1].const_value.numpy()
    expected = quantize(weight, plan.weights["mix_node"])
    stored = insert_qdq(model, plan, "trt").graph.initializers["mix_node.codes"].const_value.numpy()
    np.testing.assert_array_equal(stored, expected)
    as_float = insert_qdq(model, plan, "trt", QdqStyle(weights="float32"))
    values = as_float.graph.initializers["mix_node.values"].const_value.numpy()
    np.testing.assert_array_equal(values, dequantize(expected, plan.weights["mix_node"]))
    names = ["mix_node.codes"]
    np.testing.assert_array_equal(
        small.Runner(as_float, names, optimised=False).run(small.inputs(model)[0])[0], expected
    )


def test_signed_and_unsigned_codes_give_the_same_bits(whole):
    """int8 with zero point 0 and uint8 with zero point 128, every optimisation off."""
    model = small.canonical(small.silu_net())
    plan = small.plan_of(model)
    signed = insert_qdq(model, plan, "every-tensor", QdqStyle("int8"))
    unsigned = insert_qdq(model, plan, "every-tensor", QdqStyle("uint8"))
    for x in small.inputs(model):
        np.testing.assert_array_equal(run(signed, x), run(unsigned, x))


def test_codes_of_a_lowered_graph_are_those_of_the_oracle():
    model = small.canonical(small.silu_net())
    plan = small.plan_of(model)
    lowered = insert_qdq(model, plan, "trt")
    x = small.inputs(model)[0]
    value, codes = small.Runner(lowered, ["stem_silu", "stem_silu_quantized"], optimised=False).run(x)
    np.testing.assert_array_equal(np.clip(codes, -127, 127), quantize(value, plan.activations["stem_silu"]))


@pytest.mark.parametrize(
    ("activation", "expected"), [(False, {"images", "stem_relu", "first_relu", "total_relu"}), (True, None)]
)
def test_of_a_residual_add_the_skip_operand_alone(activation, expected):
    """R4: behind a convolution the skip operand, behind SiLU neither."""
    model = small.canonical(small.residual_net(activation))
    lowered = insert_qdq(model, small.plan_of(model), "trt")
    add = node(lowered, "total_node")
    quantized = [v.producer().op_type == "DequantizeLinear" for v in add.inputs]
    assert quantized == ([False, False] if activation else [False, True])
    if expected is not None:
        assert small.pairs_on(lowered) == expected


def test_a_tensor_has_one_pair_for_all_its_readers():
    """R7."""
    model = small.canonical(small.residual_net(activation=False))
    lowered = insert_qdq(model, small.plan_of(model), "trt")
    assert node(lowered, "first_node").inputs[0] is node(lowered, "total_node").inputs[1]


def test_concat_of_near_scales_is_quantised_on_all_sides_and_of_far_ones_behind_it():
    """R5: within a factor of 4 one scale and pairs on the inputs; beyond it a pair behind the Concat alone."""
    model = small.canonical(small.concat_net())
    plan = small.plan_of(model)
    near = insert_qdq(model, plan, "trt")
    assert {"left_up", "right", "both"} <= small.pairs_on(near)
    scales = {float(near.graph.initializers[f"{n}_scale"].const_value.numpy()) for n in ("left_up", "right", "both")}
    assert len(scales) == 1
    activations = dict(plan.activations)
    for name in ("left_relu", "left_up"):
        activations[name] = QuantSpec(8, (plan.activations["right"].scale[0] / 10,))
    far = insert_qdq(model, QuantPlan(plan.weights, activations, {}), "trt")
    assert "both" in small.pairs_on(far)
    assert not {"left_up", "right"} & small.pairs_on(far)


def test_operators_that_only_move_values_have_one_scale_on_both_sides(whole):
    """R6: MaxPool and nearest Resize."""
    model = small.canonical(small.concat_net())
    lowered = insert_qdq(model, small.plan_of(model), "every-tensor")
    scale = {n: float(lowered.graph.initializers[f"{n}_scale"].const_value.numpy()) for n in ("stem_relu", "right")}
    assert scale["stem_relu"] == scale["right"]


def test_layers_without_an_int8_kernel_keep_quantised_weights_in_float():
    """R9: eight channels stay in float with baked weights."""
    model = small.load_canonical(tiny.yolox())
    plan = small.plan_of(model)
    lowered = insert_qdq(model, plan, "trt")
    assert not small.pairs_on(lowered) & {"images", "down8_silu"}
    weight, spec = node(model, "stem_node").inputs[1].const_value.numpy(), plan.weights["stem_node"]
    baked = node(lowered, "stem_node").inputs[1].const_value.numpy()
    np.testing.assert_array_equal(baked, dequantize(quantize(weight, spec), spec))


def test_an_excluded_layer_is_not_touched():
    """R10: its weights stay as they are; what feeds it may be integers, read through a DQ."""
    model = small.canonical(small.silu_net())
    for kind, maker in (("trt", "Mul"), ("every-tensor", "DequantizeLinear")):
        lowered = insert_qdq(model, small.plan_of(model, keep=["last_node"]), kind)
        kept, before = node(lowered, "last_node"), node(model, "last_node")
        assert np.array_equal(kept.inputs[1].const_value.numpy(), before.inputs[1].const_value.numpy())
        assert kept.inputs[0].producer().op_type == maker


def test_nothing_on_outputs_of_the_network(whole):
    """R11, in both placements: an output keeps its name and its float producer."""
    model = small.canonical(small.silu_net())
    for kind in ("trt", "every-tensor"):
        lowered = insert_qdq(model, small.plan_of(model), kind, UINT8)
        assert lowered.graph.outputs[0].name == "last"
        assert lowered.graph.outputs[0].producer().op_type == "Conv"


def test_bias_is_int32_at_the_scale_of_the_accumulator(whole):
    model = small.canonical(small.relu_net())
    plan = small.plan_of(model)
    lowered = insert_qdq(model, plan, "every-tensor", UINT8)
    initial = {name: value.const_value.numpy() for name, value in lowered.graph.initializers.items()}
    x_scale, w_scale = initial["stem_relu_scale"], np.array(plan.weights["mix_node"].scale, np.float32)
    np.testing.assert_array_equal(initial["mix_node.bias_scale"], x_scale * w_scale)
    bias = node(model, "mix_node").inputs[2].const_value.numpy()
    assert initial["mix_node.bias_codes"].dtype == np.int32
    np.testing.assert_allclose(
        initial["mix_node.bias_codes"] * initial["mix_node.bias_scale"], bias, atol=float((x_scale * w_scale).max())
    )


def test_narrower_activations_are_clipped_before_they_are_quantised():
    """Q saturates at 8 bits only."""
    model = small.canonical(small.silu_net())
    plan = small.plan_of(model)
    four = {name: QuantSpec(4, (spec.scale[0] * 127 / 7,)) for name, spec in plan.activations.items()}
    lowered = insert_qdq(model, QuantPlan(plan.weights, four, {}), "trt")
    x = small.inputs(model)[0] * 3
    value, codes = small.Runner(lowered, ["mix_silu", "mix_silu_quantized"], optimised=False).run(x)
    assert np.abs(codes).max() == 7
    np.testing.assert_array_equal(codes, quantize(value, four["mix_silu"]))


def test_what_surrounds_the_integers_stays_in_float():
    """every-tensor: the part before the first and behind the last integer convolution has no pairs."""
    model = small.load_canonical(tiny.yolox())
    lowered = insert_qdq(model, small.plan_of(model), "every-tensor", UINT8)
    assert "images" not in small.pairs_on(lowered)
    assert not any(name.endswith("_score") for name in small.pairs_on(lowered))
