import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.cli import tiny

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Finished:
    """A command that has run: its exit status, what it printed, and the JSON object of its last line."""

    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self):
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture(scope="session")
def edgekit(tmp_path_factory):
    """Run `python -m edgekit …` in a process of its own, with a cache of its own."""
    environment = dict(os.environ, EDGEKIT_CACHE=str(tmp_path_factory.mktemp("cache")), PYTHONPATH=ROOT)
    environment.pop("COLUMNS", None)

    def run(*arguments, **options):
        command = [sys.executable, "-m", "edgekit"] + [str(argument) for argument in arguments]
        done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options)
        out, err = done.communicate()
        return Finished(done.returncode, out.decode(), err.decode())

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Path of the tiny detector's ONNX file, in a folder of its own."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    shutil.copy(tiny.GOLDEN, str(path))
    return str(path)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Folder of eight images and the COCO file beside it, as (folder, json)."""
    import cv2

    folder = tmp_path_factory.mktemp("pictures")
    images, annotations = [], []
    for number in range(1, 9):
        image, xyxy, class_id = tiny.picture(seed=number)
        cv2.imwrite(str(folder / "{:02d}.png".format(number)), image)
        images.append({"id": number, "file_name": "{:02d}.png".format(number), "width": 128, "height": 128})
        for box, class_index in zip(xyxy.tolist(), class_id.tolist()):
            x1, y1, x2, y2 = box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": class_index + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(tiny.CLASSES)]
    labels = tmp_path_factory.mktemp("labels") / "pictures.json"
    labels.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return str(folder), str(labels)


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """A short video of the same pictures, 24 frames."""
    import cv2

    path = str(tmp_path_factory.mktemp("video") / "squares.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (128, 128))
    for number in range(24):
        writer.write(tiny.picture(seed=number // 6)[0])
    writer.release()
    return path


@pytest.fixture(scope="session")
def float_bundle(tmp_path_factory, tiny_model):
    """A float bundle of the tiny detector, written without the exporter; its lowering is 'fp32'."""
    return write_float_bundle(str(tmp_path_factory.mktemp("bundle") / "tiny.ekb"), tiny_model)


def write_float_bundle(path, tiny_model, golden=(), files=None):
    """Write the tiny detector as a bundle with the one lowering 'fp32', weights inside the graph."""
    from edgekit.bundle import LoweredGraph, write_bundle
    from edgekit.process import DecodeSpec, Preprocess

    with open(tiny_model, "rb") as stream:
        graph = stream.read()
    manifest = {
        "model": {
            "name": "tiny",
            "task": "detect",
            "classes": list(tiny.CLASSES),
            "source": {"file": "tiny.onnx", "sha256": "0" * 64},
            "licence": None,
        },
        "preprocess": Preprocess(height=tiny.SIZE, width=tiny.SIZE).to_json(),
        "decode": DecodeSpec("yolox", len(tiny.CLASSES), tiny.STRIDES).to_json(),
        "input": {"name": "images", "shape": [1, 3, tiny.SIZE, tiny.SIZE], "dtype": "float32"},
        "outputs": [{"name": "output", "shape": [1, tiny.CELLS, 7], "dtype": "float32"}],
        "plan": None,
        "calibration": None,
        "golden": list(golden),
        "provenance": {},
    }
    lowerings = {"fp32": LoweredGraph(graph, [], 13)}
    write_bundle(path, manifest=manifest, tensors=[], lowerings=lowerings, files=files)
    return path
