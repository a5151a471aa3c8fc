import os
import re

import pytest

from edgekit.bench import BenchConfig, bench
from edgekit.bench.flights import playable
from edgekit.bench.report import render, write_report
from edgekit.errors import BundleError, ConfigError, SourceError
from edgekit.runtime.sources import open_source

TINY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny.ekb")
FLIGHT = "synth://?seed=1&frames=8&size=128x96"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    before = os.environ.get("EDGEKIT_CACHE")
    os.environ["EDGEKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["EDGEKIT_CACHE"]
    else:
        os.environ["EDGEKIT_CACHE"] = before


@pytest.fixture(scope="module")
def alone(cache):
    pytest.importorskip("onnxruntime")
    return bench(TINY, config=BenchConfig(source=FLIGHT, frames=20, warmup=3, threads=1, first_s=0.01))


@pytest.fixture(scope="module")
def paired(cache):
    pytest.importorskip("onnxruntime")
    return bench(TINY, vs=TINY, config=BenchConfig(source=FLIGHT, frames=12, warmup=2, threads=1, layers=False))


def test_a_bundle_flies(alone):
    value = alone.to_json()
    assert value["frames"] == 20
    assert len(value["samples"]["warmup_ms"]) == 3
    stages = value["stages"]
    inner = sum(stages[stage]["mean"] for stage in ("capture", "preprocess", "infer", "postprocess", "track"))
    assert 0 < inner <= stages["end_to_end"]["mean"] * 1.001
    assert stages["end_to_end"]["mean"] < inner + 5
    assert value["artifact"]["file"] == "tiny.ekb"
    assert re.match(r"^[0-9a-f]{64}$", value["artifact"]["sha256"])
    assert value["memory_mb"]["peak"] >= value["memory_mb"]["start"] > 0
    assert set(value["libraries"]) == {"edgekit", "numpy", "opencv", "onnxruntime"}


def test_layers_are_in_trtexec_s_shape(alone):
    assert alone.lane.layers[0]["count"] == 8  # the whole flight, once
    assert sum(row["percentage"] for row in alone.lane.layers[1:]) == pytest.approx(100, abs=0.1)


def test_a_bundle_against_itself_is_no_different(paired):
    ratio = paired.speedups()["process"]
    assert ratio.pairs == 12
    assert ratio.low < 1.5
    assert ratio.high > 0.67
    assert len(paired.other.samples.t_s) == 12


def test_the_report_is_one_file_that_needs_no_other(alone, tmp_path):
    write_report(alone, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert not re.search(r"<script|<link|<img|https?://", text)
    assert text.count("<svg") == 4
    for part in ("Where a frame", "Every frame", "Memory", "Layers", "How this was got", "onnxruntime"):
        assert part in text
    assert "Against" not in text


def test_the_report_of_two_says_which_is_faster(paired):
    text = render(paired.to_json())
    assert "Against tiny.ekb" in text
    assert "over 12 frames that both ran on" in text
    assert "Operators" not in text


def test_names_are_escaped(alone):
    value = alone.to_json()
    value["artifact"] = dict(value["artifact"], name="<b>&", file="<i>.ekb")
    assert "<h1>&lt;b&gt;&amp;</h1>" in render(value)


def test_a_flight_is_rendered_once_and_kept(tmp_path):
    said = []
    path = playable(FLIGHT, lambda *step: said.append(step), str(tmp_path))
    assert said[-1] == (8, 8, "render")
    with open_source(path) as stream:
        assert [frame.image_hwc.shape for frame in stream] == [(96, 128, 3)] * 8
    said.clear()
    assert playable(FLIGHT, lambda *step: said.append(step), str(tmp_path)) == path
    assert said == []
    assert playable(FLIGHT + "&ir=1", None, str(tmp_path)) != path
    assert playable("flight.mp4") == "flight.mp4"


def test_a_flight_that_cannot_be_rendered():
    with pytest.raises(SourceError, match="unknown key 'sed'"):
        playable("synth://?sed=1")


def test_a_path_is_not_told(tmp_path):
    from edgekit.bench.bench import _method

    (tmp_path / "flight.mp4").write_bytes(b"")
    assert _method(BenchConfig(source=str(tmp_path / "flight.mp4")))["source"] == "flight.mp4"
    assert _method(BenchConfig(source=FLIGHT))["source"] == FLIGHT


@pytest.mark.parametrize("config", [{"frames": 0}, {"warmup": -1}])
def test_a_config_that_counts_nothing(config):
    with pytest.raises(ConfigError, match="1 or more frames and a warm-up of 0 or more"):
        BenchConfig(**config)


def test_no_such_bundle(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle"):
        bench(str(tmp_path / "none.ekb"))


def test_no_such_source():
    pytest.importorskip("onnxruntime")
    with pytest.raises(SourceError, match="there is no source"):
        bench(TINY, config=BenchConfig(source="none.mp4", threads=1))


def test_two_bundles_need_a_source_that_waits():
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigError, match="take turns on each frame"):
        bench(TINY, vs=TINY, config=BenchConfig(source=FLIGHT, policy="latest", threads=1))
