import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import DataError
from edgekit.graph.calibrate.images import choose_images, prepared
from edgekit.graph.calibrate.stream import stream
from edgekit.graph.families import detect_family
from edgekit.graph.load import load_canonical
from edgekit.graph.ranges import difference, graph_digest, load_table, make_table, save_table
from tests.graph import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    tiny.pictures(path, 4)
    return str(path)


def table(folder, seed: int = 0):
    model = load_canonical(tiny.yolox(seed))
    preprocess = detect_family(model).preprocess
    images = choose_images(folder)
    histograms = stream(model, prepared(images.images, preprocess), 4)
    return make_table("tiny", model, histograms, images, preprocess)


def test_same_images_same_file_byte_for_byte(folder, tmp_path):
    paths = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        paths.append(save_table(table(folder), str(tmp_path / name)))
    contents = [Path(path).read_bytes() for path in paths]
    assert contents[0] == contents[1]
    assert paths[0].endswith(f"tiny-{graph_digest(load_canonical(tiny.yolox()))[:12]}.json")
    value = json.loads(contents[0])
    assert list(value["tensors"]) == sorted(value["tensors"])


def test_a_table_comes_back_as_it_was_written(folder, tmp_path):
    first = table(folder)
    assert load_table(save_table(first, str(tmp_path))) == first


def test_every_float_tensor_has_a_range_by_every_method(folder):
    found = table(folder)
    model = load_canonical(tiny.yolox())
    names = {v.name for node in model.graph for v in node.outputs} | {"images"}
    for method, ranges in found.ranges.items():
        assert set(ranges) == names, method
    assert found.ranges["mse"]["obj0_score"] == (0.0, 1.0)
    assert found.ranges["entropy"]["images"] == found.ranges["minmax"]["images"]


def test_which_key_differs_is_said(folder):
    found = table(folder)
    model = load_canonical(tiny.yolox())
    images, preprocess = choose_images(folder), detect_family(model).preprocess
    digest = graph_digest(model)
    assert difference(found, digest, images, preprocess, "mse") is None
    assert "made for model" in str(difference(found, "0" * 64, images, preprocess, "mse"))
    fewer = choose_images(folder, 2)
    assert "made from 4 images, 2 of them among the 2 given" in str(difference(found, digest, fewer, preprocess, "mse"))
    assert "made with" in str(difference(found, digest, images, replace(preprocess, rgb=True), "mse"))
    partial = replace(found, ranges={"minmax": found.ranges["minmax"]})
    assert "no ranges of method mse, only minmax" in str(difference(partial, digest, images, preprocess, "mse"))


def test_files_that_are_no_table(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(DataError, match="cannot read range table"):
        load_table(str(path))
    for text, message in (("{", "not a range table"), ("[]", "not a range table"), ('{"format": "x"}', "x is|is x")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            load_table(str(path))
