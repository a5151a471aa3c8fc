from types import SimpleNamespace

import pytest

from edgekit.builders.suitable import lowerings_for, suitable_lowering
from edgekit.errors import BackendError
from edgekit.precision import QuantPlan, QuantSpec
from edgekit.profiles import read_profile

INT8 = QuantSpec(8, (0.1,))


def bundle(*lowerings, activations=None, weights=None):
    names = ["conv{}".format(number) for number in range(1, 6)]
    plan = QuantPlan(weights or dict.fromkeys(names, INT8), activations or {"x": INT8})
    return SimpleNamespace(path="x.ekb", lowerings=lowerings, plan=plan)


@pytest.mark.parametrize(
    ("name", "generation", "runs"),
    [
        ("jetson-nano", 8, ("fp16",)),
        ("xavier-nx", 8, ("trt8", "fp16")),
        ("orin-nx", 8, ("trt8", "fp16")),
        ("orin-nx", 10, ("trt10", "trt8", "fp16")),
        ("orin-nano", 11, ("trt10", "fp16")),
        ("h100", 10, ("trt10", "trt8", "fp16")),
    ],
)
def test_what_each_device_runs(name, generation, runs):
    assert lowerings_for(read_profile(name), generation) == runs


def test_a_dla_takes_no_pairs():
    assert lowerings_for(read_profile("orin-nx"), 8, dla=True) == ("fp16",)


def test_the_best_that_the_bundle_has():
    assert suitable_lowering(bundle("fp16", "trt8", "trt10"), None, 10) == "trt10"
    assert suitable_lowering(bundle("fp16", "trt8"), None, 10) == "trt8"
    assert suitable_lowering(bundle("fp16", "trt8"), None, 11) == "fp16"


def test_a_name_is_only_checked():
    assert suitable_lowering(bundle("fp16", "trt8"), None, 8, "fp16") == "fp16"
    assert suitable_lowering(bundle("fp32", "trt8"), None, 8, "fp32") == "fp32"
    with pytest.raises(BackendError, match="this GPU with TensorRT 8 runs trt8, fp16, x.ekb has trt10"):
        suitable_lowering(bundle("fp16", "trt10"), None, 8, "trt10")


@pytest.mark.parametrize("wanted", [None, "trt8"])
def test_a_board_without_int8_names_the_layers(wanted):
    with pytest.raises(BackendError, match=r"Nano.*no INT8.*trt8.*conv1, conv2, conv3 … \(5 in all\).*--lowering fp16"):
        suitable_lowering(bundle("trt8"), read_profile("jetson-nano"), 8, wanted)


def test_a_bundle_without_a_fitting_graph():
    with pytest.raises(BackendError, match="runs trt8, fp16, x.ekb has ort-x86; export it with --lowering trt8"):
        suitable_lowering(bundle("ort-x86"), read_profile("xavier-nx"), 8)


def test_a_plan_that_tensorrt_cannot_compute_names_its_layers():
    unsigned = {"relu_3": QuantSpec(8, (0.1,), signed=False), "fine": QuantSpec(7, (0.1,), signed=False)}
    with pytest.raises(BackendError, match="unsigned 8-bit activations: relu_3;"):
        suitable_lowering(bundle("trt8", activations=unsigned), None, 8)
    odd = {"dense": QuantSpec(8, (0.1, 0.2), granularity="channel", axis=2)}
    with pytest.raises(BackendError, match="another axis in: dense;"):
        suitable_lowering(bundle("trt8", weights=odd), None, 8)
    assert suitable_lowering(bundle("trt8", "fp16", weights=odd), None, 8, "fp16") == "fp16"
