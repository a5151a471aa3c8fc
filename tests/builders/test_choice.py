import json
import os
from dataclasses import replace

import pytest

from edgekit.builders.choice import choice_path, read_choice, write_choice
from edgekit.bundle import open_bundle
from edgekit.engine import EngineKey, write_engine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEY = EngineKey("b" * 64, "trt8", "tensorrt", "8.5.2.2", "11.4", 87, 8, "Orin", "25W", None, (("level", "2"),))


@pytest.fixture(scope="module")
def student():
    return open_bundle(os.path.join(ROOT, "models", "fasterx_student_thermal.ekb"))


@pytest.fixture
def written(student, tmp_path):
    engine = write_engine(str(tmp_path / "trt8-1.engine"), b"plan", KEY, 1.0)
    return write_choice(student, engine, "faster", {"samples": [1, 2]}, str(tmp_path))


def test_a_choice_comes_back(student, tmp_path, written):
    record = read_choice(student, KEY, str(tmp_path))
    assert (record["lowering"], record["engine"], record["why"]) == ("trt8", "trt8-1.engine", "faster")
    assert written == choice_path(student, KEY, str(tmp_path))


def test_lowering_and_settings_are_what_is_chosen(student, tmp_path, written):
    assert read_choice(student, replace(KEY, lowering="fp16", settings=()), str(tmp_path)) is not None


@pytest.mark.parametrize(
    "change", [{"tensorrt": "10.3.0"}, {"sm_count": 4}, {"power_mode": "15W"}, {"dla_core": 0}, {"gpu": "Xavier"}]
)
def test_it_counts_for_that_machine_alone(student, tmp_path, written, change):
    assert read_choice(student, replace(KEY, **change), str(tmp_path)) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("engine"),
        lambda record: record.update(version=2),
        lambda record: record.update(lowering="trt99"),
        lambda record: record.update(engine="../../elsewhere.engine"),
    ],
)
def test_a_damaged_choice_is_not_used(student, tmp_path, written, caplog, damage):
    with open(written) as stream:
        record = json.load(stream)
    damage(record)
    with open(written, "w") as stream:
        json.dump(record, stream)
    assert read_choice(student, KEY, str(tmp_path)) is None
    assert "edgekit build measures again" in caplog.text
