"""Binary convolution beside onnxruntime's float32 and int8 convolutions, on the four 3x3 shapes of ResNet-18, in turns.

    make native && python benchmarks/binary_conv.py

One thread. Contenders, for each set of kernels that runs here:

    bits     bits in, bits out (BatchNorm and sign fused)
    float    bits in, float32 out
    packed   float32 in (packing included), float32 out, NHWC, from one array to another and back, as a layer alone has
    operator the best kernels as an operator in an onnxruntime session, float32 in and out
    bare     `packed` by the best kernels in the arrays that a session has: what is given, two in turn, and the result;
             and with weights that no other contender reads: what the operator is held against
    session  an onnxruntime session that does nothing, which `operator` contains
    fp32     onnxruntime, float32
    int8     onnxruntime, QLinearConv, uint8 x int8 per channel, NHWC

Every figure is a quarter of a chain of four such layers, each with weights of its own, which reads what the one before
has written: what a session adds once (a change of layout, a call) counts a quarter. (Of `float` all read the same bits,
for floats are no input. The binary ones are called from Python, once a layer.) Before anything is timed, the binary
result on +1 and -1 is compared with onnxruntime's float convolution: they must be equal.

A round runs every contender once, in a shuffled order, with a loop of xor, popcount and add on registers, of tiles for
`amx` (popcount_limit.cpp), between them: the share of that limit tells more than a ratio, for the width of the
processor's multipliers decides how fast the others are. Samples are CPU time of the thread: other jobs on the machine
disturb them less. Last line: JSON. Raw samples: benchmarks/results/<machine>/binary_conv.json.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.compare import ratio_of_medians  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.ops.binary import BinaryGeometry, pack_signs, signs  # noqa: E402
from edgekit.ops.binary_native import BinaryConv  # noqa: E402
from edgekit.ops.library import native  # noqa: E402

SHAPES = ((56, 64), (28, 128), (14, 256), (7, 512))  # side of the image, channels in and out
CHAIN = 4
WARMUP = 10
LIMIT_ROUNDS = {"amx": 5000, "avx512": 25000, "avx2": 40000}  # long enough that wide registers waking up does not count


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        limits = limit_loops(Path(folder))
        shapes = {}
        for side, channels in SHAPES:
            calls, macs = contenders(side, channels, limits)
            shapes[f"{side}x{side}x{channels}"] = {"macs": macs, "samples": interleaved(calls, args.rounds)}
    report(args, shapes, {name: products for name, (_, products) in limits.items()})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--note", default="", help="kept in the result, such as what else the machine did")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/binary_conv.json")
    return parser.parse_args()


def limit_loops(folder: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Kernels -> a loop at the limit of their instructions, and how many products one call makes."""
    target = folder / "popcount_limit.so"
    source = ROOT / "benchmarks" / "popcount_limit.cpp"
    subprocess.run(["c++", "-O2", "-shared", "-fPIC", "-o", target, source], check=True)
    opened = ctypes.CDLL(str(target))
    one = np.ones(1, np.float32)
    loops = {}
    for name, rounds in LIMIT_ROUNDS.items():
        try:
            BinaryConv(BinaryGeometry(1, 1, (1, 1)), np.ones((1, 1, 1, 1)), one, one, name)
        except ValueError as error:
            print(f"{name}: left out, {error}")
            continue
        function = opened[f"limit_{name}"]
        function.argtypes, function.restype = [ctypes.c_int64], ctypes.c_int64
        loops[name] = (lambda function=function, rounds=rounds: function(rounds), function(rounds))
    return loops


def contenders(side: int, channels: int, limits: dict) -> tuple[dict[str, Callable[[], object]], int]:
    """Name -> a call that convolves one image `CHAIN` times, and the products of one layer."""
    random = np.random.RandomState(channels)
    geometry = BinaryGeometry(channels, channels, (3, 3), pads=(1, 1, 1, 1))
    weights = random.randn(*geometry.weight_shape).astype(np.float32)
    multiplier, offset = random.randn(2, channels).astype(np.float32)
    x = random.randn(1, side, side, channels).astype(np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for name, (loop, _) in limits.items():
        convs = [BinaryConv(geometry, weights, multiplier, offset, name) for _ in range(CHAIN)]
        check_against_onnxruntime(x, weights, multiplier, offset, convs[0])
        calls[f"{name}.limit"] = loop
        calls[f"{name}.bits"] = bits_chain(convs, x)
        calls[f"{name}.float"] = float_calls(convs, x)
        calls[f"{name}.packed"] = packed_chain(convs, x)
    calls["bare"] = packed_chain([BinaryConv(geometry, weights, multiplier, offset) for _ in range(CHAIN)], x, 4)
    calls["operator"] = session_call(operator_model(weights, multiplier, offset, x.shape), x.copy(), native().path)
    calls["session"] = session_call(idle_model(), np.zeros((1, 1, 1, 1), np.float32))
    scaled = weights.transpose(0, 3, 1, 2) / np.sqrt(9.0 * channels, dtype=np.float32)
    calls["fp32"] = session_call(float_model(side, np.ascontiguousarray(scaled), CHAIN), x.transpose(0, 3, 1, 2))
    codes = np.clip(np.rint(x * 40 + 128), 0, 255).astype(np.uint8)
    calls["int8"] = session_call(int8_model(side, scaled, CHAIN), codes)
    return calls, side * side * 9 * channels * channels


def bits_chain(convs: list[BinaryConv], x: np.ndarray) -> Callable[[], object]:
    """Bits to bits."""
    bits = [convs[0].pack(x), convs[0].pack(x)]

    def run() -> None:
        for i, conv in enumerate(convs):
            conv.run(bits[i % 2], "bits", bits[1 - i % 2])

    return run


def float_calls(convs: list[BinaryConv], x: np.ndarray) -> Callable[[], object]:
    """Bits to floats, which no layer reads."""
    bits = convs[0].pack(x)
    out = convs[0].run(bits)

    def run() -> None:
        for conv in convs:
            conv.run(bits, "float32", out)

    return run


def packed_chain(convs: list[BinaryConv], x: np.ndarray, arrays: int = 2) -> Callable[[], object]:
    """Floats to floats, in so many arrays that nobody else has; the first is given and stays where there are four."""
    values, bits = [x.copy() for _ in range(arrays)], convs[0].pack(x)
    places = {2: (0, 1, 0, 1, 0), 4: (0, 1, 2, 1, 3)}[arrays]  # of four layers

    def run() -> None:
        for conv, given, out in zip(convs, places, places[1:]):
            conv.run(conv.pack(values[given], bits), "float32", values[out])

    return run


def check_against_onnxruntime(
    x: np.ndarray, weights: np.ndarray, multiplier: np.ndarray, offset: np.ndarray, conv: BinaryConv
) -> None:
    w = signs(weights).astype(np.float32).transpose(0, 3, 1, 2)
    a = signs(x).astype(np.float32).transpose(0, 3, 1, 2)
    dot = session_call(float_model(x.shape[1], np.ascontiguousarray(w), 1), a)()
    expected = multiplier * dot.transpose(0, 2, 3, 1) + offset
    if not np.array_equal(conv(x), expected):
        raise SystemExit(f"error: the {conv.kernels} kernels differ from onnxruntime's convolution of signs")


def float_model(side: int, weights: np.ndarray, layers: int) -> onnx.ModelProto:
    """A chain of convolutions 3x3, NCHW."""
    shape = [1, weights.shape[1], side, side]
    nodes = [
        helper.make_node("Conv", [f"x{i}", "w"], [f"x{i + 1}"], kernel_shape=[3, 3], pads=[1] * 4)
        for i in range(layers)
    ]
    return model(nodes, [numpy_helper.from_array(weights, "w")], shape, TensorProto.FLOAT, layers)


def int8_model(side: int, weights: np.ndarray, layers: int) -> onnx.ModelProto:
    """A chain of quantised convolutions 3x3, NHWC, as onnxruntime's own optimiser writes them."""
    scale = (np.abs(weights).max(axis=(1, 2, 3)) / 127).astype(np.float32)
    codes = np.rint(weights / scale[:, None, None, None]).astype(np.int8)
    constants = {
        "w": codes,
        "w_scale": scale,
        "w_zero": np.zeros(len(scale), np.int8),
        "scale": np.array(1 / 40, np.float32),
        "zero": np.array(128, np.uint8),
        "bias": np.zeros(len(scale), np.int32),
    }
    nodes = [
        helper.make_node(
            "QLinearConv",
            [f"x{i}", "scale", "zero", "w", "w_scale", "w_zero", "scale", "zero", "bias"],
            [f"x{i + 1}"],
            domain="com.microsoft",
            kernel_shape=[3, 3],
            pads=[1] * 4,
            channels_last=1,
        )
        for i in range(layers)
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return model(nodes, tensors, [1, side, side, len(scale)], TensorProto.UINT8, layers)


def operator_model(weights: np.ndarray, multiplier: np.ndarray, offset: np.ndarray, shape: tuple) -> onnx.ModelProto:
    """A chain of binary convolutions 3x3, NHWC. Each keeps weights of its own, though they are the same."""
    constants = {"w": pack_signs(weights), "m": multiplier, "b": offset}
    attributes = {"channels": weights.shape[3], "strides": [1, 1], "pads": [1] * 4, "group": 1, "padding": 0}
    nodes = [
        helper.make_node("BinaryConv", [f"x{i}", "w", "m", "b"], [f"x{i + 1}"], domain="edgekit", **attributes)
        for i in range(CHAIN)
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return model(nodes, tensors, list(shape), TensorProto.FLOAT, CHAIN)


def idle_model() -> onnx.ModelProto:
    """One value that goes through a ReLU: what is left is the call of a session."""
    return model([helper.make_node("Relu", ["x0"], ["x1"])], [], [1, 1, 1, 1], TensorProto.FLOAT, 1)


def model(nodes: list, tensors: list, shape: list[int], kind: int, layers: int) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x0", kind, shape)]
    outputs = [helper.make_tensor_value_info(f"x{layers}", kind, shape)]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("edgekit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def session_call(built: onnx.ModelProto, x: np.ndarray, operators: str | None = None) -> Callable[[], np.ndarray]:
    """A call that runs the model on `x` on one thread, in buffers that stay."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if operators is not None:
        options.register_custom_ops_library(operators)
    session = ort.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])
    # The bound values share the memory of these arrays, which the call keeps alive.
    source = np.ascontiguousarray(x)
    out = np.zeros(session.get_outputs()[0].shape, x.dtype)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x0", ort.OrtValue.ortvalue_from_numpy(source))
    binding.bind_ortvalue_output(session.get_outputs()[0].name, ort.OrtValue.ortvalue_from_numpy(out))

    def call(source: np.ndarray = source) -> np.ndarray:
        session.run_with_iobinding(binding)
        return out

    return call


def interleaved(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Name -> CPU time in milliseconds of each call, of a chain's layer; of loops and the idle session as they are."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order = np.random.RandomState(1)
    names = list(calls)
    for round_number in range(-WARMUP, rounds):
        for index in order.permutation(len(names)):
            name = names[index]
            started = time.thread_time()
            calls[name]()
            spent = (time.thread_time() - started) * 1e3
            if round_number >= 0:
                samples[name].append(spent if name == "session" or name.endswith(".limit") else spent / CHAIN)
    return samples


def report(args: argparse.Namespace, shapes: dict, products: dict[str, int]) -> None:
    for row in shapes.values():
        row["table"] = table_of(row["macs"], row["samples"], products)
    machine = machine_record()
    value = {
        "machine": machine,
        "load": load_average(),
        "note": args.note,
        "time": utc_now(),
        "versions": {"onnxruntime": ort.__version__, "numpy": np.__version__},
        "rounds": args.rounds,
        "warmup": WARMUP,
        "chain": CHAIN,
        "limit_products": products,
        "shapes": {name: row["table"] for name, row in shapes.items()},
    }
    samples = {
        name: {each: [round(v, 5) for v in values] for each, values in row["samples"].items()}
        for name, row in shapes.items()
    }
    default = ROOT / "benchmarks" / "results" / machine_name(machine) / "binary_conv.json"
    output = Path(args.output) if args.output else default
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as stream:
        json.dump({**value, "samples": samples}, stream)
    show(value["shapes"])
    print(json.dumps(value))


def table_of(macs: int, samples: dict[str, list[float]], products: dict[str, int]) -> dict[str, dict]:
    table = {}
    for name, values in samples.items():
        kernels, _, kind = name.partition(".")
        if kind == "limit":
            continue
        row = {"median_ms": float(np.median(values)), "min_ms": min(values)}
        if name == "session":
            table[name] = row
            continue
        row["gmacs"] = macs / row["median_ms"] * 1e-6
        if kind:
            row["share_of_limit"] = row["gmacs"] / (products[kernels] / np.median(samples[f"{kernels}.limit"]) * 1e-6)
        if name not in ("fp32", "int8"):
            row["faster_than_fp32"] = ratio_of_medians(samples["fp32"], values).to_json()
            row["faster_than_int8"] = ratio_of_medians(samples["int8"], values).to_json()
        if name == "operator":
            row["times_bare"] = ratio_of_medians(values, samples["bare"]).to_json()
        table[name] = row
    return table


def show(shapes: dict[str, dict[str, dict]]) -> None:
    for shape, table in shapes.items():
        print(f"{shape:16s} median ms   min ms   GMAC/s   of limit   x fp32 (95 %)           x int8 (95 %)")
        for name, row in table.items():
            line = f"  {name:16s} {row['median_ms']:7.4f}  {row['min_ms']:7.4f}"
            if "gmacs" in row:
                line += f"  {row['gmacs']:7.0f}"
            if "faster_than_fp32" in row:
                line += f"   {row['share_of_limit']:7.0%}" if "share_of_limit" in row else " " * 10
                for other in ("faster_than_fp32", "faster_than_int8"):
                    ratio = row[other]
                    line += f"   {ratio['speedup']:5.2f} ({ratio['low']:5.2f}..{ratio['high']:5.2f})"
            if "times_bare" in row:
                line += f"   {row['times_bare']['speedup']:5.2f} x bare"
            print(line)


if __name__ == "__main__":
    main()
