"""Parse and build ONNX files with TensorRT-RTX, which needs no GPU for either; one line of JSON for each, in order.

Run by the interpreter that has `tensorrt_rtx` and nothing else:

    .cache/nvidia/rtx/bin/python tests/nvidia/rtx_build.py [--layers] MODEL.onnx ...

RTX is not TensorRT: that it takes a graph is good evidence for TensorRT 11, only a hint for 10 and 8, and says nothing
about which kernels would run.
"""

import json
import os
import sys
import time

import tensorrt_rtx as trt


class Log(trt.ILogger):
    """Keeps errors and warnings."""

    def __init__(self):
        trt.ILogger.__init__(self)
        self.errors = []

    def log(self, severity, text):
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
            self.errors.append(" ".join(text.split()))


def layers_of(network):
    """Name, kind, inputs and outputs of each layer."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    return [
        {
            "name": layer.name,
            "type": layer.type.name,
            "inputs": [layer.get_input(index).name for index in range(layer.num_inputs)],
            "outputs": [
                [layer.get_output(index).name, layer.get_output(index).dtype.name] for index in range(layer.num_outputs)
            ],
        }
        for layer in layers
    ]


def build(path, tell_layers):
    """What the importer and the builder say about one file."""
    log = Log()
    begin = time.perf_counter()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse_from_file(os.path.abspath(path))
    refusals = [parser.get_error(index).desc() for index in range(parser.num_errors)]
    plan = builder.build_serialized_network(network, builder.create_builder_config()) if parsed else None
    found = {
        "model": path,
        "rtx": trt.__version__,
        "parsed": bool(parsed),
        "built": plan is not None,
        "errors": [" ".join(text.split()) for text in refusals] or log.errors,
        "layers": network.num_layers,
        "plan_bytes": 0 if plan is None else plan.nbytes,
        "seconds": round(time.perf_counter() - begin, 3),
    }
    return dict(found, network=layers_of(network)) if tell_layers and parsed else found


if __name__ == "__main__":
    tell = "--layers" in sys.argv
    for model in sys.argv[1:]:
        if model != "--layers":
            print(json.dumps(build(model, tell)), flush=True)
