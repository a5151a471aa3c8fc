import pytest

from edgekit.errors import DataError
from edgekit.runtime.failures import FAILURES, explain, failure_of

# A line as a log has it -> words of the cause
SAMPLES = [
    # networks
    (
        "In node 0 with name: images_QuantizeLinear and operator: QuantizeLinear (QuantDequantLinearHelper): "
        "INVALID_NODE: "
        "Assertion failed: shiftIsAllZeros(zeroPoint): Non-zero zero point is not supported.",
        "quantised with zero points",
    ),
    (
        '[E] [TRT] [8] Assertion failed: shiftIsAllZeros(zeroPoint) && "TRT only supports symmetric quantization - '
        'zeroPt must be all zeros"',
        "quantised with zero points",
    ),
    (
        "[E] h3.bias_DequantizeLinear: input has type Int32 but must have type FP8, FP4, Int4, Int8, or UInt8",
        "a bias is quantised",
    ),
    (
        "[W] [TRT] Missing scale and zero-point for tensor images, expect fall back to non-int8 implementation for any "
        "layer consuming or producing given tensor",
        "implicit int8",
    ),
    (
        "[E] 4: [standardEngineBuilder.cpp] Calibration failure occurred with no scaling factors detected.",
        "implicit int8",
    ),
    (
        "[E] ModelImporter.cpp:773: No importer registered for op: GridSample. Attempting to import as plugin.",
        "operator",
    ),
    ("[E] 3: getPluginCreator could not find plugin: EfficientNMS_TRT version: 1", "operator"),
    ("[E] Cannot deserialize plugin since corresponding IPluginCreator not found in Plugin Registry", "operator"),
    ("Assertion failed: creator: Plugin not found, are the plugin name, version, and namespace correct?", "operator"),
    ("ERROR: [TRT]: onnx2trt_utils.cpp:107: Unsupported ONNX data type: UINT8 (2)", "8.2 takes no uint8"),
    (
        "[W] [TRT] onnx2trt_utils.cpp:366: Your ONNX model has been generated with INT64 weights, while "
        "TensorRT does not "
        "natively support INT64. Attempting to cast down to INT32.",
        "harmless: shapes",
    ),
    (
        "onnxruntime.capi.onnxruntime_pybind11_state.Fail: [ONNXRuntimeError] : 1 : FAIL : Load model from "
        "m.onnx failed: "
        "Unsupported model IR version: 10, max supported IR version: 8",
        "newer than the ONNX Runtime",
    ),
    (
        "[ONNXRuntimeError] : 1 : FAIL : Load model failed:Unknown model file format version.",
        "newer than the ONNX Runtime",
    ),
    (
        "ONNX Runtime only *guarantees* support for models stamped with official released onnx opset "
        "versions. Opset 22 is "
        "under development and support for this is limited.",
        "opset is newer",
    ),
    ("Current official support for domain ai.onnx is till opset 15.", "opset is newer"),
    (
        "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for ConvInteger(10) "
        "node with name ''",
        "ONNX Runtime has no kernel",
    ),
    (
        "onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph: [ONNXRuntimeError] : 10 : INVALID_GRAPH : "
        "Load model "
        "from m.onnx failed:This is an invalid model. Error: Duplicate definition of name (x).",
        "breaks the format's rules",
    ),
    (
        "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from m.onnx failed:Protobuf parsing failed.",
        "breaks the",
    ),
    (
        "[W] [TRT]  - 2 weights are affected by this issue: Detected finite FP32 values which would overflow "
        "in FP16 and "
        "converted them to the closest finite FP16 value.",
        "beyond what FP16 holds",
    ),
    ("[W] [TRT]  - 41 weights are affected by this issue: Detected subnormal FP16 values.", "too small for FP16"),
    ("[W] Running layernorm after self-attention in FP16 may cause overflow.", "normalisation of transformers"),
    # engines
    ("[W] [TRT] Detected invalid timing cache, setup a local cache instead", "timing cache comes from another"),
    ("[E] 4: The timing cache will not be used!", "timing cache comes from another"),
    (
        "2: [caskBuilderUtils.cpp::getCaskHandle::408] Error Code 2: Internal Error (Assertion !isGroupConv "
        "|| (find...",
        "timing cache comes from another",
    ),
    (
        "[E] [TRT] 6: The engine plan file is generated on an incompatible device, expecting compute 5.3 got "
        "compute 7.5, "
        "please rebuild.",
        "another GPU",
    ),
    (
        "[W] Using an engine plan file across different models of devices is not recommended and is likely to affect "
        "performance or even cause errors.",
        "another model of device",
    ),
    (
        "[E] 6: The engine plan file is not compatible with this version of TensorRT, expecting library "
        "version 8.2.1 got "
        "8.2.3, please rebuild.",
        "another version of TensorRT",
    ),
    (
        "[E] IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion stdVersionRead == "
        "kSERIALIZATION_VERSION failed.Version tag does not match. Note: Current Version: 237, Serialized "
        "Engine Version: 239)",
        "another version of TensorRT",
    ),
    (
        "[E] 1: [stdArchiveReader.cpp::StdArchiveReader::35] Error Code 1: Serialization (Serialization assertion "
        "stdVersionRead == serializationVersion failed.)",
        "another version of TensorRT",
    ),
    (
        "1: [stdArchiveReader.cpp::StdArchiveReaderInitCommon::36] Error Code 1: Serialization "
        "(Serialization assertion "
        "magicTagRead == kMAGIC_TAG failed.Magic tag does not match)",
        "no engine",
    ),
    (
        "[E] Error Code 9: API Usage Error (Target GPU SM 87 is not supported by this TensorRT release.)",
        "no code for this GPU",
    ),
    (
        "[E] 9: [builder] Networks with QuantizeLayer/DequantizeLayer layers require hardware with Int8 support.",
        "no INT8",
    ),
    (
        "[W] Int8 support requested on hardware without native Int8 support, performance will be negatively affected.",
        "no INT8",
    ),
    ("[E] Cannot create DLA engine, 0 not available", "no DLA here"),
    (
        "[E] Error Code 9: Internal Error (Default DLA is enabled but layer Resize_77 is not supported on "
        "DLA and falling "
        "back to GPU is not enabled.)",
        "GPU was not allowed to",
    ),
    (
        "[W] [TRT] Default DLA is enabled but layer Resize_77 is not supported on DLA, falling back to GPU.",
        "each change between the two",
    ),
    (
        "1: [nvdlaUtils.cpp::submit::198] Error Code 1: DLA (Failure to submit program to DLA engine.)",
        "DLA's own compiler",
    ),
    ("NVMEDIA_DLA : 1599, ERROR: registerTensorBuffer failed", "DLA's own compiler"),
    (
        "[E] 10: [optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error (Could not find any "
        "implementation for "
        "node {ForeignNode[/head/Conv_output_0.../head/Concat]}.)",
        "no kernel for that node",
    ),
    (
        "[W] Tactic Device request: 1070MB Available: 300MB. Device memory is insufficient to use tactic.",
        "wanted more workspace",
    ),
    (
        "[W] Skipping tactic 3 due to insufficient memory on requested size of 1073741824 detected",
        "wanted more workspace",
    ),
    (
        "[E] IBuilder::buildSerializedNetwork: Error Code 3: API Usage Error (Parameter check failed, condition: "
        "!config.getFlag(BuilderFlag::kFP16). )",
        "flags were set for a strongly typed",
    ),
    (
        "[E] ITensor::getDimensions: Error Code 4: API Usage Error (/m/Add: IElementWiseLayer with inputs a "
        "and b: first "
        "input has type Float but second input has type Half.)",
        "mixes types in one node",
    ),
    (
        "[E] 4: [network.cpp::validate::3040] Error Code 4: Internal Error (Network has dynamic or shape "
        "inputs, but no "
        "optimization profile has been defined.)",
        "unknown size",
    ),
    (
        "[E] IExecutionContext::enqueueV3: Error Code 1: Myelin ([cask.cpp:exec:972] Platform (Cuda) error)",
        "fused region",
    ),
    # programs
    (
        "AttributeError: 'tensorrt.tensorrt.IBuilderConfig' object has no attribute 'max_workspace_size'",
        "another major",
    ),
    ("AttributeError: 'tensorrt.tensorrt.ICudaEngine' object has no attribute 'num_bindings'", "another major"),
    ("AttributeError: type object 'tensorrt.tensorrt.BuilderFlag' has no attribute 'FP16'", "another major"),
    (
        "build.cpp:41: error: ‘kEXPLICIT_BATCH’ is not a member of ‘nvinfer1::NetworkDefinitionCreationFlag’",
        "another major",
    ),
    ("AttributeError: module 'numpy' has no attribute 'bool'.", "NumPy 1.24 took away"),
    ("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.6 as it may crash.", "older NumPy"),
    ("ImportError: numpy.core.multiarray failed to import", "older NumPy"),
    ("PyCUDA ERROR: The context stack was not empty upon module cleanup.", "context was not popped"),
    (
        "pycuda._driver.LogicError: explicit_context_dependent failed: invalid device context - no currently "
        "active context?",
        "from a thread",
    ),
    ("pycuda._driver.LogicError: cuMemcpyHtoDAsync failed: invalid resource handle", "from a thread"),
    ("CUDA error: an illegal memory access was encountered", "memory that is not its own"),
    # libraries
    (
        "[W:onnxruntime:Default] Failed to create TensorrtExecutionProvider. Please reference "
        "https://onnxruntime.ai/docs",
        "ONNX Runtime cannot use the GPU",
    ),
    (
        "[E:onnxruntime:Default, provider_bridge_ort.cc:1744 TryGetProviderInfo_CUDA] Failed to load library "
        "libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object file",
        "ONNX Runtime cannot use the GPU",
    ),
    (
        "UserWarning: Specified provider 'CUDAExecutionProvider' is not in available provider names. "
        "Available providers: "
        "'CPUExecutionProvider'",
        "ONNX Runtime cannot use the GPU",
    ),
    ("ImportError: libcuda.so.1: cannot open shared object file: No such file or directory", "no NVIDIA driver here"),
    (
        "[W] [TRT] CUDA initialization failure with error: 35. Please check your CUDA installation",
        "CUDA finds no driver",
    ),
    ("CUDA driver version is insufficient for CUDA runtime version", "CUDA finds no driver"),
    ("TypeError: pybind11::init(): factory function returned nullptr", "CUDA finds no driver"),
    ("Failed to initialize NVML: Driver/library version mismatch", "driver was updated"),
    (
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "holds no code for this GPU",
    ),
    ("CUDA error: the provided PTX was compiled with an unsupported toolchain.", "holds no code for this GPU"),
    ("[W] [TRT] TensorRT was linked against cuDNN 8.6.0 but loaded cuDNN 8.4.1", "another cuDNN or cuBLAS"),
    (
        "[W] TensorRT was linked against cuBLAS/cuBLAS LT 11.6.3 but loaded cuBLAS/cuBLAS LT 11.3.1",
        "another cuDNN or cuBLAS",
    ),
    (
        "ImportError: libnvinfer.so.8: cannot open shared object file: No such file or directory",
        "TensorRT is not installed",
    ),
    ("libnvonnxparser.so.10: cannot open shared object file: No such file or directory", "TensorRT is not installed"),
    ("OSError: libcudnn.so.8: cannot open shared object file: No such file or directory", "CUDA library is missing"),
    ("Could not load library libcudnn_cnn_infer.so.8. Error: libnvrtc.so: undefined", "CUDA library is missing"),
    ("ModuleNotFoundError: No module named 'tensorrt'", "does not see that package"),
    ("src/cpp/cuda.hpp:14:10: fatal error: cuda.h: No such file or directory", "being compiled"),
    (
        "ImportError: /lib/aarch64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.26' not found (required by x.so)",
        "newer system",
    ),
    (
        "ImportError: /lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by x.so)",
        "newer system",
    ),
    (
        "ImportError: /usr/lib/aarch64-linux-gnu/libGLdispatch.so.0: cannot allocate memory in static TLS block",
        "loaded too late",
    ),
    ("Illegal instruction (core dumped)", "OpenBLAS"),
    (
        "[W] [TRT] CUDA lazy loading is not enabled. Enabling it can significantly reduce device memory usage.",
        "harmless: CUDA",
    ),
    # memory
    ("NvMapMemAllocInternalTagged: 1075072515 error 12", "GPU's part of the shared memory"),
    (
        "[E] 2: [virtualMemoryBuffer.cpp::resizePhysical::145] Error Code 2: OutOfMemory (no further information)",
        "CUDA could",
    ),
    (
        "[E] 1: [defaultAllocator.cpp::allocate::19] Error Code 1: Cuda Runtime (out of memory)",
        "CUDA could not allocate",
    ),
    ("pycuda._driver.MemoryError: cuMemAlloc failed: out of memory", "CUDA could not allocate"),
    (
        "Out of memory: Killed process 12345 (python3) total-vm:9316420kB, anon-rss:2961220kB",
        "kernel or the program ended it",
    ),
    ("Killed", "kernel or the program ended it"),
    ("./build.sh: line 4:  2211 Killed                  python3 build.py", "kernel or the program ended it"),
    ("ERROR: process exited with exit code 137", "kernel or the program ended it"),
    ("terminate called after throwing an instance of 'std::bad_alloc'", "kernel or the program ended it"),
    # cameras
    (
        "(Argus) Error FileOperationFailed: Connecting to nvargus-daemon failed: No such file or directory (in "
        "src/rpc/socket/client/SocketClientDispatch.cpp, function openSocketConnection(), line 204)",
        "cannot be reached",
    ),
    ('gst_parse_error: no element "nvarguscamerasrc" (1)', "CSI camera element"),
    ('GStreamer warning: Error opening bin: no element "nvvidconv"', "NVIDIA's GStreamer plugins"),
    ('WARNING: erroneous pipeline: no element "rtph264depay"', "GStreamer plugin is not installed"),
    (
        "Error generated. "
        "/dvs/git/dirty/git-master_linux/multimedia/nvgstreamer/gst-nvarguscamera/gstnvarguscamerasrc.cpp, "
        "execute:751 Failed to create CaptureSession",
        "in use by another program",
    ),
    ("Error generated. gstnvarguscamerasrc.cpp, execute:557 No cameras available", "not found at boot"),
    (
        "(Argus) Error Timeout:  (propagating from src/rpc/socket/client/SocketClientDispatch.cpp)",
        "service failed or hangs",
    ),
    ("nvbuf_utils: dmabuf_fd 1294 mapped entry NOT found", "video buffer"),
    ("NvBufSurfaceFromFd: nvbufsurface: Failed to get surface", "video buffer"),
    ("[ WARN:0] VIDIOC_STREAMON: No space left on device", "USB bus"),
    (
        "[ WARN:0@10.1] global cap_v4l.cpp (1000) tryIoctl VIDEOIO(V4L2:/dev/video0): select() timeout.",
        "delivers no frames",
    ),
    (
        "[ WARN:0] global cap_v4l.cpp (902) open VIDEOIO(V4L2:/dev/video0): can't open camera by index",
        "may not be opened",
    ),
    ("Cannot identify device '/dev/video0': Device or resource busy", "may not be opened"),
    (
        "[ WARN:0] global cap_gstreamer.cpp (1100) open OpenCV | GStreamer warning: unable to start pipeline",
        "could not start",
    ),
    # engines, programs and cameras once more
    (
        "[W] TensorRT encountered issues when converting weights between types and that could affect accuracy.",
        "do not fit FP16",
    ),
    (
        "IExecutionContext::setInputShape: Error Code 3: Static dimension mismatch while setting input shape.",
        "another size",
    ),
    ("AttributeError: 'NoneType' object has no attribute 'create_execution_context'", "could not be read"),
    ("[E] 4: [runtime.cpp::65] Error Code 4: Internal Error (Engine deserialization failed.)", "could not be read"),
    ("[E] 1: [convolutionRunner.cpp::execute::391] Error Code 1: Cask (Cask convolution execution)", "a kernel"),
    ("[E] [TRT] DLA Error in submit: 7 (Failure to submit program to DLA engine.)", "DLA's own compiler"),
    (
        "[W] Layer 'Constant_1' (CONSTANT): Unsupported on DLA. Switching this layer's device type to GPU.",
        "DLA cannot run",
    ),
    ("[W] /model.24/Pow: DLA cores do not support POWER ElementWise operation.", "DLA cannot run"),
    ("bash: trtexec: command not found", "not on the path"),
    ("AttributeError: module 'tensorrt' has no attribute 'Logger'", "goes by the name tensorrt"),
    ("[rtsp @ 0x5583] method DESCRIBE failed: 401 Unauthorized", "network camera"),
    ("gstrtspsrc.c(6610): Could not receive message. (Timeout while waiting for server response)", "network camera"),
    ("soctherm_oc: OC ALARM 0x00000001", "more current"),
    # boards
    ("NvRmMemInitNvmap failed with Permission denied", "device files"),
    ("NVPM WARN: Reboot required for changing to this power mode: 1", "with the next boot"),
    ("NVPM ERROR: failed to set power mode!", "could not set the power mode"),
    ("System throttled due to over-current.", "more current"),
    ("[   61.283721] soctherm: OC ALARM 0x00000001", "more current"),
    ("[ 3741.927786] Under-voltage detected! (0x00050005)", "voltage drops"),
    ("thermal thermal_zone0: critical temperature reached(105 C),shutting down", "too hot"),
    (
        'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
        "does not know NVIDIA's runtime",
    ),
    ("docker: Error response from daemon: Unknown runtime specified nvidia.", "does not know NVIDIA's runtime"),
    ("exec /usr/bin/python3: exec format error", "another processor architecture"),
    ("OSError: [Errno 28] No space left on device", "disk is full"),
    (
        "[E] 2: [builder.cpp::buildSerializedNetwork::636] Error Code 2: Internal Error (Assertion engine != "
        "nullptr failed. )",
        "none",
    ),
]

HARMLESS = [
    "[I] [TRT] [MemUsageChange] Init CUDA: CPU +1, GPU +0, now: CPU 8850, GPU 1074 (MiB)",
    "[I] [TRT] Loaded engine size: 13 MiB",
    "[V] [TRT] CUDA lazy loading is enabled.",
    "[I] Loaded timing cache from /home/drone/.cache/edgekit/timing/a.cache",
    "    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))",
    "    config.max_workspace_size = 1 << 28",
    "[I] DLA cores: 2",
    "NVPM WARN: Golden image context is already created",
    "ARGUS: daemon is running",
    "docker run -v /tmp/argus_socket:/tmp/argus_socket edgekit:jp6",
    "HEAD /simple/edgekit 404 Not Found",
    "[V] [TRT] Skipping tactic 0x0000000000000000 due to exception Assertion dim >= 0 failed.",
    "",
]


@pytest.mark.parametrize(("line", "cause"), SAMPLES, ids=[line[:60] for line, _ in SAMPLES])
def test_a_line_is_explained_by_the_entry_for_it(line, cause):
    failure = failure_of(line)
    assert failure is not None and cause in failure.cause


def test_every_entry_is_found_in_some_line():
    found = {failure_of(line) for line, _ in SAMPLES}
    assert [one.signs for one in FAILURES if one not in found] == []
    assert len(FAILURES) >= 60


@pytest.mark.parametrize("line", HARMLESS)
def test_ordinary_lines_are_no_failures(line):
    assert failure_of(line) is None


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.signs[0])
def test_entries_read_like_one_another(failure):
    for text in (failure.cause, failure.cure):
        assert text and not text.endswith(".") and "\n" not in text


def test_each_failure_is_named_once_at_its_first_line(tmp_path):
    log = tmp_path / "build.log"
    log.write_text("start\n  Killed\nlibnvinfer.so.8: cannot open shared object file\nKilled\n")
    found = explain(str(log))
    assert [(one.line, one.text.split(":")[0]) for one in found] == [(2, "Killed"), (3, "libnvinfer.so.8")]


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path):
    log = tmp_path / "serial.log"
    log.write_bytes(b"\xff\xfe\x00\nIllegal instruction\n")
    assert [one.line for one in explain(str(log))] == [2]


def test_a_log_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the log .*absent\.log"):
        explain(str(tmp_path / "absent.log"))
