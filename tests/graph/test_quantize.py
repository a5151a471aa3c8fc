import logging

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.errors import ConfigError, DataError
from edgekit.graph.bake import bake_weights
from edgekit.graph.calibrate import METHODS
from edgekit.graph.calibrate.images import choose_images, prepared
from edgekit.graph.families import detect_family
from edgekit.graph.insert import insert_qdq
from edgekit.graph.load import load_canonical, model_bytes
from edgekit.graph.quantize import AUTO_METHODS, QuantizeOptions, quantize_model, spaced
from edgekit.graph.ranges import load_table
from edgekit.graph.runner import Runner
from edgekit.metrics.arrays import snr_db
from tests.graph import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    tiny.pictures(path, 6)
    return str(path)


@pytest.mark.parametrize("make", [tiny.yolox, tiny.yolov8, tiny.nanodet])
def test_each_family(make, folder):
    model = load_canonical(make())
    before = model_bytes(model)
    done = quantize_model(model, folder, QuantizeOptions(float_layers="stem+head", threads=1))
    assert model_bytes(model) == before
    heads = {name for name in done.plan.excluded if name != "stem_node"}
    assert "stem_node" in done.plan.excluded
    assert heads
    assert all(name[:3] in ("reg", "obj", "cls", "box", "bin") for name in heads)
    assert {"down4_node", "down8_node"} <= done.plan.weights.keys()
    assert done.choice is None
    assert len(done.calibration.images) == 6
    assert done.calibration.seconds > 0


def test_same_images_and_seed_same_plan(folder):
    plans = [
        quantize_model(load_canonical(tiny.yolox()), folder, QuantizeOptions(images=4, seed=3, threads=1)).plan
        for _ in range(2)
    ]
    assert plans[0] == plans[1]


def test_measured_choice_never_agrees_less_than_all_int8(folder):
    done = quantize_model(load_canonical(tiny.yolox()), folder, QuantizeOptions(threads=1))
    choice = done.choice
    assert choice is not None
    assert choice.agreement >= choice.agreement_all_int8
    assert choice.keep_float.keys() == done.plan.excluded.keys()


def test_auto_takes_the_method_that_agrees_best(folder):
    scores = {}
    for method in (*AUTO_METHODS, "auto"):
        options = QuantizeOptions(method=method, float_layers="stem", threads=1)
        done = quantize_model(load_canonical(tiny.yolox()), folder, options)
        scores[method] = done
    assert scores["auto"].calibration.method in AUTO_METHODS
    assert scores["auto"].plan == scores[scores["auto"].calibration.method].plan


def test_searching_single_layers_measures_each(folder):
    options = QuantizeOptions(threads=1, float_layers="search", images=2, judge_images=2)
    states = []
    done = quantize_model(load_canonical(tiny.yolox()), folder, options, progress=lambda *s: states.append(s))
    assert done.choice is not None
    single = {row.label for row in done.choice.rows} - {"stem", "head"}
    assert done.choice.agreement >= 0.9 or "down8_node" in single
    assert all(0 < done_ <= total for done_, total, _ in states)


def test_layers_that_are_asked_for_stay_in_float(folder):
    options = QuantizeOptions(float_layers="none", keep_float=("down8_node",), threads=1)
    done = quantize_model(load_canonical(tiny.yolox()), folder, options)
    assert done.plan.excluded == {"down8_node": "asked for"}
    with pytest.raises(ConfigError, match="no layer 'backbone' to keep in float; layers are stem_node, "):
        quantize_model(load_canonical(tiny.yolox()), folder, QuantizeOptions(keep_float=("backbone",)))


def test_a_range_table_is_written_and_reused(folder, tmp_path, caplog):
    options = QuantizeOptions(float_layers="none", ranges=str(tmp_path), threads=1)
    first = quantize_model(load_canonical(tiny.yolox()), folder, options, name="tiny")
    (path,) = tmp_path.iterdir()
    assert load_table(str(path)).model == "tiny"
    again = quantize_model(load_canonical(tiny.yolox()), folder, options, name="tiny")
    assert (again.calibration.reused, again.calibration.seconds) == (str(path), 0.0)
    assert again.plan == first.plan
    fewer = QuantizeOptions(float_layers="none", ranges=str(tmp_path), threads=1, images=3)
    with caplog.at_level(logging.WARNING):
        third = quantize_model(load_canonical(tiny.yolox()), folder, fewer, name="tiny")
    assert third.calibration.reused is None
    assert "made from 6 images, 3 of them among the 3 given; calibrating again" in caplog.text


def test_what_float16_may_not_hold_is_known_from_the_same_pass_and_from_a_table(folder, tmp_path):
    """From what clips nothing, whatever method chooses the ranges."""
    model = load_canonical(tiny.yolox())
    weight = model.graph.initializers["stem_w"]
    weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1e5), name="stem_w")
    options = QuantizeOptions(method="percentile", float_layers="none", ranges=str(tmp_path), threads=1)
    first = quantize_model(model, folder, options, name="loud")
    assert first.overflow.images == 6
    assert {"stem", "stem_silu"} <= set(first.overflow.tensors)
    again = quantize_model(model, folder, options, name="loud")
    assert again.calibration.reused is not None
    assert again.overflow == first.overflow
    assert quantize_model(load_canonical(tiny.yolox()), folder, options).overflow.tensors == {}


def test_adjusted_weights_come_back_with_the_plan(folder):
    model = load_canonical(tiny.yolox())
    before = model_bytes(model)
    options = QuantizeOptions(float_layers="stem", bias_correction="weights", equalize=True, threads=1)
    done = quantize_model(model, folder, options)
    assert model_bytes(model) == before
    assert model_bytes(done.model) != before
    assert [node.name for node in done.model.graph] == [node.name for node in model.graph]


def test_widths_are_those_asked_for(folder):
    options = QuantizeOptions(
        method="minmax", float_layers="none", weight_bits=3, layer_bits=(("down8_node", 5), ("stem_node", 7)), threads=1
    )
    plan = quantize_model(load_canonical(tiny.yolox()), folder, options).plan
    widths = {name: spec.bits for name, spec in plan.weights.items()}
    assert (widths["stem_node"], widths["down8_node"], widths["down4_node"], widths["cls0_node"]) == (7, 5, 3, 8)


def test_a_layer_with_a_width_stays_an_integer(folder):
    options = QuantizeOptions(
        method="minmax", float_layers="stem+head", layer_bits=(("stem_node", 7), ("cls0_node", 6)), threads=1
    )
    plan = quantize_model(load_canonical(tiny.yolox()), folder, options).plan
    assert (plan.weights["stem_node"].bits, plan.weights["cls0_node"].bits) == (7, 6)
    assert "cls1_node" in plan.excluded and not plan.excluded.keys() & plan.weights.keys()


def test_fewer_bits_cost_more(folder):
    """Of the outputs, in float arithmetic with quantised weights; bias correction gives some of it back."""
    model = load_canonical(tiny.yolox())
    images = [x for _, x in prepared(choose_images(folder, 4, 0).images, detect_family(model).preprocess)]

    def ratio(bits, correction="none"):
        options = QuantizeOptions(
            method="minmax", float_layers="none", weight_bits=bits, bias_correction=correction, threads=1
        )
        done = quantize_model(model, folder, options)
        quantized = bake_weights(done.model, done.plan)
        pairs = [(Runner(model).run(x)[0], Runner(quantized).run(x)[0]) for x in images]
        return snr_db(*(np.stack(side) for side in zip(*pairs, strict=True)))

    assert ratio(2) < ratio(4) < ratio(6) < ratio(8)
    assert ratio(2, "weights") > ratio(2) + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 0}, "weight_bits is 0 bits, expected 2 to 8"),
        ({"weight_bits": 9}, "weight_bits is 9 bits, expected 2 to 8"),
        ({"layer_bits": (("stem_node", 1),)}, "stem_node is 1 bits, expected 2 to 8"),
        ({"layer_bits": (("stem_node", 4),), "keep_float": ("stem_node",)}, "'stem_node' is to stay in float and to"),
    ],
)
def test_widths_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        QuantizeOptions(**options)


def test_a_width_for_a_layer_that_does_not_exist(folder):
    options = QuantizeOptions(layer_bits=(("down_8node", 4),))
    with pytest.raises(ConfigError, match="no layer 'down_8node' to give a width to; did you mean 'down8_node'?"):
        quantize_model(load_canonical(tiny.yolox()), folder, options)


def test_bad_folders_and_options(tmp_path):
    model = load_canonical(tiny.yolox())
    with pytest.raises(DataError, match="no images"):
        quantize_model(model, str(tmp_path))
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="not an image"):
        quantize_model(model, str(tmp_path))
    with pytest.raises(ConfigError, match="unknown method 'max', expected one of auto, minmax"):
        QuantizeOptions(method="max")
    with pytest.raises(ConfigError, match="unknown float_layers 'all'"):
        QuantizeOptions(float_layers="all")


@pytest.mark.parametrize("method", METHODS)
def test_int8_outputs_are_close_to_float(folder, method):
    model = load_canonical(tiny.nanodet())
    options = QuantizeOptions(method=method, float_layers="stem+head", threads=1)
    done = quantize_model(model, folder, options)
    images = prepared(choose_images(folder).images, done.family.preprocess)
    lowered = insert_qdq(done.model, done.plan, "every-tensor")
    runners = [Runner(model, None, 1), Runner(lowered, None, 1, integers=False)]
    signal = noise = 0.0
    for _, x in images:
        for one, two in zip(*(runner.run(x) for runner in runners), strict=True):
            signal, noise = signal + float((one**2).sum()), noise + float(((one - two) ** 2).sum())
    # the tail of so few values is no outlier, so methods that cut it off do worse here than on pictures of the world
    assert 10 * np.log10(signal / noise) > (12 if method.startswith("entropy") else 25)


def test_spaced():
    assert spaced(list("abcdefgh"), 4) == list("aceg")
    assert spaced(["a"], 4) == ["a"]
    assert np.array_equal(spaced([str(i) for i in range(5)], 5), [str(i) for i in range(5)])
