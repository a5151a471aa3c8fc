"""`edgekit build` with NVIDIA's real builder, that of TensorRT-RTX, for a card that is not here."""

import json
import os
import subprocess
import sys
import sysconfig

import pytest

from tests.nvidia.bindings import CACHE
from tests.nvidia.rtx import rtx_python

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STUDENT = os.path.join(ROOT, "models", "fasterx_student_thermal.ekb")

# Take the pairs off the first layers that have some, as after a failed build; then build what is left.
REWIRED = """
import json, sys
from edgekit.builders.rewire import layers_with_pairs, take_pairs_off
from edgekit.bundle import open_bundle
from edgekit.nvidia.trt import make_logger, open_tensorrt
from edgekit.nvidia import trt_build
tensorrt, messages = open_tensorrt(), []
logger = make_logger(tensorrt, messages)
builder = trt_build.make_builder(tensorrt, logger, messages)
network = trt_build.make_network(tensorrt, builder, True)
parser = trt_build.parse(tensorrt, network, logger, open_bundle(sys.argv[1]).materialise(sys.argv[2]))
names = [layer.name for layer in trt_build.layers_of(network)]
with_pairs = layers_with_pairs(tensorrt, network, names)
changed = take_pairs_off(tensorrt, network, set(with_pairs[:5]))
config = builder.create_builder_config()
trt_build.target_capability(tensorrt, config, 89)
plan = trt_build.serialize(builder, network, config)
left = layers_with_pairs(tensorrt, network, names)
print(json.dumps([len(with_pairs), changed, len(left), plan is not None and plan.nbytes]))
"""


@pytest.fixture
def run(tmp_path):
    """Run this Python with TensorRT-RTX on its path; the JSON of the last line, and what it said."""
    rtx_python()
    version = "python{}.{}".format(*sys.version_info[:2])
    packages = str(CACHE / "rtx" / "lib" / version / "site-packages")
    path = os.pathsep.join([ROOT, sysconfig.get_path("purelib"), packages])
    environment = dict(os.environ, PYTHONPATH=path, EDGEKIT_CACHE=str(tmp_path))

    def go(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return go


@pytest.mark.parametrize(("lowering", "quantizers"), [(None, 152), ("fp16", 0)])
def test_an_engine_is_built_ahead_for_a_card(run, tmp_path, lowering, quantizers):
    words = ["-m", "edgekit", "build", STUDENT, "--device", "x86-rtx", "-o", str(tmp_path / "x.engine"), "--json"]
    built, _ = run(*words, *(["--lowering", lowering] if lowering else []))
    assert built["kind"] == "engine" and built["lowering"] == (lowering or "trt10")
    assert built["key"]["library"] == "tensorrt_rtx" and built["key"]["sm"] == 89
    assert built["facts"]["strongly_typed"] and built["facts"]["quantizers"] == quantizers
    assert "neither proved nor timed" in built["why"]
    assert os.path.getsize(str(tmp_path / "x.engine")) == built["bytes"] > 1_000_000
    with open(str(tmp_path / "x.engine.json")) as stream:
        assert json.load(stream)["sha256"]


@pytest.mark.parametrize("lowering", ["trt8", "trt10"])
def test_a_network_without_some_of_its_pairs_builds(run, lowering):
    (before, changed, left, nbytes), _ = run("-c", REWIRED, STUDENT, lowering)
    assert len(changed) == 5 and left == before - 5 and nbytes > 1_000_000


def test_a_card_that_rtx_does_not_know_is_prepared_for_instead(run, tmp_path):
    told, _ = run("-m", "edgekit", "build", STUDENT, "--device", "orin-nx", "-o", str(tmp_path / "out"), "--json")
    assert told["kind"] == "prepared" and told["lowering"] == "trt10"
