"""A detector small enough to write by hand: it finds bright squares that fill a cell of its two grids.

`python -m tests.cli.tiny` writes `tests/golden/bright_squares.onnx`, so that machines without onnx have it too.

Two classes: a bright cell that is bluer than red is "cold" (0), else "warm" (1). One strided convolution a scale, in
the layout of YOLOX. Every test of the command line runs it for real.
"""

import os

import numpy as np

SIZE = 64
STRIDES = (8, 16)
CLASSES = ("cold", "warm")
CELLS = sum((SIZE // stride) ** 2 for stride in STRIDES)
GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "bright_squares.onnx")


def tiny_onnx():
    """The detector as a serialised ONNX model."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, flat = [], [], []
    for stride in STRIDES:
        weight, bias = _filter(stride)
        constants.append(numpy_helper.from_array(weight, "w{}".format(stride)))
        constants.append(numpy_helper.from_array(bias, "b{}".format(stride)))
        names = [
            name.format(stride) for name in ("w{}", "b{}", "raw{}", "box{}", "logit{}", "score{}", "all{}", "flat{}")
        ]
        w, b, raw, box, logit, score, both, row = names
        nodes.append(
            helper.make_node(
                "Conv", ["images", w, b], [raw], name="conv{}".format(stride),
                kernel_shape=[stride, stride], strides=[stride, stride],
            )
        )  # fmt: skip
        nodes.append(helper.make_node("Split", [raw, "split"], [box, logit], name="split{}".format(stride), axis=1))
        nodes.append(helper.make_node("Sigmoid", [logit], [score], name="sigmoid{}".format(stride)))
        nodes.append(helper.make_node("Concat", [box, score], [both], name="join{}".format(stride), axis=1))
        nodes.append(helper.make_node("Reshape", [both, "row"], [row], name="row{}".format(stride)))
        flat.append(row)
    constants.append(numpy_helper.from_array(np.array([4, 3], np.int64), "split"))
    constants.append(numpy_helper.from_array(np.array([1, 7, -1], np.int64), "row"))
    nodes.append(helper.make_node("Concat", flat, ["columns"], name="columns", axis=2))
    nodes.append(helper.make_node("Transpose", ["columns"], ["output"], name="rows", perm=[0, 2, 1]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, CELLS, 5 + len(CLASSES)])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _filter(stride):
    """Weight (7, 3, s, s) and bias (7,): the box stays the cell, objectness grows with the mean brightness."""
    weight = np.zeros((7, 3, stride, stride), np.float32)
    area = stride * stride
    weight[4] = 0.1 / (3 * area)
    weight[5, 0], weight[5, 2] = 0.05 / area, -0.05 / area
    weight[6] = -weight[5]
    bias = np.zeros(7, np.float32)
    bias[4] = -15.0  # logit 0 at a mean of 150 of 255
    bias[5:] = 2.0
    return weight, bias


def picture(seed=0, boxes=3, size=128):
    """A dark (size, size, 3) uint8 BGR image with bright squares, their xyxy (N, 4) and class_id (N,)."""
    rng = np.random.RandomState(seed)
    image = rng.randint(0, 60, (size, size, 3)).astype(np.uint8)
    cell = 8 * size // SIZE
    places = rng.permutation(SIZE // 8 * (SIZE // 8))[:boxes]
    xyxy, class_id = [], []
    for place in places:
        y, x = place // (SIZE // 8) * cell, place % (SIZE // 8) * cell
        warm = int(rng.randint(2))
        image[y : y + cell, x : x + cell] = (200, 220, 255) if warm else (255, 220, 200)
        # the network centres a box on the corner of its cell
        xyxy.append([x - cell / 2, y - cell / 2, x + cell / 2, y + cell / 2])
        class_id.append(warm)
    return image, np.clip(np.array(xyxy, np.float32), 0, size), np.array(class_id, np.int64)


if __name__ == "__main__":
    os.makedirs(os.path.dirname(GOLDEN), exist_ok=True)
    with open(GOLDEN, "wb") as stream:
        stream.write(tiny_onnx())
