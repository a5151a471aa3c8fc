"""Both doors to CUDA on a fake GPU: the same calls, the same errors."""

import sys
import threading
from importlib import import_module

import numpy as np
import pytest

from edgekit.errors import BackendError
from edgekit.nvidia import cuda as cuda_module
from edgekit.nvidia.cuda import open_cuda
from tests.nvidia.fake_cuda_python import make_cuda_python
from tests.nvidia.fake_gpu import FakeGpu
from tests.nvidia.fake_pycuda import make_pycuda

BINDINGS = ("cuda-python 13.0.1", "cuda-python 12.6.0", "cuda-python 11.8.0", "pycuda 2022.1")
DOORS = ("edgekit.nvidia.cuda_python", "edgekit.nvidia.cuda_pycuda")
NONE_LEFT = {"device": 0, "pinned": 0, "streams": 0, "events": 0, "graphs": 0}


def install(monkeypatch, gpu, library, version):
    """Make the fake binding the only one that can be imported, and a driver that works."""
    for name in ("cuda", "cuda.cuda", "cuda.bindings", "cuda.bindings.driver", "pycuda", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in DOORS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    if library == "pycuda":
        modules = make_pycuda(gpu, version)
    else:
        modules = make_cuda_python(gpu, version, old=version.startswith("11"))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    if "cuda.bindings.driver" in modules:  # the real ones of 12 and 13 have only the plain name, with the flags
        monkeypatch.delattr(modules["cuda.bindings.driver"], "cuGraphInstantiateWithFlags", raising=False)
    monkeypatch.setattr(cuda_module, "driver_problem", lambda: None)


@pytest.fixture(params=[True, False], ids=["integrated", "discrete"])
def gpu(request):
    return FakeGpu(integrated=request.param, memory_mib=64)


@pytest.fixture(params=BINDINGS)
def binding(request, monkeypatch, gpu):
    install(monkeypatch, gpu, *request.param.split())
    return request.param


@pytest.fixture
def door(binding):
    opened = open_cuda()
    yield opened
    opened.close()


def test_describes_binding_and_device(binding, door, gpu):
    assert door.library == binding
    assert (door.device.name, door.device.sm, door.device.sm_count) == ("Orin", 87, 8)
    assert door.device.memory_mib == 64
    assert door.device.integrated is gpu.integrated
    assert door.device.driver == "12.6"


def test_copies_there_and_back(door, gpu):
    there, back = door.pinned((2, 3), "float32").array, door.pinned((2, 3), "float32").array
    pointer, stream = door.allocate(there.nbytes), door.stream()
    assert not there.any()
    there[...] = np.arange(6).reshape(2, 3)
    door.upload(pointer, there, stream)
    door.download(back, pointer, stream)
    assert not back.any()  # it has not run yet
    door.synchronize(stream)
    np.testing.assert_array_equal(back, there)
    assert isinstance(door.handle(stream), int)


def test_pinned_memory_is_mapped_where_the_gpu_shares_it(door, gpu):
    pinned = door.pinned((4,), "uint8")
    if not gpu.integrated:
        assert pinned.device_pointer is None
        return
    pinned.array[:] = [1, 2, 3, 4]
    assert gpu.view(pinned.device_pointer, 4).tolist() == [1, 2, 3, 4]


def test_pinned_memory_has_any_type(door):
    pinned = door.pinned((3, 5), "float16")
    assert (pinned.array.shape, pinned.array.dtype) == ((3, 5), np.float16)


def test_times_between_events(door):
    stream, begin, end = door.stream(), door.event(), door.event()
    array = door.pinned((8,), "float32").array
    pointer = door.allocate(array.nbytes)
    door.record(begin, stream)
    door.upload(pointer, array, stream)
    door.record(end, stream)
    door.synchronize(stream)
    assert door.elapsed_ms(begin, end) == pytest.approx(0.05)


def test_tells_memory(door):
    before = door.memory_mb()
    door.allocate(1 << 20)
    after = door.memory_mb()
    assert before[1] == after[1] == pytest.approx(64 * 1.048576)
    assert before[0] - after[0] == pytest.approx(1.048576)


def test_a_graph_repeats_what_was_captured(binding, door):
    array, back = door.pinned((2,), "int32").array, door.pinned((2,), "int32").array
    pointer, stream = door.allocate(array.nbytes), door.stream()

    def work():
        door.upload(pointer, array, stream)
        door.download(back, pointer, stream)

    graph = door.capture(stream, work)
    if binding.startswith("pycuda"):
        assert graph is None
        return
    for value in (3, 4):
        array[:] = value
        door.launch(graph, stream)
        door.synchronize(stream)
        assert back.tolist() == [value, value]


def test_no_graph_where_cuda_refuses(door, gpu):
    gpu.refuse_capture = True
    assert door.capture(door.stream(), lambda: None) is None


def test_a_failed_capture_leaves_the_stream_usable(door, gpu):
    array = door.pinned((2,), "int32").array
    pointer, stream = door.allocate(array.nbytes), door.stream()

    def work():
        raise BackendError("the network cannot be captured")

    assert door.capture(stream, work) is None
    array[:] = 5
    door.upload(pointer, array, stream)
    door.synchronize(stream)
    assert gpu.view(pointer, 8).view(np.int32).tolist() == [5, 5]
    assert gpu.live["graphs"] == 0


def test_out_of_memory_says_what_to_do(door):
    with pytest.raises(BackendError, match="(?i)out.of.memory; close other programs on the GPU") as caught:
        door.allocate(65 << 20)
    assert "\n" not in str(caught.value)


def test_a_failure_on_the_gpu_shows_at_the_wait(door, gpu):
    stream = door.stream()
    gpu.fail = "ILLEGAL_ADDRESS"
    with pytest.raises(BackendError, match="(?i)CUDA: .*illegal.address"):
        door.synchronize(stream)


def test_close_frees_everything_and_may_be_called_twice(door, gpu):
    stream = door.stream()
    door.event()
    pinned = door.pinned((4,), "float32")
    door.capture(stream, lambda: door.upload(door.allocate(16), pinned.array, stream))
    assert gpu.live != NONE_LEFT
    door.close()
    door.close()
    assert gpu.live == NONE_LEFT


def test_two_doors_one_after_another(binding, gpu):
    for _ in range(2):
        door = open_cuda()
        door.allocate(4)
        door.close()
    assert gpu.live == NONE_LEFT


def test_another_thread_is_refused(door):
    stream, event = door.stream(), door.event()
    array = door.pinned((1,), "float32").array
    calls = [
        lambda: door.allocate(4),
        lambda: door.pinned((1,), "float32"),
        door.stream,
        lambda: door.upload(1, array, stream),
        lambda: door.download(array, 1, stream),
        door.event,
        lambda: door.record(event, stream),
        lambda: door.elapsed_ms(event, event),
        lambda: door.synchronize(stream),
        door.memory_mb,
        door.close,
    ]
    said = []

    def other():
        for call in calls:
            try:
                call()
            except BackendError as error:
                said.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(said) == len(calls)
    assert all("another thread" in text for text in said)


def test_no_such_gpu(binding):
    with pytest.raises(BackendError, match="there is no GPU 2, CUDA finds 1"):
        open_cuda(2)


def test_cuda_python_comes_first(monkeypatch):
    gpu = FakeGpu()
    install(monkeypatch, gpu, "cuda-python", "13.0.1")
    for name, module in make_pycuda(gpu).items():
        monkeypatch.setitem(sys.modules, name, module)
    door = open_cuda()
    assert door.library.startswith("cuda-python")
    door.close()


def test_a_binding_that_does_not_open_the_gpu_leaves_it_to_the_other(monkeypatch):
    gpu = FakeGpu(memory_mib=64)
    install(monkeypatch, gpu, "cuda-python", "13.0.1")
    for name, module in make_pycuda(gpu, "2026.1").items():
        monkeypatch.setitem(sys.modules, name, module)

    def refuse(index):
        raise BackendError("cuInit gives CUDA_ERROR_SYSTEM_DRIVER_MISMATCH")

    monkeypatch.setattr(import_module("edgekit.nvidia.cuda_python"), "open_device", refuse)
    opened = open_cuda()
    assert opened.library == "pycuda 2026.1"
    opened.close()
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.delitem(sys.modules, "edgekit.nvidia.cuda_pycuda")
    with pytest.raises(BackendError, match="DRIVER_MISMATCH"):
        open_cuda()


def test_without_a_binding_both_are_named(monkeypatch):
    install(monkeypatch, FakeGpu(), "pycuda", "2022.1")
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(BackendError, match="no Python binding.*pip install cuda-python, or pip install pycuda"):
        open_cuda()


def test_without_a_driver_no_binding_is_imported(monkeypatch):
    install(monkeypatch, FakeGpu(), "pycuda", "2022.1")
    monkeypatch.setattr(cuda_module, "driver_problem", lambda: "there is no NVIDIA driver")
    with pytest.raises(BackendError, match="cannot use the GPU: there is no NVIDIA driver; run with --device cpu"):
        open_cuda()
    assert "edgekit.nvidia.cuda_pycuda" not in sys.modules


def test_a_pycuda_that_does_not_load_says_so(monkeypatch, tmp_path):
    install(monkeypatch, FakeGpu(), "pycuda", "2022.1")
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda" / "__init__.py").write_text("")
    (tmp_path / "pycuda" / "driver.py").write_text("raise ImportError('libcurand.so.10: cannot open shared object')")
    monkeypatch.delitem(sys.modules, "pycuda")
    monkeypatch.delitem(sys.modules, "pycuda.driver")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BackendError, match=r"PyCUDA is installed and does not import here \(libcurand"):
        import_module("edgekit.nvidia.cuda_pycuda")
    monkeypatch.setitem(sys.modules, "pycuda", None)


def test_pycuda_gives_the_primary_context_back(monkeypatch):
    install(monkeypatch, FakeGpu(), "pycuda", "2022.1")
    door = open_cuda()
    context = door._context
    door.close()
    assert context.detached
