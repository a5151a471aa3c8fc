"""Engines as sessions, on the fake TensorRT of each version and a fake GPU."""

import gc
import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from edgekit import builders
from edgekit.builders.here import Target
from edgekit.engine import read_engine
from edgekit.errors import BackendError
from edgekit.process import DecodeSpec, Preprocess
from edgekit.runtime.backends import trt as backend
from edgekit.runtime.detector import Detector, open_detector
from edgekit.runtime.session import SessionOptions, open_session
from edgekit.tensors import TensorSpec
from tests.nvidia.built import GRAPH, key_for, use_gpu, write_built
from tests.nvidia.fake_cuda import FakeCuda
from tests.nvidia.fake_gpu import FakeGpu

TINY = os.path.join(os.path.dirname(GRAPH), "tiny.ekb")
FREE = {"device": 0, "pinned": 0, "streams": 0, "events": 0, "graphs": 0}


class Place:
    """A fake TensorRT with its GPU and an engine that was built there."""

    def __init__(self, monkeypatch, module, folder, gpu=None, graphs=True):
        self.trt = module
        self.gpu = use_gpu(monkeypatch, module, gpu)
        self.cudas = []
        self.path = write_built(folder, self.gpu)
        self.here = key_for(self.gpu)
        self._graphs = graphs
        monkeypatch.setattr(backend, "open_cuda", self.open_cuda)

    def open_cuda(self, index):
        self.cudas.append(FakeCuda(self.gpu, graphs=self._graphs))
        return self.cudas[-1]

    def session(self, **options):
        return backend.open_engine_file(self.path, SessionOptions(**options), here=self.here)


@pytest.fixture
def place(trt, monkeypatch, tmp_path):
    return Place(monkeypatch, trt, tmp_path)


@pytest.fixture
def jetson(tensorrt, monkeypatch, tmp_path):
    return Place(monkeypatch, tensorrt("10.3.0"), tmp_path)


@pytest.fixture
def card(tensorrt, monkeypatch, tmp_path):
    return Place(monkeypatch, tensorrt("10.3.0"), tmp_path, FakeGpu("GeForce", 89, 24, 8188, integrated=False))


def images(value):
    return {"images": np.full((1, 3, 32, 32), value, np.float32)}


def test_tells_what_it_is(place):
    with place.session() as session:
        assert session.backend == "tensorrt {}".format(place.trt.__version__)
        assert session.inputs == (TensorSpec("images", (1, 3, 32, 32)),)
        assert session.outputs == (TensorSpec("output", (1, 21, 7)),)
        assert session.threads == 1
        assert session.device_memory_mb > 1.04


def test_runs_in_every_version(place):
    with place.session() as session:
        for value in range(5):  # two plain runs, then the graph
            (output,) = session.run(images(value))
            assert (output == value).all()
            assert session.cuda_graph == (value >= 2)


def test_runs_in_tensorrt_rtx(tensorrt, monkeypatch, tmp_path):
    with Place(monkeypatch, tensorrt("rtx-1.7.1"), tmp_path).session() as session:
        assert session.backend == "tensorrt_rtx 1.7.1"
        assert (session.run(images(3))[0] == 3).all()


def test_a_jetson_copies_nothing(jetson):
    with jetson.session() as session:
        session.run(images(1))
        assert not [one for one in jetson.gpu.trace if "load" in one]
        assert jetson.gpu.live["device"] == 0
        times = session.last_times
    assert (times.h2d_ms, times.d2h_ms) == (0.0, 0.0)
    assert times.compute_ms == pytest.approx(1.4)  # 14 layers of 0.1 ms
    assert times.enqueue_ms > 0


def test_a_card_copies_there_and_back(card):
    with card.session() as session:
        for value in range(4):
            assert (session.run(images(value))[0] == value).all()
        assert card.gpu.trace[-7:] == ["event", "upload 12288", "event", "graph", "event", "download 588", "event"]
        times = session.last_times
    assert (times.h2d_ms, times.d2h_ms) == (pytest.approx(0.05), pytest.approx(0.05))
    assert times.compute_ms == pytest.approx(1.4)


def test_a_graph_only_where_wanted_and_possible(jetson, monkeypatch):
    with jetson.session(cuda_graph=False) as session:
        for value in range(4):
            session.run(images(value))
        assert not session.cuda_graph
    jetson.gpu.refuse_capture = True
    with jetson.session() as session:
        for value in range(4):
            assert (session.run(images(value))[0] == value).all()
        assert not session.cuda_graph
    assert "graph" not in jetson.gpu.trace


def test_pycuda_has_no_graphs(tensorrt, monkeypatch, tmp_path):
    place = Place(monkeypatch, tensorrt("8.2.1.8"), tmp_path, graphs=False)
    with place.session() as session:
        for value in range(4):
            assert (session.run(images(value))[0] == value).all()
        assert not session.cuda_graph


def test_an_old_tegra_gives_cached_copies(tensorrt, monkeypatch, tmp_path):
    nano = FakeGpu("NVIDIA Tegra X1", 53, 1, 3964)
    with Place(monkeypatch, tensorrt("8.2.1.8", sm=53), tmp_path, nano).session() as session:
        (first,) = session.run(images(1))
        (second,) = session.run(images(2))
        assert first is second
        assert (second == 2).all()
        assert not any(np.shares_memory(second, one) for one in nano._host.values())


def test_outputs_are_the_sessions_own_memory(jetson):
    with jetson.session() as session:
        (first,) = session.run(images(1))
        session.run(images(2))
        assert (first == 2).all()  # as the docstring of `Session.run` says
        assert any(np.shares_memory(first, one) for one in jetson.gpu._host.values())


def test_an_input_that_was_filled_in_place_is_not_copied(jetson):
    with jetson.session() as session:
        own = session.input_array("images")
        own[...] = 6
        own.setflags(write=False)  # a real copy would fail
        assert (session.run({"images": own})[0] == 6).all()
        assert session.input_array("nothing") is None


def test_a_detector_letterboxes_into_the_sessions_memory(jetson):
    detector = Detector(jetson.session(), ("a", "b"), Preprocess(32, 32), DecodeSpec("yolox", 2))
    own = detector.session.input_array("images")
    detector(np.full((16, 16, 3), 9, np.uint8))
    assert (own == 9).any()
    detector.close()
    own[...] = 5
    with pytest.raises(BackendError, match="was closed"):
        detector(np.zeros((16, 16, 3), np.uint8))
    assert (own == 5).all()  # nothing is written where the session's memory was


def test_wrong_feeds_are_one_line(jetson):
    with jetson.session() as session:
        with pytest.raises(
            BackendError, match=r"tiny.engine failed in tensorrt 10.3.0: images takes float32 \(1, 3, 32"
        ):
            session.run({"images": np.zeros((1, 3, 8, 8), np.float32)})
        with pytest.raises(BackendError, match="images takes float32.*got uint8"):
            session.run({"images": np.zeros((1, 3, 32, 32), np.uint8)})
        with pytest.raises(BackendError, match="images is missing"):
            session.run({})


def test_a_failure_on_the_gpu_is_said(jetson):
    with jetson.session() as session:
        jetson.gpu.fail = "ILLEGAL_ADDRESS"
        with pytest.raises(BackendError, match="ILLEGAL_ADDRESS"):
            session.run(images(1))


def test_times_of_layers(place):
    with place.session(profile=True) as session:
        for _ in range(4):
            session.run(images(1))
        assert not session.cuda_graph  # a graph has no layers
        layers = session.layer_times()
        with pytest.raises(BackendError, match="profile=True"):
            session.layer_times()
    assert [one.total_ms for one in layers] == sorted((one.total_ms for one in layers), reverse=True)
    assert {one.calls for one in layers} == {4}
    conv = next(one for one in layers if one.name == "conv8")
    assert (conv.op, conv.median_ms) == ("Convolution", pytest.approx(conv.total_ms / 4))


def test_layer_times_need_the_profile(jetson):
    with jetson.session() as session, pytest.raises(BackendError, match="tensorrt 10.3.0 records no layer times"):
        session.layer_times()


def test_what_the_layers_became(place):
    with place.session() as session:
        info = session.layer_info()
    assert {"name", "op", "precision", "inputs", "outputs", "tactic", "origin"} == set(info[0])
    assert "conv8" in [one["name"] for one in info]


def test_closing_leaves_nothing(place):
    session = place.session()
    for value in range(4):
        session.run(images(value))
    assert place.gpu.live != FREE
    session.close()
    session.close()
    assert place.gpu.live == FREE
    assert place.cudas[0].closed
    gc.collect()
    assert place.trt.fake.alive == {"engine": 0, "context": 0}


def test_tensorrt_goes_before_cuda(jetson, monkeypatch):
    session = jetson.session()
    alive = []
    cuda = jetson.cudas[0]
    monkeypatch.setattr(cuda, "close", lambda: alive.append(dict(jetson.trt.fake.alive)))
    session.close()
    assert alive == [{"engine": 0, "context": 0}]


def test_a_run_that_was_interrupted_is_waited_for(jetson):
    session = jetson.session()
    session.run(images(1))
    session._enqueue()  # as Ctrl-C between queueing and waiting leaves it
    ran = []
    jetson.gpu.queue(session._stream, lambda: ran.append(jetson.trt.fake.alive["engine"]), 0.0, "probe")
    session.close()
    assert ran == [1]  # the engine was still there


def test_closing_after_a_failure_still_frees(jetson):
    session = jetson.session()
    jetson.gpu.fail = "ILLEGAL_ADDRESS"
    session.close()
    assert jetson.gpu.live == FREE


def test_a_closed_session_does_not_run(jetson):
    session = jetson.session()
    session.close()
    with pytest.raises(BackendError, match="tiny.engine was closed; open it again"):
        session.run(images(1))


def test_another_thread_is_refused(jetson):
    said = []
    with jetson.session() as session:

        def other():
            for call in (lambda: session.run(images(1)), session.close):
                try:
                    call()
                except BackendError as error:
                    said.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert (session.run(images(4))[0] == 4).all()
    assert len(said) == 2
    assert all("open and run the detector in one thread" in text for text in said)


def test_a_thousand_runs_allocate_nothing(jetson):
    feeds = images(1)
    with jetson.session() as session:
        for _ in range(4):
            session.run(feeds)
        before = jetson.gpu.allocations, jetson.gpu.live, len(session._engine._messages)
        for _ in range(1000):
            session.run(feeds)
        assert (jetson.gpu.allocations, jetson.gpu.live, len(session._engine._messages)) == before


def test_an_engine_of_another_machine_names_all_that_differs(jetson):
    jetson.here = replace(jetson.here, tensorrt="10.7.0", sm_count=4, power_mode="10W")
    with pytest.raises(BackendError) as caught:
        jetson.session()
    assert str(caught.value) == (
        "tiny.engine was built for Orin (sm_87): TensorRT 10.3.0, here 10.7.0; multiprocessors 8, here 4; "
        "power mode none, here 10W; build it again: edgekit build BUNDLE"
    )
    assert jetson.cudas[0].closed
    assert "runtime.deserialize_cuda_engine()" not in jetson.trt.fake.trace


def test_the_machine_is_asked_where_no_key_is_given(jetson, monkeypatch):
    monkeypatch.setattr(backend, "target_here", lambda device: Target(device, None, "MAXN", True))
    with pytest.raises(BackendError, match="tiny.engine was built for Orin .*: power mode none, here MAXN; build it"):
        open_session(jetson.path)
    monkeypatch.setattr(backend, "target_here", lambda device: Target(device, None, "", True))
    with open_session(jetson.path) as session:
        assert (session.run(images(2))[0] == 2).all()


def test_the_gpu_that_was_asked_for(jetson, monkeypatch):
    opened = []
    monkeypatch.setattr(backend, "open_cuda", lambda index: opened.append(index) or jetson.open_cuda(index))
    jetson.session(gpu=1).close()
    assert opened == [1]


def test_a_detector_opens_the_gpu_that_its_device_names(jetson, monkeypatch):
    opened, asked = [], []
    monkeypatch.setattr(backend, "open_cuda", lambda index: opened.append(index) or jetson.open_cuda(index))
    monkeypatch.setattr(backend, "target_here", lambda device: Target(device, None, "", True))
    built = read_engine(jetson.path)
    monkeypatch.setattr(builders, "engine_to_fly", lambda bundle, options, index: asked.append(index) or built)
    open_detector(TINY, device="gpu:1").close()
    assert (asked, opened) == ([1], [1])


def test_an_engine_without_its_record(jetson, tmp_path):
    (tmp_path / "tiny.engine.json").unlink()
    with pytest.raises(BackendError, match="tiny.engine has no record of what it was built with"):
        jetson.session()


def test_a_damaged_engine(jetson, tmp_path):
    (tmp_path / "tiny.engine").write_bytes(b"cut off")
    with pytest.raises(BackendError, match="not the engine that its record describes; build it again"):
        jetson.session()


def test_too_little_memory_leaves_nothing(card):
    card.gpu.memory_mib = 0
    with pytest.raises(BackendError, match="no 12288 bytes left"):
        card.session()
    assert card.gpu.live == FREE
    assert card.trt.fake.alive == {"engine": 0, "context": 0}


def test_a_session_left_open_is_closed_at_exit(jetson, monkeypatch):
    at_exit = []
    monkeypatch.setattr(backend.atexit, "register", at_exit.append)
    monkeypatch.setattr(backend.atexit, "unregister", at_exit.remove)
    jetson.session()
    assert len(at_exit) == 1
    at_exit[0]()
    assert at_exit == []
    assert jetson.gpu.live == FREE
