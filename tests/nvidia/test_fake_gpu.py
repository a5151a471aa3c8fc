"""The fake GPU and the fakes of CUDA's bindings over it."""

import threading

import numpy as np
import pytest

from edgekit.errors import BackendError
from tests.nvidia.fake_cuda import FakeCuda
from tests.nvidia.fake_cuda_python import make_cuda_python
from tests.nvidia.fake_gpu import FakeGpu, GpuError
from tests.nvidia.fake_pycuda import make_pycuda


def test_work_runs_when_waited_for_and_not_before():
    gpu = FakeGpu()
    stream, address = gpu.new_stream(), gpu.allocate(12)
    source, back = np.arange(3, dtype=np.float32), np.zeros(3, np.float32)
    gpu.upload(address, source, stream)
    gpu.download(back, address, stream)
    assert not back.any()
    gpu.synchronize(stream)
    assert back.tolist() == [0, 1, 2]


def test_an_address_past_the_memory_is_an_error():
    gpu = FakeGpu()
    address = gpu.allocate(8)
    assert gpu.view(address + 4, 4).nbytes == 4
    with pytest.raises(GpuError, match="ILLEGAL_ADDRESS"):
        gpu.view(address + 4, 5)
    gpu.free(address)
    with pytest.raises(GpuError, match="ILLEGAL_ADDRESS"):
        gpu.view(address, 1)


def test_memory_runs_out():
    gpu = FakeGpu(memory_mib=1)
    gpu.allocate(1 << 19)
    with pytest.raises(GpuError, match="OUT_OF_MEMORY"):
        gpu.allocate((1 << 19) + 1)


def test_mapped_memory_is_the_same_bytes():
    gpu = FakeGpu()
    host = gpu.allocate_host(4)
    device = gpu.map_host(host)
    gpu.host_array(host)[:] = 7
    assert gpu.view(device, 4).tolist() == [7, 7, 7, 7]
    assert gpu.map_host(host) == device
    gpu.free_host(host)
    assert gpu.live == {"device": 0, "pinned": 0, "streams": 0, "events": 0, "graphs": 0}


def test_events_keep_the_length_of_what_ran_between():
    gpu = FakeGpu()
    stream, start, end = gpu.new_stream(), gpu.new_event(), gpu.new_event()
    gpu.record(start, stream)
    gpu.queue(stream, lambda: None, 2.5, "work")
    gpu.record(end, stream)
    with pytest.raises(GpuError, match="NOT_READY"):
        gpu.elapsed_ms(start, end)
    gpu.wait_event(end)
    assert gpu.elapsed_ms(start, end) == pytest.approx(2.5)


def test_a_captured_graph_runs_each_time_it_is_launched():
    gpu = FakeGpu()
    stream, runs = gpu.new_stream(), []
    gpu.begin_capture(stream)
    gpu.queue(stream, lambda: runs.append(1), 1.0, "work")
    with pytest.raises(GpuError, match="CAPTURE"):
        gpu.synchronize(stream)
    graph = gpu.end_capture(stream)
    assert runs == []
    gpu.launch(graph, stream)
    gpu.launch(graph, stream)
    gpu.synchronize(stream)
    assert runs == [1, 1]


def test_fake_door_frees_everything():
    cuda = FakeCuda()
    stream = cuda.stream()
    pinned = cuda.pinned((2, 3), "float32")
    address = cuda.allocate(24)
    cuda.event()
    assert cuda.capture(stream, lambda: cuda.upload(address, pinned.array, stream)) is not None
    assert pinned.array.shape == (2, 3)
    assert pinned.device_pointer is not None
    cuda.close()
    cuda.close()
    assert not any(cuda.gpu.live.values())


def test_fake_door_belongs_to_its_thread():
    cuda, caught = FakeCuda(), []

    def other():
        try:
            cuda.allocate(4)
        except BackendError as error:
            caught.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert "another thread" in caught[0]


def test_fake_door_says_why_a_wait_failed():
    cuda = FakeCuda()
    cuda.gpu.fail = "ILLEGAL_ADDRESS"
    with pytest.raises(BackendError, match="ILLEGAL_ADDRESS"):
        cuda.synchronize(cuda.stream())


def test_pycuda_needs_a_current_context():
    gpu = FakeGpu()
    driver = make_pycuda(gpu)["pycuda.driver"]
    with pytest.raises(driver.LogicError, match="initialization"):
        driver.Device(0)
    driver.init()
    context = driver.Device(0).retain_primary_context()
    with pytest.raises(driver.LogicError, match="no currently active context"):
        driver.mem_alloc(4)
    context.push()
    memory, stream = driver.mem_alloc(12), driver.Stream()
    array = driver.pagelocked_empty((3,), np.float32, mem_flags=driver.host_alloc_flags.DEVICEMAP)
    back = driver.pagelocked_empty((3,), np.float32)
    array[:] = [1, 2, 3]
    driver.memcpy_htod_async(memory, array, stream)
    driver.memcpy_dtoh_async(back, memory, stream)
    stream.synchronize()
    assert back.tolist() == [1, 2, 3]
    assert gpu.view(array.base.get_device_pointer(), 12).view(np.float32).tolist() == [1, 2, 3]
    with pytest.raises(driver.LogicError, match="invalid argument"):
        back.base.get_device_pointer()
    del memory, stream, array, back
    assert not any(gpu.live.values())


def test_pycuda_runs_out_of_memory_in_its_own_words():
    driver = make_pycuda(FakeGpu(memory_mib=1))["pycuda.driver"]
    driver.init()
    driver.Device(0).retain_primary_context().push()
    with pytest.raises(driver.MemoryError, match="out of memory"):
        driver.mem_alloc(2 << 20)


def test_cuda_python_gives_status_and_value():
    gpu = FakeGpu()
    driver = make_cuda_python(gpu)["cuda.bindings.driver"]
    assert driver.cuMemAlloc(4)[0] == driver.CUresult.CUDA_ERROR_INVALID_CONTEXT
    driver.cuCtxSetCurrent(driver.cuDevicePrimaryCtxRetain(driver.cuDeviceGet(0)[1])[1])
    status, memory = driver.cuMemAlloc(12)
    assert status == driver.CUresult.CUDA_SUCCESS
    stream = driver.cuStreamCreate(1)[1]
    host = driver.cuMemHostAlloc(12, driver.CU_MEMHOSTALLOC_DEVICEMAP)[1]
    gpu.host_array(host).view(np.float32)[:] = [4, 5, 6]
    assert driver.cuMemcpyHtoDAsync(memory, host, 12, stream) == (driver.CUresult.CUDA_SUCCESS,)
    driver.cuStreamSynchronize(stream)
    assert gpu.view(int(memory), 12).view(np.float32).tolist() == [4, 5, 6]
    assert driver.cuMemFree(1234)[0] == driver.CUresult.CUDA_ERROR_INVALID_VALUE
    assert driver.cuGetErrorName(driver.CUresult.CUDA_ERROR_NOT_READY)[1] == b"CUDA_ERROR_NOT_READY"


@pytest.mark.parametrize(("version", "arguments"), [("11.8.0", 3), ("12.6.0", 2), ("13.0.1", 2)])
def test_cuda_python_changed_how_a_graph_is_made(version, arguments):
    gpu = FakeGpu()
    modules = make_cuda_python(gpu, version, old=version.startswith("11"))
    driver = modules.get("cuda.bindings.driver") or modules["cuda.cuda"]
    driver.cuCtxSetCurrent(1)
    stream = driver.cuStreamCreate(0)[1]
    driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED)
    graph = driver.cuStreamEndCapture(stream)[1]
    done = driver.cuGraphInstantiate(*[graph, 0, 0][:arguments])
    assert done[0] == driver.CUresult.CUDA_SUCCESS
    assert driver.cuGraphLaunch(done[1], stream)[0] == driver.CUresult.CUDA_SUCCESS
