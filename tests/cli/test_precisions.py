"""One bundle of many precisions at the command line, from the checkpoint on."""

import os
import re

import cv2
import pytest

pytest.importorskip("torch")

from edgekit.train.loop import fit
from edgekit.train.recipe import Optim, Quant
from tests.train.test_precisions import MODEL, confident
from tests.train.toys import no_images, squares, toy_recipe


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A checkpoint of three precisions after one step, and pictures."""
    folder = tmp_path_factory.mktemp("many")
    confident(folder / "init.onnx")
    recipe = toy_recipe(
        folder / "student_any",
        epochs=1,
        model=MODEL,
        init=str(folder / "init.onnx"),
        quant=Quant(precisions=(8, 4, 2), images=2),
        optim=Optim(lr=1e-4, warmup_steps=1),
    )
    fit(recipe, squares(4), no_images())
    (folder / "images").mkdir()
    for index, item in enumerate(squares(2, seed=5)):
        cv2.imwrite(str(folder / "images" / "{}.png".format(index)), item.image)
    return folder


@pytest.fixture(scope="module")
def bundle(edgekit, world):
    path, checkpoint = str(world / "many.ekb"), world / "student_any" / "last.safetensors"
    done = edgekit(
        "export", checkpoint, "--images", world / "images", "-o", path, "--lowering", "ort-x86", "--lowering", "trt8",
        "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert list(done.json["precisions"]) == ["8", "4", "2"]
    assert all(part["lowerings"]["trt8"]["parity"]["passed"] for part in done.json["precisions"].values())
    return path


def test_inspect_shows_the_precisions_and_opens_at_one(edgekit, bundle):
    value = edgekit("inspect", bundle, "--precision", "2", "--json").json
    assert value["precision"] == 2 and value["model"]["name"] == "student_any"
    assert [row["bits"] for row in value["precisions"]] == [8, 4, 2]
    assert {row["bits"] for row in value["layers"] if row["coded"]} == {8, 2}
    drawn = edgekit("inspect", bundle)
    assert "8 bits (this one)" in drawn.out and "2 of 8" in drawn.out


def test_it_is_checked_and_flown_at_a_precision(edgekit, bundle, world):
    checked = edgekit("check", bundle, "--precision", "4", "--lowering", "ort-x86", "--json")
    assert checked.json["golden"]["passed"] and checked.json["golden"]["total"]["matched"] > 0
    assert checked.json["lint"]["lowerings"]["trt8"] == []
    flown = edgekit(
        "run", bundle, world / "images", "--precision", "2", "--lowering", "ort-x86", "--track", "none", "--json"
    )
    assert flown.status == 0, flown.err
    assert (flown.json["precision"], flown.json["frames"]) == (2, 2)


def test_a_part_of_it_is_a_bundle_and_a_graph_of_it_is_onnx(edgekit, bundle, world):
    cut, graph = str(world / "cut.ekb"), str(world / "four.onnx")
    done = edgekit("export", bundle, "--precision", "4", "-o", cut, "--json")
    assert done.status == 0, done.err
    assert done.json["precisions"] == [4, 2] and done.json["bytes"] == os.path.getsize(cut) < os.path.getsize(bundle)
    assert edgekit("check", cut, "--lowering", "ort-x86", "--json").json["golden"]["passed"]
    done = edgekit("export", bundle, "--precision", "4", "-o", graph, "--lowering", "trt8", "--json")
    assert done.status == 0, done.err
    linted = edgekit("check", graph, "--lowering", "trt8", "--json")
    assert linted.status == 0, linted.err


def test_one_precision_of_the_checkpoint_is_a_bundle_of_its_own(edgekit, world):
    path = str(world / "two.ekb")
    done = edgekit(
        "export", world / "student_any" / "last.safetensors", "--precision", "2", "--images", world / "images",
        "-o", path, "--lowering", "ort-x86", "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert edgekit("inspect", path, "--json").json["precisions"] == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["inspect", "{bundle}", "--precision", "3"], "has the precisions 8, 4, 2, not 3 bits to choose"),
        (["export", "{bundle}", "-o", "{out}.ekb"], "is a bundle already; say with --precision what the new one keeps"),
        (["export", "{bundle}", "--precision", "4"], "name the file to write with -o, another one than"),
        (["export", "{bundle}", "--precision", "4", "-o", "{out}.onnx"], "holds one graph: name it with --lowering"),
        (["export", "{checkpoint}", "-o", "{out}.onnx"], "holds one precision of .* name it with --precision"),
        (
            ["export", "{checkpoint}", "--calib", "x", "-o", "{out}.ekb"],
            "was trained quantised and has its grids already",
        ),
        (["export", "{init}", "--precision", "4", "-o", "{out}.ekb"], "was not trained for many precisions"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(edgekit, bundle, world, arguments, text):
    names = {
        "bundle": bundle,
        "out": str(world / "none"),
        "checkpoint": str(world / "student_any" / "last.safetensors"),
        "init": str(world / "init.onnx"),
    }
    done = edgekit(*[argument.format(**names) for argument in arguments])
    assert done.status == 2
    assert len(done.err.strip().splitlines()) == 1
    assert re.search(text, done.err), done.err
    assert not os.path.exists(names["out"] + ".ekb") and not os.path.exists(names["out"] + ".onnx")
