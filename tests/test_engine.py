import json
from dataclasses import replace

import pytest

from edgekit.engine import Concession, EngineKey, read_engine, write_engine
from edgekit.errors import BackendError

KEY = EngineKey("b" * 64, "trt8", "tensorrt", "8.5.2.2", "11.4", 87, 8, "Orin", "25W", None, (("level", "2"),))


def test_a_key_survives_its_record():
    assert EngineKey.from_json(json.loads(json.dumps(KEY.to_json()))) == KEY
    assert KEY.digest() == EngineKey.from_json(KEY.to_json()).digest()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bundle": "c" * 64}, "bundle bbbbbbbbbbbb…, here cccccccccccc…"),
        ({"lowering": "fp16"}, "lowering trt8, here fp16"),
        ({"library": "tensorrt_rtx"}, "library tensorrt, here tensorrt_rtx"),
        ({"tensorrt": "10.3.0"}, "TensorRT 8.5.2.2, here 10.3.0"),
        ({"cuda": "12.6"}, "CUDA 11.4, here 12.6"),
        ({"sm": 72}, "compute capability 87, here 72"),
        ({"sm_count": 4}, "multiprocessors 8, here 4"),
        ({"gpu": "Xavier"}, "GPU Orin, here Xavier"),
        ({"power_mode": "15W"}, "power mode 25W, here 15W"),
        ({"dla_core": 0}, "DLA core None, here 0"),
        ({"settings": ()}, "build settings level=2, here none"),
    ],
)
def test_each_part_of_the_key_is_told_apart(change, words):
    other = replace(KEY, **change)
    assert KEY.differences(other) == [words]
    assert other.digest() != KEY.digest()


def test_the_same_key_differs_in_nothing():
    assert KEY.differences(replace(KEY)) == []


def test_an_engine_and_its_record(tmp_path):
    path = tmp_path / "x.engine"
    written = write_engine(path, b"plan", KEY, 2.5, (Concession("conv", "pinned to FP32", "no kernel"),), {"layers": 3})
    assert read_engine(path) == written
    assert path.read_bytes() == b"plan" and written.nbytes == 4


def test_a_changed_engine_is_refused(tmp_path):
    path = tmp_path / "x.engine"
    write_engine(path, b"plan", KEY, 1.0)
    path.write_bytes(b"plam")
    with pytest.raises(BackendError, match="is not the engine that its record describes; build it again"):
        read_engine(path)


@pytest.mark.parametrize("record", [None, "", "{}", '{"format": "edgekit-engine", "version": 99}', "[1]"])
def test_an_engine_without_a_record_is_refused(tmp_path, record):
    path = tmp_path / "x.engine"
    path.write_bytes(b"plan")
    if record is not None:
        (tmp_path / "x.engine.json").write_text(record)
    with pytest.raises(BackendError, match="no record of what it was built with .*edgekit build"):
        read_engine(path)
