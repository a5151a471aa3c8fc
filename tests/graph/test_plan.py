from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.graph.load import load_canonical
from edgekit.graph.plan import (
    PlanOptions,
    activation_spec,
    first_layers,
    keep_in_float,
    last_layers,
    make_plan,
    quantized_weight,
    weight_axis,
    weighted_layers,
)
from edgekit.graph.sources import graph_scales
from edgekit.metrics.arrays import snr_db
from edgekit.precision import QuantPlan, quantize
from tests.graph import tiny


def everything(model) -> dict[str, tuple[float, float]]:
    names = [v.name for v in model.graph.inputs] + [v.name for node in model.graph for v in node.outputs]
    return dict.fromkeys(names, (-1.0, 2.0))


def test_weights_a_channel_and_activations_a_tensor():
    model = load_canonical(tiny.yolox())
    plan = make_plan(model, everything(model))
    assert list(plan.weights) == [node.name for node in weighted_layers(model)]
    stem = weighted_layers(model)[0]
    weight = stem.inputs[1].const_value.numpy()
    np.testing.assert_allclose(plan.weights[stem.name].scale, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-6)
    assert plan.activations["output"].scale == (float(np.float32(2 / 127)),)
    assert plan.activations["output"].source == "ptq:mse"
    assert QuantPlan.from_json(plan.to_json()) == plan


def test_kept_and_unknown_layers_are_excluded_with_their_reason():
    model = load_canonical(tiny.yolox())
    ranges = everything(model)
    del ranges["stem_silu"]
    plan = make_plan(model, ranges, PlanOptions(keep_float={"stem_node": "asked for"}))
    assert plan.excluded == {"stem_node": "asked for", "down4_node": "the range of its input is not known"}
    assert not plan.excluded.keys() & plan.weights.keys()


def test_stem_and_head_are_found():
    model = load_canonical(tiny.yolox())
    assert first_layers(model) == ["stem_node"]
    assert last_layers(model) == [f"{kind}{i}_node" for i in range(3) for kind in ("reg", "obj", "cls")]


def test_mse_clip_never_makes_the_error_larger():
    model = load_canonical(tiny.yolox())
    gained = 0.0
    for node in weighted_layers(model):
        weight = node.inputs[1].const_value.numpy()
        errors = []
        for clip in ("max", "mse"):
            spec = make_plan(model, everything(model), PlanOptions(weight_clip=clip, weight_bits=4)).weights[node.name]
            errors.append(((quantized_weight(node, spec) - weight) ** 2).sum(axis=(1, 2, 3)))
        assert (errors[1] <= errors[0] * (1 + 1e-5) + 1e-12).all()
        gained += float((errors[0] - errors[1]).sum())
    assert gained > 0


def snr_of_weights(bits, clip):
    """dB, over bell-shaped weights of 16 channels: a first, a middle and a last layer, the middle one judged."""
    net = tiny.Net()
    x = net.op("Relu", [net.conv("images", "stem", 3, 16)], "stem_relu")
    net.conv(net.op("Relu", [net.conv(x, "mix", 16, 16)], "mix_relu"), "output", 16, 8)
    model = load_canonical(net.bytes(["output"]))
    node = weighted_layers(model)[1]
    weight = np.random.default_rng(0).normal(0, 0.1, (16, 16, 3, 3)).astype(np.float32)
    node.inputs[1].const_value = ir.tensor(weight)
    spec = make_plan(model, everything(model), PlanOptions(weight_clip=clip, weight_bits=bits)).weights["mix_node"]
    assert spec.bits == bits
    return snr_db(weight, quantized_weight(node, spec))


@pytest.mark.parametrize(("bits", "gain_db"), [(2, 4.5), (3, 2.0), (4, 0.9), (5, 0.3), (6, 0.1)])
def test_searched_scales_beat_those_that_cover_the_largest_weight(bits, gain_db):
    assert snr_of_weights(bits, "mse") > snr_of_weights(bits, "max") + gain_db


def test_narrow_weights_search_their_scale_and_wide_ones_do_not():
    model = load_canonical(tiny.yolox())
    plan = make_plan(model, everything(model), PlanOptions(weight_bits=4))
    assert {(spec.bits, spec.source) for spec in plan.weights.values()} == {(8, "ptq:max"), (4, "ptq:mse")}
    assert {spec.bits for spec in plan.activations.values()} == {8}


def test_the_first_and_last_layers_keep_eight_bits_unless_named():
    model = load_canonical(tiny.yolox())
    outer = {*first_layers(model), *last_layers(model)}
    options = PlanOptions(weight_bits=3, layer_bits={"stem_node": 6, "down8_node": 2})
    widths = {name: spec.bits for name, spec in make_plan(model, everything(model), options).weights.items()}
    expected = {name: 8 if name in outer else 3 for name in widths}
    assert widths == {**expected, "stem_node": 6, "down8_node": 2}
    assert {8, 3} <= set(widths.values())


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_stay_within_their_width(bits):
    model = load_canonical(tiny.yolox())
    plan = make_plan(model, everything(model), PlanOptions(weight_bits=bits))
    largest = 0
    for node in weighted_layers(model):
        spec = plan.weights[str(node.name)]
        codes = quantize(node.inputs[1].const_value.numpy(), spec)
        assert np.abs(codes.astype(int)).max() <= 2 ** (spec.bits - 1) - 1
        largest = max(largest, int(np.abs(codes.astype(int)).max()) if spec.bits == bits else 0)
    assert largest == 2 ** (bits - 1) - 1


def test_leaving_layers_in_float_is_planning_without_them():
    model = load_canonical(tiny.yolox())
    keep = {"stem_node": "asked for", "down4_node": "because"}
    options = PlanOptions(weight_bits=4)
    whole = make_plan(model, everything(model), options)
    assert keep_in_float(whole, keep) == make_plan(model, everything(model), replace(options, keep_float=keep))


@pytest.mark.parametrize("options", [{"weight_bits": 0}, {"weight_bits": 9}, {"layer_bits": {"stem_node": 1}}])
def test_widths_that_no_weight_has(options):
    with pytest.raises(ValueError, match="weights have 2 to 8 bits, got [019]"):
        PlanOptions(**options)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_bias_of_a_dead_channel_still_fits_int32(bits):
    net = tiny.Net()
    net.conv("images", "output", 3, 8)
    net.constants[0].raw_data = np.zeros((8, 3, 3, 3), np.float32).tobytes()
    model = load_canonical(net.bytes(["output"]))
    options = PlanOptions(layer_bits={"output_node": bits})
    spec = make_plan(model, everything(model), options).weights["output_node"]
    bias = weighted_layers(model)[0].inputs[2].const_value.numpy()
    assert (np.abs(bias) / (graph_scales(spec) * 2 / 127) < 2**31).all()


def test_a_tensor_of_zeros_has_a_scale():
    assert activation_spec((0.0, 0.0), 8, "ptq").scale == (1.0,)


@pytest.mark.parametrize(
    ("op", "shape", "attributes", "axis"),
    [
        ("ConvTranspose", (3, 8, 2, 2), {}, 1),
        ("ConvTranspose", (3, 1, 2, 2), {"group": 3}, None),
    ],
)
def test_channel_axis(op, shape, attributes, axis):
    net = tiny.Net()
    x = net.conv("images", "stem", 3, 3)
    w = net.constant("w", np.ones(shape, np.float32))
    net.op(op, [x, w], "output", strides=[2, 2], **attributes)
    model = load_canonical(net.bytes(["output"]))
    node = weighted_layers(model)[1]
    assert weight_axis(node) == axis
    spec = make_plan(model, everything(model)).weights[node.name]
    assert spec.granularity == ("tensor" if axis is None else "channel")
    assert len(spec.scale) == (1 if axis is None else shape[1])


def test_unknown_clip():
    with pytest.raises(ValueError, match="weight_clip is one of auto, max, mse, got 'min'"):
        PlanOptions(weight_clip="min")
