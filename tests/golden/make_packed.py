"""Write packed.onnx and packed_twin.onnx: a network of 3-bit weights as the lowerings `packed` and `ort-x86`.

    python tests/golden/make_packed.py

Tests on the Pythons of devices, which have no onnx, run both and expect the same bits (tests/runtime/test_packed.py).
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from edgekit.graph.external import whole  # noqa: E402
from edgekit.graph.lower import lower  # noqa: E402
from edgekit.graph.plan import PlanOptions, make_plan  # noqa: E402
from tests.graph import small  # noqa: E402
from tests.graph.tiny import Net  # noqa: E402


def packed_and_twin() -> dict[str, bytes]:
    """File name -> ONNX: 17 channels, so that no plane ends with its last byte; the last layer runs in float."""
    net = Net(size=9)
    x = net.op("Relu", [net.conv("images", "stem", 3, 17)], "stem_relu")
    x = net.op("Relu", [net.conv(x, "mix", 17, 17)], "mix_relu")
    net.conv(x, "last", 17, 17, 3)
    model = small.canonical(net)
    layers = {"stem_node": 3, "mix_node": 3, "last_node": 3}
    ranges = dict.fromkeys([str(v.name) for node in model.graph for v in node.outputs], (-600.0, 600.0))
    plan = make_plan(model, {**ranges, "images": (0.0, 255.0)}, PlanOptions("fixed", layer_bits=layers))
    names = {"packed.onnx": "packed", "packed_twin.onnx": "ort-x86"}
    return {file: whole(lower(lowering, model, plan).model) for file, lowering in names.items()}


if __name__ == "__main__":
    for file, data in packed_and_twin().items():
        with open(os.path.join(HERE, file), "wb") as stream:
            stream.write(data)
