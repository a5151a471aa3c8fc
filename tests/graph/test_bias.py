import numpy as np
import pytest

from edgekit.graph.bias import channel_means, correct_bias, depths, weight_shifts
from edgekit.graph.calibrate.stream import spread, stream
from edgekit.graph.insert import insert_qdq
from edgekit.graph.load import load_canonical, model_bytes
from edgekit.graph.plan import PlanOptions, make_plan, weighted_layers
from edgekit.graph.runner import Runner
from edgekit.precision import QuantPlan
from tests.graph import tiny


def inputs(count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(0, 255, (1, 3, tiny.SIZE, tiny.SIZE)).astype(np.float32) for _ in range(count)]


def planned(bits: int = 4):
    model = load_canonical(tiny.yolox())
    histograms = spread(model, stream(model, ((str(i), x) for i, x in enumerate(inputs())), 3))
    ranges = {name: (h.low, h.high) for name, h in histograms.items()}
    ranges.update({name: (0.0, 1.0) for node in model.graph for name in [node.outputs[0].name] if "gate" in name})
    return model, make_plan(model, ranges, PlanOptions(weight_bits=bits))


def means(model, plan, names):
    lowered = model if plan is None else insert_qdq(model, plan, "every-tensor")
    return channel_means(Runner(lowered, names, integers=False), names, inputs())


def errors(model, corrected, plan, names) -> float:
    wanted, seen = means(model, None, names), means(corrected, plan, names)
    return sum(float(np.abs(seen[name] - wanted[name]).sum()) for name in names)


def test_weight_shifts_are_those_of_a_network_with_rounded_weights():
    model, plan = planned()
    node = next(n for n in weighted_layers(model) if n.name == "cls2_node")  # 1x1: no border to differ at
    from edgekit.graph.plan import quantized_weight

    x = Runner(model, [node.inputs[0].name]).run(inputs()[0])[0]
    weight = node.inputs[1].const_value.numpy()
    error = (quantized_weight(node, plan.weights["cls2_node"]) - weight)[:, :, 0, 0]
    expected = np.einsum("oi,ihw->ohw", error, x[0]).mean(axis=(1, 2))
    shifts = weight_shifts(model, plan, inputs()[:1])
    np.testing.assert_allclose(shifts["cls2_node"], expected, rtol=1e-3, atol=1e-5)


def test_sequential_correction_restores_the_means():
    model, plan = planned(bits=8)
    names = [str(n.outputs[0].name) for n in weighted_layers(model) if n.name in plan.weights][1:5]
    corrected = correct_bias(model, plan, inputs(), "sequential")
    assert errors(model, corrected, plan, names) < 0.5 * errors(model, model, plan, names)


@pytest.mark.parametrize("mode", ["none", "weights", "sequential"])
def test_the_given_network_is_not_changed(mode):
    model, plan = planned()
    before = model_bytes(model)
    corrected = correct_bias(model, plan, inputs(), mode)
    assert model_bytes(model) == before
    assert (model_bytes(corrected) == before) == (mode == "none")
    assert [n.name for n in weighted_layers(corrected)] == [n.name for n in weighted_layers(model)]


def test_depths_follow_the_longest_way():
    model = load_canonical(tiny.yolox())
    levels = [[str(node.name) for node in level] for level in depths(model, weighted_layers(model))]
    assert levels[:3] == [["stem_node"], ["down4_node"], ["down8_node"]]
    assert "down16_node" in levels[3]
    assert "reg0_node" in levels[3]


def test_unknown_mode():
    model, plan = planned()
    with pytest.raises(ValueError, match="mode is one of none, weights, sequential, got 'all'"):
        correct_bias(model, plan, inputs(), "all")


def test_a_plan_of_the_first_layer_alone_looks_at_no_tensor_inside():
    model, plan = planned()
    first = next(iter(plan.weights))
    shifts = weight_shifts(model, QuantPlan({first: plan.weights[first]}, plan.activations), inputs())
    assert list(shifts) == [first]
