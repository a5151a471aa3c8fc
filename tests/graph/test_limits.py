"""Which TensorRT reads what."""

import onnx
import onnx_ir as ir
import pytest

from edgekit.graph.limits import FIRST, NEVER, needed_release, opset_range, release_of_opset, text, too_new
from tests.graph.tiny import Net


def model_of(*operators, opset=13):
    net = Net(size=16)
    x = "images"
    for index, operator in enumerate(operators):
        x = net.op(operator, [x], f"y{index}")
    return ir.from_proto(onnx.load_from_string(net.bytes([x], opset=opset)))


@pytest.mark.parametrize(
    ("release", "highest"),
    [((7, 1), 13), ((8, 0), 13), ((8, 2), 13), ((8, 4), 17), ((8, 6), 17), ((10, 3), 20), ((10, 15), 24)],
)
def test_opsets_of_a_release(release, highest):
    assert opset_range(release)[1] == highest


@pytest.mark.parametrize(("opset", "release"), [(9, "8.0"), (13, "8.0"), (17, "8.4"), (19, "10.0"), (24, "10.15")])
def test_the_first_release_of_an_opset(opset, release):
    assert text(release_of_opset(opset)) == release


def test_an_opset_beyond_all_is_the_newest_release_s():
    assert text(release_of_opset(99)) == "10.15"


def test_what_a_release_does_not_import():
    model = model_of("Relu", "Reciprocal", "Det")
    assert [(node.op_type, first) for node, first in too_new(model.graph, (8, 2))] == [
        ("Reciprocal", (8, 5)),
        ("Det", None),
    ]
    assert [node.op_type for node, _ in too_new(model.graph, (8, 5))] == ["Det"]


def test_the_release_that_a_network_needs_is_that_of_its_newest_operator():
    assert needed_release(model_of("Relu")) == (8, 0)
    assert needed_release(model_of("Relu", "Reciprocal", "Sign")) == (8, 5)
    assert needed_release(model_of("Relu", opset=19)) == (10, 0)


def test_the_tables_name_operators_of_onnx_and_do_not_contradict():
    assert not NEVER & set(FIRST)
    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    assert set(FIRST) | NEVER <= known
