from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.errors import GateError
from edgekit.graph import placement
from edgekit.graph.code_parity import compare_codes
from edgekit.graph.families import detect_family
from edgekit.graph.insert import CANONICAL, insert_qdq
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import BINARY_LOWERINGS, LOWERINGS, lower, ort_x86
from edgekit.graph.parity import THRESHOLDS, ParityCheck, thresholds_of
from edgekit.graph.plan import PlanOptions, make_plan, weighted_layers
from tests.graph import binary_nets, small, tiny

GENERAL = [name for name in LOWERINGS if name not in BINARY_LOWERINGS]


@pytest.fixture(scope="module")
def detector():
    model = load_canonical(tiny.yolox())
    return model, small.plan_of(model), detect_family(model), small.inputs(model, 3)


@pytest.mark.parametrize("name", GENERAL)
def test_every_lowering_of_a_detector_passes(detector, name):
    model, plan, family, inputs = detector
    parity = ParityCheck(model, model, plan, family, inputs).check(lower(name, model, plan))
    parity.gate()
    value = parity.to_json()
    assert value["passed"] is True
    assert value["drift"]["images"] == 3
    assert (value["codes"] is None) == (name in ("fp32", "fp16"))
    if value["codes"] is not None and value["codes"]["tensors"]:
        assert value["codes"]["max_difference"] <= 1


def test_trt8_is_the_twin_itself(detector):
    model, plan, family, inputs = detector
    parity = ParityCheck(model, model, plan, family, inputs).check(lower("trt8", model, plan))
    assert parity.codes.max_difference == 0
    assert parity.twin.snr_db is None


def test_fused_kernels_compute_the_canonical_codes(monkeypatch):
    """onnxruntime's QLinear operators against the oracle's arithmetic, layer by layer."""
    monkeypatch.setattr(placement, "float_prefix", lambda graph, planned, looked_up=False: {})
    model = small.canonical(small.silu_net())
    plan = small.plan_of(model)
    twin = insert_qdq(model, plan, "every-tensor", replace(ort_x86.STYLE, activations="int8", bias="float32"))
    found = compare_codes(lower("ort-x86", model, plan).model, twin, small.inputs(model), optimised=True)
    assert found.tensors == 7  # the image, and conv, sigmoid, product of two layers
    assert found.max_difference <= 1
    assert found.differing < 0.005


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("net", [small.relu_net, small.silu_net])
def test_narrow_weights_are_as_faithful_as_wide_ones(net, bits):
    """With their codes moved up; as they are, the steps of the int32 bias put 1.4 % of the ReLU network's codes off."""
    model = small.canonical(net())
    widths = {str(node.name): bits for node in weighted_layers(model)}
    plan = make_plan(model, small.ranges_of(model), PlanOptions("minmax", layer_bits=widths))
    twin = insert_qdq(model, plan, "every-tensor", replace(ort_x86.STYLE, activations="int8", bias="float32"))
    for name in ("ort-x86", "packed"):
        found = compare_codes(lower(name, model, plan).model, twin, small.inputs(model), optimised=True)
        assert found.max_difference <= 1
        assert found.differing < 0.0015


@pytest.mark.parametrize(
    ("initializer", "change", "message"),
    [
        ("mix_node.codes", lambda a: np.roll(a, 1, axis=0), "steps off, allowed 1"),
        ("stem_silu_scale", lambda a: a * np.float32(1.1), "of the codes are off"),
        ("last_b", lambda a: a + np.float32(50), "outputs are .* dB from those of the same codes"),
    ],
)
def test_a_wrong_graph_is_caught(initializer, change, message):
    model = small.canonical(small.silu_net())
    plan = small.plan_of(model)
    family = detect_family(load_canonical(tiny.yolox()))
    lowered = lower("trt8" if initializer == "last_b" else "trt10", model, plan)
    if initializer == "mix_node.codes" or initializer.endswith("_scale"):
        lowered = replace(lower("trt8", model, plan), model=insert_qdq(model, plan, "trt"))
    value = lowered.model.graph.initializers[initializer]
    array = value.const_value.numpy()
    value.const_value = small.ir.tensor(change(array).astype(array.dtype), name=initializer)

    class Raw(ParityCheck):
        """Without boxes: these networks are no detectors."""

        def run(self, model, optimised=True):
            from edgekit.detections import Detections
            from edgekit.graph.parity import Outputs
            from edgekit.graph.runner import Runner

            raw = [Runner(model, optimised=optimised).run(x) for x in self._inputs]
            return Outputs(raw, [Detections.empty() for _ in raw])

    parity = Raw(model, model, plan, family, small.inputs(model)).check(lowered)
    with pytest.raises(GateError, match=message):
        parity.gate()
    assert parity.to_json()["passed"] is False


def test_the_canonical_graph_against_itself_is_perfect():
    model = small.canonical(small.concat_net())
    plan = small.plan_of(model)
    graph = insert_qdq(model, plan, "trt", CANONICAL)
    found = compare_codes(graph, graph, small.inputs(model), optimised=False)
    assert (found.max_difference, found.differing, found.output_snr_db) == (0, 0.0, None)
    assert found.to_json()["worst_differing"] == 0.0


def test_a_network_that_was_trained_with_its_grids_has_no_drift(detector):
    model, plan, family, inputs = detector
    trained = replace(plan, activations={name: replace(s, source="qat:lsq") for name, s in plan.activations.items()})
    parity = ParityCheck(model, model, trained, family, inputs).check(lower("trt8", model, trained))
    parity.gate()
    assert parity.to_json()["drift"] is None


def test_signs_that_are_not_the_native_operators_are_held_to_shares():
    model = load_canonical(binary_nets.detector())
    plan = small.plan_of(model)
    allowed = thresholds_of("ort-x86", model.graph, plan)
    assert allowed.max_steps is None and allowed.max_differing == 0.005 and allowed.min_twin_snr_db == 10.0
    assert thresholds_of("fp16", model.graph, plan).max_dscore is None
    assert thresholds_of("trt8", model.graph, plan).max_differing == 0.005
    assert thresholds_of("binary", model.graph, plan) == THRESHOLDS["binary"]
    plain = small.canonical(small.relu_net())
    assert thresholds_of("ort-x86", plain.graph, small.plan_of(plain)) == THRESHOLDS["ort-x86"]


@pytest.mark.parametrize("lowering", ["fp32", "ort-x86"])
def test_a_wrong_graph_of_a_binary_network_is_caught(lowering):
    model = load_canonical(binary_nets.detector())
    plan, family, inputs = small.plan_of(model), detect_family(model), small.inputs(model, 2)
    check = ParityCheck(model, model, plan, family, inputs)
    check.check(lower(lowering, model, plan)).gate()
    lowered = lower(lowering, model, plan)
    for value in lowered.model.graph.initializers.values():
        if value.name.startswith("block0_node") and value.const_value.numpy().ndim == 4:
            value.const_value = ir.tensor(-value.const_value.numpy(), name=value.name)
    with pytest.raises(GateError, match="of the codes are off|from those of its twin|float network's"):
        check.check(lowered).gate()
