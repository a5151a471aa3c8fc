"""A checkpoint that was trained quantised as MODEL."""

import pytest

from edgekit.cli import model_file
from edgekit.cli.export import _check_trained
from edgekit.errors import ConfigError

pytest.importorskip("torch")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from edgekit.train.loop import fit
    from edgekit.train.recipe import Quant
    from tests.train.toys import no_images, squares, toy_recipe

    recipe = toy_recipe(tmp_path_factory.mktemp("four"), epochs=1, quant=Quant(weight=4, images=4))
    return str(fit(recipe, squares(8), no_images()))


def test_the_plan_comes_with_the_file(checkpoint):
    with model_file.with_plan(checkpoint) as (path, plan):
        assert path.endswith(".onnx")
        assert plan[0].layers_by_bits().keys() == {8, 4}
        assert plan[1]["method"] == "qat"
    with model_file.with_plan("some.onnx") as (path, plan):
        assert (path, plan) == ("some.onnx", None)


def test_a_second_plan_is_refused(checkpoint):
    with pytest.raises(ConfigError, match="has its plan already; write it as it is: edgekit export .*--images DIR"):
        with model_file.as_onnx(checkpoint):
            pass


@pytest.mark.parametrize(("calib", "plan"), [("images", None), (None, "plan.json")])
def test_nothing_to_calibrate(calib, plan):
    with pytest.raises(ConfigError, match="a.safetensors was trained quantised and has its grids already; leave"):
        _check_trained("a.safetensors", True, True, calib, plan)


def test_export_takes_it_as_it_is(edgekit, checkpoint, pictures, tmp_path):
    path = tmp_path / "four.ekb"
    done = edgekit("export", checkpoint, "--int8", "--images", pictures[0], "--lowering", "trt8", "-o", path, "--json")
    assert done.status == 0, done.err
    assert done.json["layers_by_bits"].keys() == {"8", "4"}
    assert done.json["lowerings"]["trt8"]["parity"]["codes"]["differing"] == 0
    flat = edgekit("export", checkpoint, "--fp32", "-o", tmp_path / "float.ekb", "--json")
    assert flat.status == 0 and flat.json["weight_bits"] is None
