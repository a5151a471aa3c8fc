"""Predicted costs against a real bundle and the network's counters."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edgekit.models.cost import count, deployed
from edgekit.precision import QuantPlan, QuantSpec
from edgekit.search.candidates import Workshop
from edgekit.search.costs import Known, costs_of
from edgekit.search.latency import LayerMs, layer_ms
from edgekit.search.measured import stored_biases
from edgekit.search.recipe import FLOAT

CHOICES = (2, 3, 5, 8, FLOAT)


@pytest.fixture(scope="module")
def made(opened):
    """A workshop, and costs that know one bundle, of 8 bits all over."""
    recipe, subject, _ = opened
    workshop = Workshop(recipe, subject)
    widths = subject.widths(dict.fromkeys(subject.searched, 8))
    known = workshop.calibrated("known", widths)
    about = Known(widths, known.weight_bytes, stored_biases(subject, known))
    return subject, workshop, known, costs_of(subject, CHOICES, about, None)


def drawn(subject, seed: int, choices: tuple[int, ...]) -> dict[str, int]:
    random = np.random.default_rng(seed)
    return {name: int(bits) for name, bits in zip(subject.searched, random.choice(choices, len(subject.searched)))}


@pytest.mark.parametrize(("seed", "choices"), [(0, (2, 3, 5, 8)), (1, CHOICES)], ids=["integers", "float too"])
def test_bytes_are_those_of_the_bundle(made, seed: int, choices: tuple[int, ...]) -> None:
    subject, workshop, known, costs = made
    bits = drawn(subject, seed, choices)
    written = workshop.calibrated(f"drawn{seed}", subject.widths(bits))
    assert costs.of(bits)["bytes"] == written.weight_bytes
    assert written.weight_bytes < written.bytes and Path(written.path).is_file()
    assert costs.of(dict.fromkeys(subject.searched, 8))["bytes"] == known.weight_bytes


def test_bits_and_operations_are_those_of_the_counters(made) -> None:
    subject, _, _, costs = made
    bits = drawn(subject, 2, CHOICES)
    widths = subject.widths(bits)
    plan = QuantPlan(weights={name: QuantSpec(b, (1.0,)) for name, b in widths.items() if b != FLOAT})
    counted = count(subject.shape, plan)
    assert costs.of(bits)["mean_bits"] == pytest.approx(counted.mean_bits, rel=1e-12)
    every = {layer.name: widths[layer.name] for layer in subject.shape.layers}
    work = deployed(subject.shape, every, subject.input_bits).gbops
    assert costs.of(bits)["gbops"] == pytest.approx(work, rel=1e-12)
    assert subject.input_bits["backbone.stem.conv.conv"] == 8 and widths["backbone.stem.conv.conv"] == 8
    assert widths["neck.down4.conv"] == 5 and widths["head.levels.1.predict.cls"] == 7


def test_milliseconds_are_two_numbers_a_layer(made) -> None:
    subject, _, known, _ = made
    layers = [layer.name for layer in subject.shape.layers]
    times = LayerMs(dict.fromkeys(layers, 1.0), dict.fromkeys(layers, 3.0), 10.0)
    widths = subject.widths(dict.fromkeys(subject.searched, 8))
    costs = costs_of(subject, CHOICES, Known(widths, known.weight_bytes, frozenset()), times)
    for bits in (2, 8):
        assert costs.of(dict.fromkeys(subject.searched, bits))["ms"] == 10.0 + len(layers)
    assert costs.of(dict.fromkeys(subject.searched, FLOAT))["ms"] == 10 + len(layers) + 2 * len(subject.searched)


def test_a_real_profile_names_every_layer(made, tmp_path: Path) -> None:
    from edgekit.bundle import open_bundle

    subject, workshop, known, _ = made
    graph = open_bundle(known.path).materialise("ort-x86", str(tmp_path))
    times = layer_ms(subject, graph, workshop.in_float().onnx, 2, 1)
    assert times is not None
    assert set(times.int8) == set(times.in_float) == {layer.name for layer in subject.shape.layers}
    assert min(times.int8.values()) > 0 and min(times.in_float.values()) > 0
    assert layer_ms(subject, known.onnx, known.onnx, 1, 1) is not None
