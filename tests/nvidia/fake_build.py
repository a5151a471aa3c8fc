"""A network parsed by a fake TensorRT, ready to build; the log with it."""

import os

from tests.nvidia.fake_tensorrt import VERSIONS, make_tensorrt

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TINY = os.path.join(ROOT, "tests", "golden", "tiny_yolox.onnx")
STUDENT = os.path.join(ROOT, "models", "fasterx_student_thermal.ekb")
NAMED = [version for version in VERSIONS if not version.startswith("8.2")]
BOUND = [version for version in VERSIONS if version.startswith("8")]


class Build:
    """A network parsed by a fake, and the log."""

    def __init__(self, trt, path, flags=(), strongly=False):
        log = self.log = []

        class Log(trt.ILogger):
            def __init__(self):
                trt.ILogger.__init__(self)

            def log(self, severity, text):
                log.append("{}: {}".format(severity.name, text))

        self.trt = trt
        self.logger = Log()
        self.builder = trt.Builder(self.logger)
        kinds = trt.NetworkDefinitionCreationFlag.__members__
        names = ["EXPLICIT_BATCH"] + (["STRONGLY_TYPED"] if strongly else [])
        self.network = self.builder.create_network(sum(1 << int(kinds[name]) for name in names if name in kinds))
        self.parser = trt.OnnxParser(self.network, self.logger)
        self.parsed = self.parser.parse_from_file(path)
        self.config = self.builder.create_builder_config()
        for name in flags:
            if hasattr(trt.BuilderFlag, name):
                self.config.set_flag(getattr(trt.BuilderFlag, name))

    def plan(self):
        return self.builder.build_serialized_network(self.network, self.config)

    def engine(self, plan=None):
        return self.trt.Runtime(self.logger).deserialize_cuda_engine(plan or self.plan())

    def layer(self, name):
        layers = [self.network.get_layer(index) for index in range(self.network.num_layers)]
        return next(layer for layer in layers if layer.name == name)


def tiny(version="8.6.1.6", **gpu):
    return Build(make_tensorrt(version, **gpu), TINY)
