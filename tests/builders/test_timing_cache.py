import logging
import os
from dataclasses import replace

import pytest

from edgekit.builders.timing_cache import read_timings, timing_cache_path, write_timings
from edgekit.engine import EngineKey

KEY = EngineKey("b" * 64, "trt10", "tensorrt", "10.3.0", "12.6", 87, 8, "Orin", "MAXN SUPER")


@pytest.fixture
def path(tmp_path):
    path = timing_cache_path(KEY, str(tmp_path))
    write_timings(path, KEY, b"timings")
    return path


def test_the_name_says_what_it_is_for(path):
    assert os.path.basename(path) == "tensorrt-10.3.0-sm87x8-MAXN_SUPER.timing.cache"
    assert timing_cache_path(replace(KEY, power_mode="", dla_core=0), "c").endswith("sm87x8-dla.timing.cache")


def test_timings_come_back(path):
    assert read_timings(path, KEY) == (b"timings", "used")


def test_another_bundle_and_graph_use_the_same(path):
    assert read_timings(path, replace(KEY, bundle="c" * 64, lowering="fp16")).state == "used"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tensorrt": "10.7.0"}, "tensorrt 10.3.0 there, 10.7.0 here"),
        ({"sm_count": 4}, "sm_count 8 there, 4 here"),
        ({"gpu": "Xavier"}, "gpu Orin there, Xavier here"),
        ({"power_mode": "25W"}, "power_mode MAXN SUPER there, 25W here"),
        ({"cuda": "13.2"}, "cuda 12.6 there, 13.2 here"),
    ],
)
def test_timings_of_another_machine_are_left_aside(path, caplog, change, why):
    with caplog.at_level(logging.WARNING):
        assert read_timings(path, replace(KEY, **change)) == (b"", why)
    assert "times its kernels anew" in caplog.text


@pytest.mark.parametrize("cut", [0, 1, 10, 23, 24, 40, 200, -1])
def test_a_damaged_file_is_left_aside(path, cut):
    with open(path, "rb") as stream:
        data = stream.read()
    with open(path, "wb") as stream:
        stream.write(data[:cut])
    assert read_timings(path, KEY) == (b"", "damaged")


def test_no_file_is_no_warning(tmp_path, caplog):
    assert read_timings(str(tmp_path / "absent"), KEY) == (b"", "none yet")
    assert not caplog.records
