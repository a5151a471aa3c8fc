"""Lines that people find in their logs, what they mean, and the cure."""

from typing import List, NamedTuple, Tuple

from edgekit.errors import DataError


class Failure(NamedTuple):
    """One known failure.

    Attributes:
        signs: any of these in a line of the log, letter case apart.
        cause: what has happened.
        cure: what to do about it.
    """

    signs: Tuple[str, ...]
    cause: str
    cure: str


class Finding(NamedTuple):
    """A known failure at a line of a log."""

    line: int
    text: str
    failure: Failure


FAILURES = (
    Failure(
        ("engine plan file is generated on an incompatible device", "expecting compute"),
        "the engine was built for another GPU",
        "build it again on this device from the bundle; an engine is a cache and does not travel",
    ),
    Failure(
        ("using an engine plan file across different models of devices",),
        "the engine comes from another model of device (the warning is sometimes wrong)",
        "build it again here, or run edgekit check to see that it still finds the golden boxes",
    ),
    Failure(
        ("sm 87 is not supported", "target gpu sm"),
        "this TensorRT is the server build from PyPI; it has no code for Jetson's GPU",
        "use the TensorRT of JetPack (apt package tensorrt), in a Python that sees it",
    ),
    Failure(
        ("require hardware with int8 support", "int8 support requested on hardware without native int8"),
        "this GPU has no int8 (Jetson Nano, TX2)",
        "run the fp16 lowering of the bundle",
    ),
    Failure(
        ("could not find any implementation for node",),
        "TensorRT has no kernel for that node at this precision, or too little workspace",
        "raise the workspace once; if it stays, exclude that layer from quantisation and export again",
    ),
    Failure(
        ("no importer registered for op", "getplugincreator could not find plugin"),
        "the graph uses an operator that this TensorRT does not know",
        "export with edgekit for this target: its lowerings keep to opset 13 and use no plugins",
    ),
    Failure(
        ("missing scale and zero-point for tensor",),
        "TensorRT was asked for implicit int8 without a calibration cache",
        "use the trt8 or trt10 lowering: the scales are in the graph, no cache is needed",
    ),
    Failure(
        ("out of memory", "oom-kill", "rc 137", "exit code 137", "killed process"),
        "the machine ran out of memory and the kernel ended the process",
        "close the desktop, add swap, lower the workspace; do not load torch on the device",
    ),
    Failure(
        ("module 'numpy' has no attribute 'bool'",),
        "TensorRT 8.5 and older use a name that NumPy 1.24 took away",
        "pip install 'numpy<1.24'",
    ),
    Failure(
        ("no currently active context", "invalid resource handle"),
        "a CUDA object was used from a thread that does not own the context",
        "open and run the detector in one thread",
    ),
    Failure(
        ('no element "nvarguscamerasrc"',),
        "GStreamer here has no CSI camera element, as in a container without the host's plugins",
        "start the container with --runtime nvidia and -v /tmp/argus_socket:/tmp/argus_socket",
    ),
    Failure(
        ("cannot allocate memory in static tls block",),
        "a library with thread-local storage was loaded too late",
        "start Python with LD_PRELOAD set to the library that the line names",
    ),
    Failure(
        ("system throttled due to over-current", "over-current"),
        "the board drew more current than its supply or power mode allows",
        "choose a lower power mode (nvpmodel -m), check supply and cable",
    ),
    Failure(
        ("kexplicit_batch", "max_workspace_size", "num_bindings", "build_cuda_engine"),
        "the program is written for another major version of TensorRT",
        "use the TensorRT that it was written for, or let edgekit do the building and running",
    ),
)  # type: Tuple[Failure, ...]


def explain(path: str) -> List[Finding]:
    """Known failures in a log file, in the order of its lines; each failure once, at its first line.

    Raises:
        DataError: the log cannot be read.
    """
    try:
        with open(path, errors="replace") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise DataError("cannot read the log {}: {}".format(path, error.strerror)) from error
    found = []
    left = list(FAILURES)
    for number, line in enumerate(lines, 1):
        lower = line.lower()
        for failure in [f for f in left if any(sign in lower for sign in f.signs)]:
            left.remove(failure)
            found.append(Finding(number, line.strip(), failure))
    return found
