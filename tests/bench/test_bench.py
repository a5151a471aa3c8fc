import importlib
import os
import re

import pytest

from edgekit.bench import BenchConfig, bench
from edgekit.bench.flights import playable
from edgekit.bench.report import render, write_report
from edgekit.errors import BackendError, BundleError, ConfigError, SourceError
from edgekit.runtime.session import RunTimes
from edgekit.runtime.sources import open_source
from tests.fakes import FakeSession, fake_detector
from tests.sysfs import BOARDS, gpu_devfreq, make_tree, read, write

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


@pytest.mark.parametrize("config", [{"sensor_period_s": 0}, {"idle_s": -1}])
def test_a_config_that_cannot_be_read_by(config):
    with pytest.raises(ValueError, match="sensor_period_s is above 0 and idle_s 0 or more"):
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


QUICK = BenchConfig(source=FLIGHT, frames=12, warmup=2, threads=1, device="cpu", layers=False, idle_s=0.05)


@pytest.fixture(scope="module")
def on_orin(cache, tmp_path_factory):
    pytest.importorskip("onnxruntime")
    root = make_tree(str(tmp_path_factory.mktemp("orin")), "orin-nx", rails={"VDD_IN": (5000, 2000)})
    config = BenchConfig(
        source=FLIGHT, frames=60, warmup=2, threads=1, device="cpu", layers=False, idle_s=0.05, sensor_period_s=0.002
    )
    return bench(TINY, config=config, root=root)


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_a_board_s_power_clocks_and_heat_are_in_the_result(cache, tmp_path, board):
    pytest.importorskip("onnxruntime")
    total = next(iter(BOARDS[board].rails))
    value = bench(TINY, config=QUICK, root=make_tree(str(tmp_path), board, rails={total: (5000, 2000)})).to_json()
    assert value["power"]["mean_w"] == pytest.approx(10.0)
    assert value["power"]["j_per_frame"] == pytest.approx(10.0 / value["fps"], rel=1e-3)
    assert value["power"]["j_per_frame_above_idle"] == pytest.approx(0.0, abs=1e-6)
    assert value["clocks"]["gpu_mhz"]["min"] > 0 and value["clocks"]["memory_mhz"]["min"] > 0
    assert value["thermal"]["throttle"]["events"] == 0
    assert value["memory_mb"]["total"]["method"] == "pss + nvmap"
    assert value["machine"]["profile"] == board.split("-l4t")[0]
    assert value["machine"]["power_mode"]["name"] == BOARDS[board].default_mode
    assert value["warnings"] == []


def test_what_is_timed_is_said(alone):
    method = alone.to_json()["method"]
    assert method["clocks_locked"] is False
    assert [method[key] for key in ("data_transfers", "spin_wait", "cuda_graph")] == [None] * 3  # a processor


def test_two_in_turns_have_power_and_no_energy_each(cache, tmp_path):
    pytest.importorskip("onnxruntime")
    root = make_tree(str(tmp_path), "orin-nano", rails={"VDD_IN": (5000, 2000)})
    power = bench(TINY, vs=TINY, config=QUICK, root=root).to_json()["power"]
    assert power["mean_w"] == pytest.approx(10.0) and power["j_per_frame"] is None


def test_a_gate_on_power_that_cannot_be_checked_fails_before_the_run(tmp_path):
    root = make_tree(str(tmp_path), "jetson-nano", without=["power"])
    with pytest.raises(ConfigError, match="the gate on power cannot be checked: POM_5V_IN reads nothing"):
        bench(TINY, config=BenchConfig(source="none.mp4", need_power=True), root=root)


def test_clocks_are_locked_while_it_runs_and_given_back(cache, tmp_path):
    pytest.importorskip("onnxruntime")
    root = make_tree(str(tmp_path), "orin-nx", mode="25W")
    os.makedirs(root + "/run")
    lowest = gpu_devfreq("orin-nx") + "/min_freq"
    before = read(root, lowest)
    seen = []
    config = BenchConfig(source=FLIGHT, frames=4, warmup=0, threads=1, device="cpu", layers=False, idle_s=0,
                         lock_clocks=True)  # fmt: skip
    result = bench(TINY, config=config, progress=lambda *step: seen.append((step[2], read(root, lowest))), root=root)
    assert {value for text, value in seen if text == "measure"} == {"408000000"}
    assert read(root, lowest) == before
    method = result.to_json()["method"]
    assert method["clocks_locked"] is True and "gpu 408 MHz" in method["locked"]


def test_clocks_that_a_killed_run_left_are_given_back_first(cache, tmp_path):
    pytest.importorskip("onnxruntime")
    root = make_tree(str(tmp_path), "orin-nx")
    lowest = write(root, gpu_devfreq("orin-nx") + "/min_freq", 1173000000)
    record = '{{"pid": 4194305, "started": "1", "before": [["{}", "306000000"]]}}'.format(lowest)
    write(root, "/run/edgekit-clocks.json", record)
    bench(TINY, config=QUICK, root=root)
    assert read(root, gpu_devfreq("orin-nx") + "/min_freq") == "306000000"


def test_layers_that_the_library_does_not_tell():
    pytest.importorskip("onnxruntime")
    with pytest.raises(BackendError, match="does not say what its layers became"):
        bench(TINY, config=BenchConfig(source=FLIGHT, threads=1, device="cpu", layer_info=True))


def test_the_report_shows_power_and_clocks(on_orin):
    text = render(on_orin.to_json())
    for part in ("<h2>Power</h2>", "<h2>Clocks</h2>", "VDD_CPU_GPU_CV", "VDD_IN feeds the whole board: 10.00 W",
                 "GPU governor nvhost_podgov", "pss + nvmap", "nvpmodel says 40W"):  # fmt: skip
        assert part in text, part


def test_the_report_says_why_there_is_no_power(alone):
    text = render(alone.to_json())
    assert "<h2>Power</h2>" not in text
    assert "not known: no device profile fits this machine" in text


def test_a_result_of_an_older_edgekit_still_makes_a_report(alone):
    value = alone.to_json()
    for key in ("power", "clocks", "thermal", "warnings", "gpu"):
        del value[key]
    for key in ("clocks_mhz", "footprint_mb"):
        del value["samples"][key]
    del value["memory_mb"]["total"]
    for key in ("profile", "power_mode"):
        del value["machine"][key]
    for key in ("clocks_locked", "data_transfers", "spin_wait", "cuda_graph", "sampler"):
        del value["method"][key]
    assert "not known: not in this result" in render(value)


class GpuSession(FakeSession):
    """A network on a GPU: it knows the parts of a run, its memory and its layers."""

    cuda_graph = True
    device_memory_mb = 123.0

    def run(self, feeds):
        outputs = super().run(feeds)
        self.last_times = RunTimes(h2d_ms=0.5, compute_ms=4.0 + self.runs, d2h_ms=0.25, enqueue_ms=0.1)
        return outputs

    def layer_info(self):
        return [{"name": "conv1", "op": "CaskConvolution", "precision": "INT8"}]


def test_a_gpu_tells_the_parts_of_its_runs(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(
        importlib.import_module("edgekit.bench.bench"), "open_detector", lambda *_, **__: fake_detector(GpuSession())
    )
    config = BenchConfig(source=FLIGHT, frames=5, warmup=2, layers=False, layer_info=True, idle_s=0)
    root = make_tree(str(tmp_path), "orin-nx")
    result = bench(TINY, config=config, root=root)
    value = result.to_json()
    assert value["gpu"]["compute_ms"]["max"] == 11.0  # the seventh run; two were warm-up
    assert [value["method"][key] for key in ("data_transfers", "spin_wait", "cuda_graph")] == [True, False, True]
    assert value["memory_mb"]["device"] == 123.0
    assert [row["computeMs"] for row in result.trace()] == [7.0, 8.0, 9.0, 10.0, 11.0]
    assert {row["latencyMs"] - row["computeMs"] for row in result.trace()} == {0.75}
    assert result.lane.layer_info[0]["precision"] == "INT8"
    assert "nvmap lists none of this process" in value["warnings"][0]
    text = render(value)
    assert "network with its copies, as one CUDA graph, without spinning while it waits" in text
    assert "Doubtful: the memory lacks the GPU" in text
