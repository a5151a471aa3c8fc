import os
import shutil

import numpy as np
import pytest

from edgekit.errors import BackendError
from edgekit.runtime import session as session_module
from edgekit.runtime.session import SessionOptions, open_session
from edgekit.tensors import TensorSpec

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden")
TINY = os.path.join(GOLDEN, "tiny_yolox.onnx")


@pytest.fixture(autouse=True)
def needs_onnxruntime():
    pytest.importorskip("onnxruntime")


@pytest.fixture
def feeds():
    return {"images": np.full((1, 3, 32, 32), 240, np.float32)}


def test_names_inputs_outputs_and_backend():
    with open_session(TINY, threads=1) as session:
        assert session.inputs == (TensorSpec("images", (1, 3, 32, 32), "float32"),)
        assert session.outputs == (TensorSpec("output", (1, 21, 7), "float32"),)
        assert session.backend.startswith("onnxruntime 1.")
        assert session.threads == 1


def test_runs(feeds):
    with open_session(TINY, threads=1) as session:
        (output,) = session.run(feeds)
    assert output.shape == (1, 21, 7)
    np.testing.assert_allclose(output[0, :, 4], 1 / (1 + np.exp(-(240 / 8 - 25))), rtol=1e-5)


def test_optimised_and_plain_graph_agree(feeds):
    with open_session(TINY) as fast, open_session(TINY, optimize=False) as plain:
        np.testing.assert_allclose(fast.run(feeds)[0], plain.run(feeds)[0], rtol=1e-5, atol=1e-6)


def test_keeps_the_optimised_graph(tmp_path, feeds):
    copy = str(tmp_path / "model.onnx")
    shutil.copy(TINY, copy)
    with open_session(copy, keep_optimized=True) as session:
        first = session.run(feeds)[0].copy()
    (kept,) = [name for name in os.listdir(str(tmp_path)) if name != "model.onnx"]
    assert kept.startswith("model.onnx.")
    assert kept.endswith(".optimized")
    with open_session(copy, keep_optimized=True) as session:
        np.testing.assert_array_equal(session.run(feeds)[0], first)
    assert len(os.listdir(str(tmp_path))) == 2


def test_a_damaged_kept_graph_is_made_again(tmp_path, feeds):
    copy = str(tmp_path / "model.onnx")
    shutil.copy(TINY, copy)
    open_session(copy, keep_optimized=True).close()
    (kept,) = [name for name in os.listdir(str(tmp_path)) if name != "model.onnx"]
    (tmp_path / kept).write_bytes(b"cut off")
    with open_session(copy, keep_optimized=True) as session:
        assert session.run(feeds)[0].shape == (1, 21, 7)


def test_runs_where_nothing_can_be_kept(tmp_path, feeds, monkeypatch):
    ort = pytest.importorskip("edgekit.runtime.backends.ort")
    monkeypatch.setattr(ort, "_optimized_path", lambda artifact, tables: str(tmp_path / "no" / "folder" / "kept"))
    with open_session(TINY, keep_optimized=True) as session:
        assert session.run(feeds)[0].shape == (1, 21, 7)


def test_reports_the_time_of_layers(feeds):
    with open_session(TINY, threads=1, profile=True) as session:
        session.run(feeds)
        session.run(feeds)
        layers = session.layer_times()
    assert {"Conv", "Concat"} <= {layer.op for layer in layers}
    assert all(layer.calls == 2 for layer in layers)
    assert [layer.total_ms for layer in layers] == sorted((layer.total_ms for layer in layers), reverse=True)


def test_layer_times_need_the_profile():
    with open_session(TINY) as session, pytest.raises(BackendError, match="profile=True"):
        session.layer_times()


def test_signed_activations_are_refused_on_x86(monkeypatch):
    ort = pytest.importorskip("edgekit.runtime.backends.ort")
    signed = os.path.join(GOLDEN, "tiny_signed.onnx")
    monkeypatch.setattr(ort, "is_x86", lambda: True)
    with pytest.raises(BackendError, match="quantises 'images' to signed int8.*ort-x86"):
        open_session(signed)
    monkeypatch.setattr(ort, "is_x86", lambda: False)
    open_session(signed).close()


def test_bad_feeds_are_one_line():
    with open_session(TINY) as session, pytest.raises(BackendError, match="failed in onnxruntime") as caught:
        session.run({"images": np.zeros((1, 3, 8, 8), np.float32)})
    assert "\n" not in str(caught.value)


def test_not_an_onnx_file(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"this is no graph")
    with pytest.raises(BackendError, match="cannot load .*broken.onnx"):
        open_session(path)


def test_missing_file():
    with pytest.raises(BackendError, match="no such file"):
        open_session("/nowhere/x.onnx")


def test_unknown_suffix(tmp_path):
    with pytest.raises(BackendError, match=r"no backend for '.pt', known are .onnx"):
        open_session(tmp_path / "x.pt")


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(session_module._BACKENDS, ".onnx", ("no_such_library_here", "open_onnx", "ort"))
    with pytest.raises(BackendError, match=r"pip install 'edgekit\[ort\]'"):
        open_session(TINY)


def test_unknown_provider_names_the_choices():
    with pytest.raises(BackendError, match="no provider 'rocm', known are cpu, cuda, tensorrt"):
        open_session(TINY, provider="rocm")


def test_threads_are_at_least_one():
    with pytest.raises(BackendError, match="at least 1, got 0"):
        SessionOptions(threads=0)
