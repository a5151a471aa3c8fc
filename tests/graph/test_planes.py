import os
from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgekit.bundle import LoweredGraph, open_bundle, write_bundle
from edgekit.graph.external import whole, with_external_data
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.graph.plan import PlanOptions, make_plan, weight_spec, weighted_layers
from edgekit.graph.planes import weights_as_planes
from edgekit.graph.runner import Runner
from edgekit.graph.sources import SOURCE, layer_weight, stored_tensors
from edgekit.precision import QuantPlan, QuantSpec, fake_quantize, quantize, raised_codes
from tests.golden.make_packed import packed_and_twin
from tests.graph import small
from tests.graph.tiny import Net

UNPACKING = {"Transpose", "BitShift", "MatMulInteger", "Slice", "Cast", "Reshape", "Mul"}


def plan_of(model: ir.Model, bits: int) -> QuantPlan:
    """Every layer at `bits`, the first and last too."""
    everywhere = {str(node.name): bits for node in weighted_layers(model)}
    return make_plan(model, small.ranges_of(model), PlanOptions("minmax", layer_bits=everywhere))


def one_layer(op_type: str, shape: tuple[int, ...], bits: int, encoding: str) -> tuple[ir.Model, ir.Model, QuantPlan]:
    """A canonical layer, the same whose weights are an initializer of codes (through a Cast) or of values, its plan."""
    net = Net(size=7)
    channels = shape[0] if op_type == "ConvTranspose" else shape[1]
    x = net.conv("images", "stem", 3, channels, 1)
    w = net.constant("w", np.random.default_rng(bits).normal(0, 1, shape).astype(np.float32))
    net.op(op_type, [x, w], "output")
    model = load_canonical(net.bytes(["output"]))
    node = weighted_layers(model)[1]
    plan = QuantPlan(weights={"output_node": weight_spec(node, 1.0, max(bits, 2))})
    if bits == 1:
        plan = QuantPlan(weights={"output_node": QuantSpec(1, (0.5,))})
    spec, weight = plan.weights["output_node"], node.inputs[1].const_value.numpy()
    array = raised_codes(quantize(weight, spec), bits) if encoding.endswith("int8") else fake_quantize(weight, spec)
    lowered = model.clone()
    layer = weighted_layers(lowered)[1]
    value = ir.Value(name="stored", const_value=ir.tensor(array, name="stored"))
    value.shape, value.dtype = ir.Shape(shape), ir.DataType.from_numpy(array.dtype)
    value.meta[SOURCE] = (layer_weight("output_node"), encoding)
    lowered.graph.register_initializer(value)
    if encoding.endswith("int8"):
        cast = ir.node("Cast", [value], attributes={"to": int(ir.DataType.FLOAT)}, name="cast")
        lowered.graph.insert_before(layer, cast)
        value = cast.outputs[0]
    layer.replace_input_with(1, value)
    return model, lowered, plan


def computed(model: ir.Model, name: str, dtype: int) -> np.ndarray:
    """Any tensor of a graph, node by node."""
    proto = ir.to_proto(model)
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info(name, dtype, None))
    return Runner(ir.from_proto(proto), optimised=False).run(small.inputs(model, 1)[0])[0]


@pytest.mark.parametrize("encoding", ["raised-int8", "dequant-float32"])
@pytest.mark.parametrize(
    ("op_type", "shape"), [("Conv", (63, 65, 3, 3)), ("Conv", (64, 64, 3, 3)), ("ConvTranspose", (65, 63, 3, 2))]
)
@pytest.mark.parametrize("bits", range(1, 8))
def test_unpacking_gives_the_same_bits(bits, op_type, shape, encoding):
    model, lowered, plan = one_layer(op_type, shape, bits, encoding)
    expected = lowered.graph.initializers["stored"].const_value.numpy()
    weights_as_planes(lowered, model, plan)
    planes = lowered.graph.initializers["output_node.planes"]
    assert planes.const_value.numpy().shape == (bits, (expected.size + 7) // 8, 1)
    assert planes.meta[SOURCE] == ("output_node.weight", "planes")
    assert "stored" not in lowered.graph.initializers
    onnx.checker.check_model(onnx.load_from_string(whole(lowered)), full_check=True)
    back = computed(lowered, "stored", TensorProto.INT8 if encoding.endswith("int8") else TensorProto.FLOAT)
    np.testing.assert_array_equal(back, expected)
    assert back.dtype == expected.dtype


def test_names_that_are_taken_are_not_used_again():
    model, lowered, plan = one_layer("Conv", (63, 65, 3, 3), 3, "int8")
    taken = ir.Value(name="u.start", const_value=ir.tensor(np.array([1], np.int64), name="u.start"))
    lowered.graph.register_initializer(taken)
    expected = lowered.graph.initializers["stored"].const_value.numpy()
    weights_as_planes(lowered, model, plan)
    np.testing.assert_array_equal(computed(lowered, "stored", TensorProto.INT8), expected)


def test_wide_weights_of_a_layer_in_float_are_stored_as_codes():
    model, lowered, plan = one_layer("Conv", (15, 17, 3, 3), 8, "dequant-float32")
    expected = lowered.graph.initializers["stored"].const_value.numpy()
    weights_as_planes(lowered, model, plan)
    codes = lowered.graph.initializers["output_node.codes"]
    assert codes.dtype == ir.DataType.INT8 and codes.meta[SOURCE] == ("output_node.weight", "int8")
    np.testing.assert_array_equal(computed(lowered, "stored", TensorProto.FLOAT), expected)


def test_wide_and_small_weights_stay_codes():
    for shape, bits in (((63, 65, 3, 3), 8), ((7, 9, 3, 3), 2)):
        model, lowered, plan = one_layer("Conv", shape, bits, "int8")
        before = whole(lowered)
        weights_as_planes(lowered, model, plan)
        assert whole(lowered) == before


@pytest.mark.parametrize("net", [small.relu_net, small.concat_net, small.silu_net])
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_packed_is_ort_x86_once_it_is_loaded(net, bits, tmp_path):
    """The same operators, no unpacking left, the same output bit for bit, optimised or not."""
    model = small.canonical(net())
    plan = plan_of(model, bits)
    plain, packed = (lower(name, model, plan) for name in ("ort-x86", "packed"))
    assert packed.opset == 13
    before = Counter(small.operators(packed.model)) - Counter(small.operators(plain.model))
    assert ("BitShift" in before) == (bits < 8) and set(before) <= UNPACKING
    operators = small.optimised_operators(packed.model, tmp_path)
    assert operators == small.optimised_operators(plain.model, tmp_path)
    assert "QLinearConv" in operators
    for optimised in (True, False):
        runs = [Runner(lowered.model, optimised=optimised) for lowered in (plain, packed)]
        for x in small.inputs(model):
            np.testing.assert_array_equal(*[runner.run(x)[0] for runner in runs])


def test_the_golden_files_are_what_their_script_writes():
    for name, data in packed_and_twin().items():
        kept = onnx.load(os.path.join(os.path.dirname(__file__), "..", "golden", name))
        assert kept.graph == onnx.load_from_string(data).graph


def test_the_file_is_as_small_as_its_weights_are_narrow():
    """Two layers of 10240 weights together; ten operators unpack each."""
    model = small.canonical(small.relu_net())
    sizes = {bits: len(whole(lower("packed", model, plan_of(model, bits)).model)) for bits in (2, 4, 6, 8)}
    for bits in (2, 4, 6):
        saved = sizes[8] - sizes[bits]
        assert 0 < 10240 * (8 - bits) / 8 - saved < 1500
    assert sizes[8] <= len(whole(lower("ort-x86", model, plan_of(model, 8)).model))


@pytest.mark.parametrize(("bits", "requires"), [(7, {}), (8, {"cpu": "vnni"})])
def test_vnni_is_needed_for_eight_bits_alone(bits, requires):
    model = small.canonical(small.relu_net())
    assert lower("packed", model, plan_of(model, bits)).requires == requires


def test_a_bundle_writes_the_planes_from_its_codes(tmp_path):
    """The file that a device writes is the graph that was lowered: same outputs, planes beside it."""
    model = small.canonical(small.silu_net())
    plan = plan_of(model, 3)
    lowered = lower("packed", model, plan)
    data, references = with_external_data(lowered.model)
    assert ("mix_node.weight", "planes") in references
    stored = stored_tensors(model, plan)
    write_bundle(
        tmp_path / "x.ekb",
        manifest={"model": {"name": "x", "classes": []}, "preprocess": {}, "decode": {}},
        tensors=[stored[name] for name in dict.fromkeys(name for name, _ in references)],
        lowerings={"packed": LoweredGraph(data, references, lowered.opset)},
    )
    graph = open_bundle(tmp_path / "x.ekb").materialise("packed", str(tmp_path / "cache"))
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    x = small.inputs(model)[0]
    np.testing.assert_array_equal(session.run(None, {"images": x})[0], Runner(lowered.model).run(x)[0])
