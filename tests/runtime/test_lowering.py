import pytest

from edgekit.errors import BackendError
from edgekit.runtime import lowering

ALL = ("fp32", "fp16", "trt8", "trt10", "ort-x86", "ort-x86-narrow", "ort-arm")


@pytest.mark.parametrize(
    ("x86", "vnni", "available", "expected"),
    [
        (True, True, ALL, "ort-x86"),
        (True, False, ALL, "ort-x86-narrow"),
        (False, False, ALL, "ort-arm"),
        (True, True, ("trt8", "fp32"), "fp32"),
        (True, True, ("ort-x86-narrow", "fp32"), "ort-x86-narrow"),
        (True, False, ("ort-x86", "fp32"), "fp32"),
        (False, False, ("ort-x86", "fp32"), "fp32"),
    ],
)
def test_the_processor_decides(monkeypatch, x86, vnni, available, expected):
    monkeypatch.setattr(lowering, "is_x86", lambda: x86)
    monkeypatch.setattr(lowering, "has_vnni", lambda: vnni)
    assert lowering.choose_lowering(available) == expected


@pytest.mark.parametrize(
    ("x86", "vnni", "requires", "expected"),
    [
        (True, True, {"cpu": "vnni"}, "packed"),
        (True, False, {"cpu": "vnni"}, "fp32"),
        (True, False, {}, "packed"),
        (False, False, {"cpu": "vnni"}, "packed"),
    ],
)
def test_packed_weights_need_vnni_where_one_of_them_has_eight_bits(monkeypatch, x86, vnni, requires, expected):
    monkeypatch.setattr(lowering, "is_x86", lambda: x86)
    monkeypatch.setattr(lowering, "has_vnni", lambda: vnni)
    assert lowering.choose_lowering(("packed", "fp32"), {"packed": requires, "fp32": {}}) == expected


@pytest.mark.parametrize(
    ("obstacle", "vnni", "expected"),
    [
        (None, True, "ort-x86-tables"),
        ("there is no native library", True, "ort-x86"),
        (None, False, "ort-x86-narrow"),
    ],
)
def test_tables_need_the_native_library(monkeypatch, obstacle, vnni, expected):
    monkeypatch.setattr(lowering, "is_x86", lambda: True)
    monkeypatch.setattr(lowering, "has_vnni", lambda: vnni)
    monkeypatch.setattr(lowering, "operators_obstacle", lambda version: obstacle)
    assert lowering.tables_obstacle() == obstacle
    requires = {"ort-x86-tables": {"cpu": "vnni", "library": "edgekit"}}
    assert lowering.choose_lowering(ALL + ("ort-x86-tables",), requires) == expected


def test_none_fits(monkeypatch):
    monkeypatch.setattr(lowering, "is_x86", lambda: True)
    monkeypatch.setattr(lowering, "has_vnni", lambda: False)
    with pytest.raises(BackendError, match="has the lowerings trt8, ort-x86; this processor runs ort-x86-narrow"):
        lowering.choose_lowering(("trt8", "ort-x86"))
