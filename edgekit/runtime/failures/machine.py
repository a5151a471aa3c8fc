"""What libraries, memory, cameras and the board itself say; what is particular stands before what is general."""

from edgekit.runtime.failures.failure import Failure

_LIBRARIES = (
    Failure(
        (
            r"failed to create (tensorrt|cuda)executionprovider",
            r"onnxruntime_providers_(cuda|tensorrt)",
            r"'(cuda|tensorrt)executionprovider' is not in available provider",
        ),
        "ONNX Runtime cannot use the GPU here: libraries of its CUDA, cuDNN or TensorRT version are missing; it goes "
        "on with the processor unless told otherwise",
        "install the onnxruntime-gpu for this CUDA and TensorRT, or use the engine: edgekit build (edgekit "
        "refuses the fallback)",
    ),
    Failure(
        (r"libcuda\.so(\.1)?: cannot open shared object", r"dynamiclibnotfounderror.*libcuda"),
        "there is no NVIDIA driver here, or the container was started without it",
        "on a Jetson start the container with --runtime nvidia; elsewhere install the driver",
    ),
    Failure(
        (
            r"initialization failure with error: (35|100)\b",
            r"driver version is insufficient",
            r"cudaerrorinsufficientdriver",
            r"no cuda-capable device",
            r"factory function returned nullptr",
        ),
        "CUDA finds no driver, or one that is older than the CUDA runtime",
        "start the container with --runtime nvidia (or --gpus all); on a PC update the driver; on a Jetson use "
        "the CUDA of JetPack",
    ),
    Failure(
        (r"driver/library version mismatch",),
        "the driver was updated while its older kernel module is still loaded",
        "reboot",
    ),
    Failure(
        (r"no kernel image is available", r"unsupported toolchain", r"cudaerrornokernelimagefordevice"),
        "a library holds no code for this GPU: compiled for others, or with a newer CUDA than the driver knows",
        "use the build for this JetPack or this GPU, not the general one from PyPI",
    ),
    Failure(
        (r"tensorrt was linked against (cudnn|cublas)",),
        "another cuDNN or cuBLAS is loaded than TensorRT was built with, as when torch brings its own",
        "build and run without torch in the process; take directories of pip's nvidia-* packages off LD_LIBRARY_PATH",
    ),
    Failure(
        (r"libnvinfer\w*\.so[.\d]*: cannot open shared object", r"libnvonnxparser\.so[.\d]*: cannot open"),
        "TensorRT is not installed, or in another major version than the program was built for",
        "install JetPack's (apt install tensorrt python3-libnvinfer); the number after .so is the major version "
        "that is wanted",
    ),
    Failure(
        (
            r"lib(cudart|cudnn|cublas|cufft|curand|nvrtc|cusparse|cusolver"
            r"|nvdla)\w*\.so[.\d]*: cannot open shared object",
            r"could not load library libcudnn",
            r"libcudnn\w*\.so[.\d]*: cannot open",
            r"cudnn_status_not_initialized",
        ),
        "a CUDA library is missing, or there in another version than the program was built for",
        "install the one of this JetPack (apt) and put /usr/local/cuda/lib64 on LD_LIBRARY_PATH; edgekit doctor "
        "names the versions",
    ),
    Failure(
        (r"no module named '?(tensorrt|pycuda|cuda)\b",),
        "this Python does not see that package; JetPack's tensorrt belongs to the system's Python alone",
        "make the environment with the system's Python and --system-site-packages; edgekit doctor says what is missing",
    ),
    Failure(
        (r"module 'tensorrt' has no attribute '(logger|builder|runtime|__version__)'",),
        "a folder, or a package without its bindings, goes by the name tensorrt",
        'python -c "import tensorrt; print(tensorrt.__path__)" names it: rename or uninstall it',
    ),
    Failure(
        (r"trtexec: (command )?not found", r"no such file or directory: '?trtexec"),
        "trtexec is not on the path; pip's TensorRT does not bring it",
        "on a Jetson it is /usr/src/tensorrt/bin/trtexec",
    ),
    Failure(
        (
            r"fatal error: (cuda|curand|cudnn|nvinfer)\w*\.h",
            r"nvcc: (command )?not found",
            r"no such file or directory: '?nvcc",
        ),
        "PyCUDA (or another extension) is being compiled without CUDA's headers or compiler in reach",
        "PATH=/usr/local/cuda/bin:$PATH pip install ...; on JetPack 4 'pycuda<=2022.1'",
    ),
    Failure(
        (r"version `?(glibcxx|glibc|cxxabi)_[\d.]+'? not found",),
        "the library was built on a newer system than this one",
        "use the build for this JetPack; libraries of Ubuntu 22.04 do not run on JetPack 4 and 5",
    ),
    Failure(
        (r"cannot allocate memory in static tls block",),
        "a library with thread-local storage was loaded too late",
        "start Python with LD_PRELOAD set to the library that the line names",
    ),
    Failure(
        (r"illegal instruction",),
        "a library uses instructions that this processor lacks; on a Jetson Nano it is NumPy's OpenBLAS guessing "
        "the processor",
        "export OPENBLAS_CORETYPE=ARMV8; on x86 use a build without AVX-512",
    ),
    Failure(
        (r"cuda lazy loading is not enabled",),
        "harmless: CUDA loads every kernel at the start, which costs memory and seconds",
        "export CUDA_MODULE_LOADING=LAZY (CUDA 11.7 and later)",
    ),
)

_MEMORY = (
    Failure(
        (r"nvmapmem\w*:? .*error",),
        "the GPU's part of the shared memory is used up or in pieces",
        "close other programs that use the GPU or the camera; after long running reboot; then lower the workspace",
    ),
    Failure(
        (
            r"cuda (error|failure): out of memory",
            r"cuda runtime \(out of memory\)",
            r"error code 2: outofmemory",
            r"cudaerrormemoryallocation",
            r"cuda_error_out_of_memory",
            r"cu\w+ failed: out of memory",
            r"requested amount of gpu memory",
            r"cudnn_status_alloc_failed",
        ),
        "CUDA could not allocate; on a Jetson that memory is shared with everything else that runs",
        "close the desktop and other users of the GPU, lower the workspace (edgekit build --low-memory), add swap",
    ),
    Failure(
        (
            r"out of memory: kill",
            r"oom-kill",
            r"oom_reaper",
            r"(rc|exit code|exit status|returned) 137\b",
            r"killed process",
            r"^killed$",
            r": killed\b",
            r"\d+ killed ",
            r"out of memory",
            r"memoryerror",
            r"std::bad_alloc",
        ),
        "the machine ran out of memory and the kernel or the program ended it",
        "close the desktop, add swap, lower the workspace; do not load torch on the device",
    ),
)

_CAMERAS = (
    Failure(
        (r"connecting to nvargus-daemon failed", r"argus_socket\W.*(fail|refused|no such)"),
        "the camera service of the host cannot be reached, as in a container without its socket",
        "start the container with -v /tmp/argus_socket:/tmp/argus_socket; on the host: sudo systemctl restart "
        "nvargus-daemon",
    ),
    Failure(
        (r'no element "nvarguscamerasrc"',),
        "GStreamer here has no CSI camera element, as in a container without the host's plugins",
        "start the container with --runtime nvidia and -v /tmp/argus_socket:/tmp/argus_socket",
    ),
    Failure(
        (r'no element "nv\w+"',),
        "NVIDIA's GStreamer plugins are not there, or the plugin cache was written without a GPU",
        "apt install nvidia-l4t-gstreamer; in a container use --runtime nvidia; rm -r ~/.cache/gstreamer-1.0",
    ),
    Failure(
        (r'no element "\w+"',),
        "a GStreamer plugin is not installed",
        "apt install gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav (gst-inspect-1.0 NAME "
        "finds it)",
    ),
    Failure(
        (r"failed to create capturesession",),
        "the camera is in use by another program, or the camera service hangs after one that ended without closing it",
        "end the other program; sudo systemctl restart nvargus-daemon",
    ),
    Failure(
        (r"no cameras available",),
        "the CSI camera was not found at boot: cable, wrong connector, or its driver is not configured",
        "check the ribbon cable, configure the sensor with /opt/nvidia/jetson-io/jetson-io.py, reboot, look into dmesg",
    ),
    Failure(
        (r"\(argus\) error",),
        "the camera service failed or hangs",
        "sudo systemctl restart nvargus-daemon, and look at journalctl -u nvargus-daemon",
    ),
    Failure(
        (r"nvbuf_utils", r"nvbufsurf", r"failed to map eglimage"),
        "a video buffer of NVIDIA's was used after its release, or could not be mapped; mostly a second user of "
        "the pipeline",
        "open each camera once; if it stays, decode to plain memory (video/x-raw instead of memory:NVMM)",
    ),
    Failure(
        (r"vidioc_streamon.*no space left", r"failed to allocate (the )?required memory"),
        "the USB bus has no bandwidth left for that camera's size and rate",
        "ask for MJPEG or a smaller size, or plug cameras into different USB controllers",
    ),
    Failure(
        (r"videoio\(v4l2.*select\(\) timeout", r"v4l2.*select\(\) timeout"),
        "the camera delivers no frames: power, cable, or a format that it does not have",
        "v4l2-ctl --list-formats-ext shows what it has; try another cable or a powered hub",
    ),
    Failure(
        (r"can't open camera by index", r"cannot open .*/dev/video\d+", r"/dev/video\d+.*(busy|permission|no such)"),
        "the camera is not there, is in use, or may not be opened",
        "ls -l /dev/video*; in a container add --device /dev/video0; sudo usermod -aG video $USER; end the other "
        "program",
    ),
    Failure(
        (
            r"could not receive message\. \(timeout",
            r"method (options|describe|setup|play) failed: 4\d\d",
            r"(unauthorized|not found) \(40[14]\)",
        ),
        "the network camera does not answer, or not at this address with this user and password",
        "try the address with ffplay or gst-play-1.0; protocols=tcp where a firewall drops UDP",
    ),
    Failure(
        (r"unable to start pipeline", r"pipeline have not been created", r"could not create pipeline"),
        "GStreamer could not start what was asked of it; its own reason stands above or is not shown",
        "run the same pipeline with gst-launch-1.0 -v; GST_DEBUG=3 shows the reason",
    ),
)

_BOARDS = (
    Failure(
        (
            r"nvrmmeminitnvmap failed",
            r"/dev/(nvmap|nvhost[^ ]*|nvgpu[^ ]*).*permission",
            r"permission denied.*/dev/(nvmap|nvhost|nvgpu)",
        ),
        "this user may not open the GPU's device files",
        "sudo usermod -aG video $USER, then log in again",
    ),
    Failure(
        (r"reboot required for changing to this power mode", r"nvpm .*reboot"),
        "the power mode changes with the next boot; until then the clocks of the old one hold, whatever nvpmodel "
        "-q says",
        "reboot, then edgekit doctor: it compares nvpmodel's word with the clocks",
    ),
    Failure(
        (r"nvpm error",),
        "nvpmodel could not set the power mode",
        "run it with sudo; where it fails to gate parts of the GPU, choose the mode and reboot at once, before "
        "the GPU is used",
    ),
    Failure(
        (r"throttled due to over-current", r"over-current", r"soctherm\w*: oc alarm"),
        "the board drew more current than its supply or power mode allows, and was slowed down",
        "choose a lower power mode (nvpmodel -m), check supply and cable",
    ),
    Failure(
        (r"under-?voltage",),
        "the supply's voltage drops under load",
        "use a supply with more current and a short, thick cable (Jetson Nano: the barrel jack with J48 set, not "
        "micro-USB)",
    ),
    Failure(
        (r"critical temperature reached",),
        "the board is too hot and slows down or switches off",
        "fan and heat sink; a lower power mode; edgekit bench shows temperatures over time",
    ),
    Failure(
        (
            r"could not select device driver .*gpu",
            r"(unknown|invalid) runtime name:? nvidia",
            r"unknown runtime specified nvidia",
        ),
        "Docker does not know NVIDIA's runtime",
        "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker; restart docker",
    ),
    Failure(
        (r"exec format error",),
        "the image or program is for another processor architecture",
        "build for linux/arm64 on a Jetson (docker buildx build --platform linux/arm64)",
    ),
    Failure(
        (r"no space left on device",),
        "the disk is full; engines, timing caches and container images are large",
        "df -h; edgekit doctor names the cache folder and its size; docker system prune",
    ),
)

MACHINE = _LIBRARIES + _MEMORY + _CAMERAS + _BOARDS
