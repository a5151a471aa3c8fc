import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph.calibrate.stream import observed_tensors, spread, stream
from edgekit.graph.load import load_canonical
from edgekit.graph.runner import Runner
from tests.graph import tiny


def inputs(count: int = 3):
    rng = np.random.default_rng(0)
    for index in range(count):
        yield f"{index}.png", rng.uniform(0, 255, (1, 3, tiny.SIZE, tiny.SIZE)).astype(np.float32)


def test_ranges_are_those_of_all_images_together():
    model = load_canonical(tiny.yolox())
    names = observed_tensors(model)
    histograms = stream(model, inputs(), 3)
    runner = Runner(model, names[1:])
    seen = [np.stack(column) for column in zip(*(runner.run(x) for _, x in inputs()), strict=True)]
    for name, values in zip(names[1:], seen, strict=True):
        assert (histograms[name].low, histograms[name].high) == (values.min(), values.max())
        assert histograms[name].total == values.size


def test_tensors_that_move_values_are_not_looked_at_and_share_their_counts():
    model = load_canonical(tiny.yolox())
    histograms = stream(model, inputs(), 3)
    assert "flat0" not in histograms
    assert "output" not in histograms
    everything = spread(model, histograms)
    assert everything["output"] is everything["all"]
    assert everything["flat0"] is everything["joined0"]
    assert everything["all"].high == max(everything[f"joined{i}"].high for i in range(3))


def test_what_an_activation_makes_is_counted_through_it():
    model = load_canonical(tiny.yolox())
    assert "stem_silu" not in observed_tensors(model)
    made = spread(model, stream(model, inputs(), 3))["stem_silu"]
    runner = Runner(model, ["stem_silu"])
    values = np.concatenate([runner.run(x)[0].ravel() for _, x in inputs()])
    assert made.total == values.size
    assert made.low == pytest.approx(values.min(), abs=1e-5)
    assert made.high == pytest.approx(values.max(), rel=1e-6)
    for percentile in (1, 25, 50, 75, 99):
        running = np.cumsum(made.counts) / made.total
        seen = made.centres()[np.searchsorted(running, percentile / 100)]
        assert seen == pytest.approx(np.percentile(values, percentile), abs=2 * made.width)


def test_progress_counts_the_images():
    seen = []
    stream(load_canonical(tiny.yolox()), inputs(), 3, progress=lambda *state: seen.append(state))
    assert seen == [(1, 3, "calibrate"), (2, 3, "calibrate"), (3, 3, "calibrate")]


def test_a_network_that_overflows_is_an_error_that_names_tensor_and_image():
    net = tiny.Net()
    huge = net.constant("huge", np.array(3e38, np.float32))
    net.op("Mul", [net.conv("images", "stem", 3, 8), huge], "output")
    with pytest.raises(ModelError, match="tensor output is not finite for 0.png"):
        stream(load_canonical(net.bytes(["output"])), inputs(), 3)
