"""A small network built with a fake TensorRT, on disk, and the GPU that runs it."""

import os

import numpy as np

from edgekit.engine import EngineKey, write_engine
from edgekit.nvidia import trt_build
from edgekit.nvidia.trt import make_logger, open_tensorrt
from tests.nvidia.fake_gpu import FakeGpu
from tests.nvidia.fake_tensorrt.plan import read_plan, write_plan

GRAPH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny_yolox.onnx")


def build_plan(details=True):
    """The plan of `GRAPH`, built by the fake that is installed."""
    tensorrt, messages = open_tensorrt(), []
    logger = make_logger(tensorrt, messages)
    builder = trt_build.make_builder(tensorrt, logger, messages)
    network = trt_build.make_network(tensorrt, builder, tensorrt.strongly_typed)
    kept = trt_build.parse(tensorrt, network, logger, GRAPH)
    config = builder.create_builder_config()
    if details:
        trt_build.keep_layer_details(tensorrt, config)
    plan = bytes(trt_build.serialize(builder, network, config))
    del kept
    return plan


def edit_plan(plan, **tensor):
    """The plan with other fields of its first tensor."""
    read = read_plan(plan)
    read["tensors"][0].update(tensor)
    return write_plan(read)


def compute(inputs):
    """What the network does: every output is the mean of the images."""
    return {"output": np.full((1, 21, 7), inputs["images"].mean(), np.float32)}


def use_gpu(monkeypatch, module, gpu=None):
    """Let the fake TensorRT load and execute engines on a fake GPU."""
    module.fake.gpu = gpu or FakeGpu()
    module.fake.compute = compute
    monkeypatch.setattr("edgekit.nvidia.trt_engine.driver_problem", lambda: None)
    return module.fake.gpu


def key_for(gpu):
    """The key of an engine that was built here."""
    tensorrt = open_tensorrt()
    return EngineKey("b" * 64, "fp16", tensorrt.library, tensorrt.version, "12.6", gpu.sm, gpu.sm_count, gpu.name)


def write_built(folder, gpu, details=True):
    """`tiny.engine` in `folder`, with its record; its path."""
    path = os.path.join(str(folder), "tiny.engine")
    write_engine(path, build_plan(details), key_for(gpu), 1.0)
    return path
