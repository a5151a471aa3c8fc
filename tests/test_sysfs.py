import pytest

from edgekit import sysfs


@pytest.mark.parametrize(
    ("text", "number"), [("612000000\n", 612e6), ("-5", -5.0), ("", None), ("N/A", None), ("nan", None), ("inf", None)]
)
def test_a_number_or_none(tmp_path, text, number):
    (tmp_path / "value").write_text(text)
    assert sysfs.read_number(str(tmp_path / "value")) == number


def test_text_loses_zero_bytes_at_its_ends(tmp_path):
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson\0\n")
    assert sysfs.read_text(str(tmp_path / "model")) == "NVIDIA Jetson"


def test_what_is_missing_is_none(tmp_path):
    assert sysfs.read_text(str(tmp_path / "absent")) is None
    assert sysfs.read_number(str(tmp_path)) is None


def test_globs_are_sorted_and_below_the_root(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).write_text("1")
    assert sysfs.find(str(tmp_path), "/[ab]") == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert sysfs.find(str(tmp_path), "") == []
