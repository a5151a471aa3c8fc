"""The native library's operators on 8-bit codes in onnxruntime: against the oracle, and against Q and DQ."""

import itertools

import numpy as np
import pytest

from edgekit.ops.binary import pack_signs, unpack_signs
from edgekit.ops.binary_codes import CodeGrid, binary_conv_codes, binary_conv_sum, from_codes, pack_codes
from edgekit.ops.library import operators
from tests.operator_sessions import GEOMETRIES, attributes_of, session

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

PATH = operators().path
pytestmark = pytest.mark.skipif(PATH is None, reason=str(operators().problem))

TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.uint8): TensorProto.UINT8}
TYPES.update({np.dtype(np.int8): TensorProto.INT8, np.dtype(np.uint32): TensorProto.UINT32})
GRIDS = {
    "uint8": (CodeGrid(0.0625, 128), CodeGrid(0.11, 100), CodeGrid(0.037, 0)),
    "int8": (CodeGrid(0.0625, 0, "int8"), CodeGrid(0.11, -28, "int8"), CodeGrid(0.037, -128, "int8")),
}


def arrays(geometry, dtype, height=19, width=23):
    """Codes, weights, multiplier and offset."""
    random = np.random.RandomState(geometry.in_channels)
    info = np.iinfo(dtype)
    x = random.randint(info.min, info.max + 1, (2, height, width, geometry.in_channels)).astype(dtype)
    multiplier, offset = random.randn(2, geometry.out_channels).astype(np.float32) / 4
    return x, random.randn(*geometry.weight_shape), multiplier, offset


def grid_constants(name, grid):
    return {
        name + "_scale": np.array(grid.scale, np.float32),
        name + "_zero": np.array(grid.zero_point, grid.dtype),
    }


def model(nodes, feeds, outputs, constants):
    """A graph of these nodes, its inputs typed like `feeds` and known in rank alone."""
    graph = helper.make_graph(
        nodes,
        "codes",
        [helper.make_tensor_value_info(name, TYPES[each.dtype], [None] * each.ndim) for name, each in feeds.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("edgekit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def run(built, feeds, threads=1):
    return session(built.SerializeToString(), threads).run(None, feeds)


def node(op_type, inputs, outputs, **attributes):
    return helper.make_node(op_type, inputs, outputs, domain="edgekit", **attributes)


@pytest.mark.parametrize("dtype", list(GRIDS))
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_codes_in_and_out(geometry, dtype):
    x, weights, multiplier, offset = arrays(geometry, dtype)
    x_grid, y_grid, _ = GRIDS[dtype]
    constants = {"w": pack_signs(weights), "m": multiplier, "b": offset}
    constants.update(grid_constants("x", x_grid))
    constants.update(grid_constants("y", y_grid))
    conv = ["x", "x_scale", "x_zero", "w", "m", "b", "y_scale", "y_zero"]
    nodes = [
        node("QLinearBinaryConv", conv, ["y"], **attributes_of(geometry)),
        node("QLinearBinarySigns", ["x", "x_scale", "x_zero"], ["bits"], group=geometry.groups),
    ]
    kinds = {"y": TYPES[np.dtype(dtype)], "bits": TensorProto.UINT32}
    y, bits = run(model(nodes, {"x": x}, kinds, constants), {"x": x}, threads=2)
    np.testing.assert_array_equal(y, binary_conv_codes(x, x_grid, weights, multiplier, offset, geometry, y_grid))
    np.testing.assert_array_equal(bits, pack_codes(x, x_grid, geometry.groups))
    np.testing.assert_array_equal(bits, pack_signs(from_codes(x, x_grid), geometry.groups))


SUMS = list(itertools.product(["float", "codes", None], [True, False]))


@pytest.mark.parametrize("dtype", list(GRIDS))
@pytest.mark.parametrize(("added", "to_grid"), SUMS, ids=lambda each: str(each))
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_sums_of_codes(geometry, added, to_grid, dtype):
    """Of all kinds of residuals and results: as the oracle, and as Q and DQ around the operator of floats."""
    x, weights, multiplier, offset = arrays(geometry, dtype)
    x_grid, y_grid, r_grid = GRIDS[dtype]
    random, limits = np.random.RandomState(5), (-1.5, 3.0)
    shape = (2,) + geometry.out_size(*x.shape[1:3]) + (geometry.out_channels,)
    residual = random.randint(*np.add(r_grid.limits, (0, 1)), size=shape).astype(dtype)
    if added == "float":
        residual = random.randn(*shape).astype(np.float32)
    feeds = {"x": x, "r": residual} if added else {"x": x}
    constants = {"w": pack_signs(weights), "m": multiplier, "b": offset}
    for name, grid in (("x", x_grid), ("y", y_grid), ("r", r_grid)):
        constants.update(grid_constants(name, grid))
    attributes = {**attributes_of(geometry), "low": limits[0], "high": limits[1]}
    rest = {"float": ["r"], "codes": ["r", "r_scale", "r_zero"], None: []}[added]
    name, to = ("QLinearBinaryConvSum", ["y_scale", "y_zero"]) if to_grid else ("BinaryConvSum", [])
    nodes = [
        node("QLinearBinarySigns", ["x", "x_scale", "x_zero"], ["x_bits"], group=geometry.groups),
        node(name, ["x_bits", "w", "m", "b", *to, *rest], ["y", "bits"], **attributes),
    ]
    kinds = {"y": TYPES[np.dtype(dtype)] if to_grid else TensorProto.FLOAT, "bits": TensorProto.UINT32}
    got = run(model(nodes, feeds, kinds, constants), feeds, threads=2)
    expected = binary_conv_sum(
        from_codes(x, x_grid), weights, multiplier, offset, geometry,
        residual if added else None, r_grid if added == "codes" else None, limits, y_grid if to_grid else None,
    )  # fmt: skip
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])
    plain = [node("QLinearBinarySigns", ["x", "x_scale", "x_zero"], ["x_bits"], group=geometry.groups)]
    if added == "codes":
        plain.append(helper.make_node("DequantizeLinear", rest, ["r_values"]))
    values = [] if added is None else ["r_values"] if added == "codes" else ["r"]
    plain.append(node("BinaryConvSum", ["x_bits", "w", "m", "b", *values], ["sum", "sum_bits"], **attributes))
    end = helper.make_node("QuantizeLinear", ["sum", "y_scale", "y_zero"], ["y"])
    plain.append(end if to_grid else helper.make_node("Identity", ["sum"], ["y"]))
    kinds = {"y": kinds["y"], "sum_bits": TensorProto.UINT32}
    for each, same in zip(got, run(model(plain, feeds, kinds, constants), feeds)):
        np.testing.assert_array_equal(each, same)


def test_a_stream_of_codes_is_written_over():
    """Nobody reads a residual after the layer that adds it: onnxruntime gives its memory to the result."""
    geometry, grid = GEOMETRIES[0], CodeGrid(1 / 127, 128)
    x, weights, multiplier, offset = arrays(geometry, "uint8")
    multiplier = multiplier / 16
    constants = {"w": pack_signs(weights), "m": multiplier, "b": offset, **grid_constants("x", grid)}
    attributes = {**attributes_of(geometry), "low": -1.0, "high": 1.0}
    nodes = [node("QLinearBinarySigns", ["x", "x_scale", "x_zero"], ["bits0"], group=1)]
    nodes.append(
        helper.make_node("Transpose", ["x"], ["y0"], perm=[0, 1, 2, 3])
    )  # a graph's own input is never written to
    for i in range(3):
        inputs = [f"bits{i}", "w", "m", "b", "x_scale", "x_zero", f"y{i}", "x_scale", "x_zero"]
        nodes.append(node("QLinearBinaryConvSum", inputs, [f"y{i + 1}", f"bits{i + 1}"], **attributes))
    y, signs = x, from_codes(x, grid)
    for _ in range(3):
        y, bits = binary_conv_sum(signs, weights, multiplier, offset, geometry, y, grid, (-1.0, 1.0), grid)
        signs = unpack_signs(bits, 64)
    outputs = {"y3": TensorProto.UINT8, "bits3": TensorProto.UINT32}
    got = run(model(nodes, {"x": x}, outputs, constants), {"x": x}, threads=2)
    np.testing.assert_array_equal(got[0], y)
    np.testing.assert_array_equal(got[1], bits)
    assert len(np.unique(y)) > 200


def test_shapes_and_types_are_inferred():
    if tuple(int(part) for part in ort.__version__.split(".")[:2]) < (1, 23):
        pytest.skip("this onnxruntime does not tell what operators of a library infer")
    geometry = GEOMETRIES[1]
    x, weights, multiplier, offset = arrays(geometry, "int8")
    x_grid, y_grid, _ = GRIDS["int8"]
    constants = {"w": pack_signs(weights), "m": multiplier, "b": offset}
    constants.update({**grid_constants("x", x_grid), **grid_constants("y", y_grid)})
    sums = ["bits", "w", "m", "b", "y_scale", "y_zero"]
    nodes = [
        node("QLinearBinarySigns", ["x", "x_scale", "x_zero"], ["bits"], group=1),
        node("QLinearBinaryConvSum", sums, ["y", "signs"], **attributes_of(geometry), low=-1.0, high=1.0),
    ]
    built = model(nodes, {"x": x}, {"y": TensorProto.INT8, "signs": TensorProto.UINT32}, constants)
    for side, name in zip(x.shape, built.graph.input[0].type.tensor_type.shape.dim):
        name.dim_value = side
    opened = session(built.SerializeToString())
    shape = [2, *geometry.out_size(19, 23)]
    assert [each.shape for each in opened.get_outputs()] == [[*shape, 70], [*shape, 3]]
    assert [each.type for each in opened.get_outputs()] == ["tensor(int8)", "tensor(uint32)"]


def refused(changes=None, inputs=None, dtype="uint8", feeds=None):
    """Load and run a sum with something wrong."""
    geometry = GEOMETRIES[3]
    x, weights, multiplier, offset = arrays(geometry, "uint8", 5, 4)
    constants = {"w": pack_signs(weights), "m": multiplier, "b": offset}
    for name, grid in zip("xyr", GRIDS["uint8"]):
        constants.update(grid_constants(name, grid))
    constants.update(changes or {})
    feeds = {"x": x, "r": np.zeros((2, 5, 4, 3), dtype), **(feeds or {})}
    nodes = [
        node("QLinearBinarySigns", ["x", "x_scale", "x_zero"], ["bits"], group=1),
        node(
            "QLinearBinaryConvSum", inputs or ["bits", "w", "m", "b", "y_scale", "y_zero", "r", "r_scale", "r_zero"],
            ["y", "signs"], **attributes_of(geometry), low=-1.0, high=1.0,
        ),
    ]  # fmt: skip
    run(model(nodes, feeds, {"y": TensorProto.UINT8}, constants), feeds)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"changes": {"x_scale": np.array(0, np.float32)}}, "input 1, a scale, is not from 1e-30 to 1e30"),
        ({"changes": {"y_scale": np.array(-1, np.float32)}}, "input 4, a scale, is not from 1e-30 to 1e30"),
        ({"changes": {"r_scale": np.array(np.nan, np.float32)}}, "input 7, a scale, is not from 1e-30 to 1e30"),
        ({"changes": {"y_scale": np.ones(3, np.float32)}}, "input 4 has another type or rank than it takes"),
        ({"inputs": ["bits", "w", "m", "b", "y_scale", "y_zero", "r"]}, "input 7 is not a constant of the model"),
        ({"dtype": np.float32}, "a residual of floats has no scale and no zero point"),
        ({"feeds": {"r": np.zeros((2, 5, 4, 4), np.uint8)}}, "residual does not have the shape of the output"),
        ({"changes": {"x_zero": np.array(0, np.int8)}}, "QLinearBinarySigns|[Tt]ype"),
    ],
)
def test_what_is_refused(wrong, message):
    refused()  # nothing is wrong with the rest of it
    with pytest.raises(Exception, match=message):
        refused(**wrong)
