"""A whole binarised ResNet-18 at 224 x 224 beside the same network in float32 and int8, in turns: speed and bytes.

    make native && python benchmarks/binary_network.py

Weights are random: neither time nor bytes depend on them. The wiring is Bi-Real's: every 3x3 convolution is
clip(conv(sign(x)) + x), the first convolution, the three pointwise shortcuts and the last layer are not binary.
Batch normalisation is folded, as in every exported network. One thread of onnxruntime. Contenders:

    relu fp32       the ResNet-18 that is not binary: convolution, Add, ReLU
    relu int8       that network's `ort-x86` lowering
    signs fp32      the binary network as plain ONNX in float32
    signs int8      its `ort-x86` lowering: signs as int8 codes of +-1
    binary float    its `binary` lowering, the layers that are not binary in float32
    binary int8     the same with int8 weights for those layers

Speed is held against both float32 networks: the one that does what ours does (signs), and the one that it takes
the place of (relu), which has no signs to take. Bytes are of files: plain ONNX, and a bundle that holds this lowering
alone. Before anything is timed the binary network is compared with its float32 form: every binary layer, from the same
inputs, must give the same numbers.

A round runs every contender once, in a shuffled order. Samples are CPU time of the thread: other jobs on the machine
disturb them less. Last line: JSON. Raw samples: benchmarks/results/<machine>/binary_network.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.compare import ratio_of_medians  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bundle import LoweredGraph, write_bundle  # noqa: E402
from edgekit.export.manifest import short_floats  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.graph.binary_sums import exact_sums  # noqa: E402
from edgekit.graph.code_parity import compare_codes  # noqa: E402
from edgekit.graph.external import whole, with_external_data  # noqa: E402
from edgekit.graph.insert import CANONICAL  # noqa: E402
from edgekit.graph.load import load_canonical  # noqa: E402
from edgekit.graph.lower import LoweredModel, lower  # noqa: E402
from edgekit.graph.lower.binary import with_pairs  # noqa: E402
from edgekit.graph.plan import PlanOptions, binary_plan, make_plan  # noqa: E402
from edgekit.graph.runner import Runner  # noqa: E402
from edgekit.graph.sources import stored_tensors  # noqa: E402
from edgekit.ops.library import native  # noqa: E402
from edgekit.precision import QuantPlan  # noqa: E402
from edgekit.runtime.operators import add_operators  # noqa: E402

STAGES = ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
GATES = {"speed": 5.4, "size, float leftovers": 11.1, "size, int8 leftovers": 20.0}
WARMUP = 5


class Net:
    """Nodes and constants of a ResNet-18, added in order."""

    def __init__(self, size: int, classes: int) -> None:
        self.random = np.random.RandomState(0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {
            name: np.array(value, np.float32) for name, value in (("zero", 0), ("plus", 1), ("minus", -1))
        }
        self.size, self.classes = size, classes

    def op(self, op_type: str, inputs: list[str], **attributes: object) -> str:
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x: str, c_in: int, c_out: int, kernel: int, stride: int = 1, binary: bool = False) -> str:
        weight = self.random.randn(c_out, c_in, kernel, kernel).astype(np.float32) / np.sqrt(c_in * kernel**2)
        if binary:
            step = self.random.uniform(0.5, 1.5, (c_out, 1, 1, 1)).astype(np.float32) / np.sqrt(c_in * kernel**2)
            weight = np.where(weight < 0, -step, step)
        name = f"layer{len(self.nodes)}"
        self.constants[f"{name}.weight"] = weight.astype(np.float32)
        self.constants[f"{name}.bias"] = self.random.randn(c_out).astype(np.float32) / 10
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        return self.op("Conv", inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)

    def model(self, output: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "resnet18",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, self.size, self.size])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, self.classes])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def resnet18(binary: bool, size: int, classes: int = 1000) -> onnx.ModelProto:
    """Bi-Real wiring where `binary`: a shortcut around every convolution; else two convolutions to a block."""
    net = Net(size, classes)
    x = net.op("Relu", [net.conv("images", 3, 64, 7, 2)]) if not binary else net.conv("images", 3, 64, 7, 2)
    x = net.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for width, stride in STAGES:
        x = _binary_block(net, x, channels, width, stride) if binary else _block(net, x, channels, width, stride)
        channels = width
    flat = net.op("Flatten", [net.op("GlobalAveragePool", [x])])
    net.constants["fc.weight"] = (net.random.randn(classes, channels) / np.sqrt(channels)).astype(np.float32)
    net.constants["fc.bias"] = np.zeros(classes, np.float32)
    return net.model(net.op("Gemm", [flat, "fc.weight", "fc.bias"], transB=1))


def _binary_block(net: Net, x: str, channels: int, width: int, stride: int) -> str:
    for c_in, step in ((channels, stride), (width, 1)):
        shortcut = x if step == 1 and c_in == width else net.conv(x, c_in, width, 1, step)
        signs = net.op("Where", [net.op("GreaterOrEqual", [x, "zero"]), "plus", "minus"])
        y = net.conv(signs, c_in, width, 3, step, binary=True)
        x = net.op("Clip", [net.op("Add", [y, shortcut]), "minus", "plus"])
    return x


def _block(net: Net, x: str, channels: int, width: int, stride: int) -> str:
    shortcut = x if stride == 1 and channels == width else net.conv(x, channels, width, 1, stride)
    y = net.conv(net.op("Relu", [net.conv(x, channels, width, 3, stride)]), width, width, 3)
    return net.op("Relu", [net.op("Add", [y, shortcut])])


def main() -> None:
    args = arguments()
    relu, signs = (resnet18(binary, args.size) for binary in (False, True))
    lowered, plans, models = lowerings(relu, signs)
    x = np.random.RandomState(1).randn(1, 3, args.size, args.size).astype(np.float32)
    parity = {name: check(models[name], lowered[name], plans[name], x) for name in ("binary float", "binary int8")}
    files = {"relu fp32": relu.SerializeToString(), "signs fp32": signs.SerializeToString()}
    files |= {name: whole(each.model) for name, each in lowered.items()}
    sizes = {name: {"onnx": len(data)} for name, data in files.items()}
    for name, each in lowered.items():
        sizes[name]["bundle"] = bundle_bytes(models[name], plans[name], each)
    samples = interleaved({name: session_call(data, x) for name, data in files.items()}, args.rounds)
    report(args, samples, sizes, parity)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--size", type=int, default=224, help="side of the picture; 224 is what is reported")
    parser.add_argument("--note", default="", help="kept in the result, such as what else the machine did")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/binary_network.json")
    return parser.parse_args()


def lowerings(
    relu: onnx.ModelProto, signs: onnx.ModelProto
) -> tuple[dict[str, LoweredModel], dict[str, QuantPlan], dict[str, ir.Model]]:
    """Contender -> its lowering, plan and canonical graph."""
    plain, binary = (load_canonical(each.SerializeToString()) for each in (relu, signs))
    quantized = {"relu": calibrated(plain), "signs": calibrated(binary)}
    exact = binary_plan(binary)
    assert exact is not None
    chosen = {
        "relu int8": ("ort-x86", plain, quantized["relu"]),
        "signs int8": ("ort-x86", binary, quantized["signs"]),
        "binary float": ("binary", binary, exact),
        "binary int8": ("binary", binary, quantized["signs"]),
    }
    lowered = {name: lower(kind, model, plan) for name, (kind, model, plan) in chosen.items()}
    return lowered, {name: plan for name, (_, _, plan) in chosen.items()}, {k: m for k, (_, m, _) in chosen.items()}


def calibrated(model: ir.Model) -> QuantPlan:
    """A min-max plan from two pictures of noise."""
    names = [str(v.name) for node in model.graph for v in node.outputs if v.dtype == ir.DataType.FLOAT]
    runner = Runner(model, names, threads=1)
    random = np.random.RandomState(2)
    shape = [int(size) for size in model.graph.inputs[0].shape or ()]
    runs = [runner.run(random.randn(*shape).astype(np.float32)) for _ in range(2)]
    ranges = {
        name: (min(float(r[i].min()) for r in runs), max(float(r[i].max()) for r in runs))
        for i, name in enumerate(names)
    }
    return make_plan(model, {str(model.graph.inputs[0].name): (-4.5, 4.5), **ranges}, PlanOptions("minmax"))


def check(model: ir.Model, lowered: LoweredModel, plan: QuantPlan, x: np.ndarray) -> dict:
    """Compare every binary layer with plain operators, from the same inputs."""
    twin = exact_sums(with_pairs(model, plan, CANONICAL), plan)
    found = compare_codes(lowered.model, twin, [x], optimised=True, readings=lowered.readings)
    assert found.binary is not None
    if found.binary.worst > 1e-5 or found.binary.layers != 2 * len(STAGES):
        raise SystemExit(f"error: binary layers differ from plain operators: {found.binary}")
    return found.to_json()


def bundle_bytes(model: ir.Model, plan: QuantPlan, lowered: LoweredModel) -> int:
    """Size of a bundle that holds this lowering alone."""
    data, references = with_external_data(lowered.model)
    stored = stored_tensors(model, plan)
    tensors = [stored[name] for name in dict.fromkeys(name for name, _ in references)]
    manifest = {"model": {"name": "resnet18"}, "preprocess": {}, "decode": {}, "plan": short_floats(plan.to_json())}
    graph = LoweredGraph(data, references, lowered.opset, lowered.requires)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "resnet18.ekb")
        write_bundle(path, manifest=manifest, tensors=tensors, lowerings={lowered.name: graph})
        return os.path.getsize(path)


def session_call(data: bytes, x: np.ndarray) -> Callable[[], object]:
    """A call that runs the graph on `x` on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    domains = [entry.domain for entry in onnx.load_from_string(data).opset_import]
    add_operators(options, domains, "the graph", ort.__version__)
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": x})


def interleaved(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Name -> CPU time of each call in milliseconds."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order = np.random.RandomState(3)
    names = list(calls)
    for round_number in range(-WARMUP, rounds):
        for index in order.permutation(len(names)):
            started = time.thread_time()
            calls[names[index]]()
            spent = (time.thread_time() - started) * 1e3
            if round_number >= 0:
                samples[names[index]].append(spent)
    return samples


def report(args: argparse.Namespace, samples: dict[str, list[float]], sizes: dict, parity: dict) -> None:
    speed = {
        name: {"median_ms": float(np.median(values)), "min_ms": min(values)}
        | {
            f"faster_than_{base.replace(' ', '_')}": ratio_of_medians(samples[base], values).to_json()
            for base in ("relu fp32", "signs fp32", "relu int8", "signs int8")
            if base != name
        }
        for name, values in samples.items()
    }
    reference = sizes["relu fp32"]["onnx"]
    machine = machine_record()
    value = {
        "machine": machine,
        "kernels": native().kernels,
        "load": load_average(),
        "note": args.note,
        "time": utc_now(),
        "versions": {"onnxruntime": ort.__version__, "numpy": np.__version__},
        "size": args.size,
        "rounds": args.rounds,
        "warmup": WARMUP,
        "parity": parity,
        "speed": speed,
        "bytes": sizes,
        "smaller": {name: {kind: reference / count for kind, count in each.items()} for name, each in sizes.items()},
    }
    value["gates"] = gates(value)
    default = ROOT / "benchmarks" / "results" / machine_name(machine) / "binary_network.json"
    output = Path(args.output) if args.output else default
    output.parent.mkdir(parents=True, exist_ok=True)
    rounded = {name: [round(v, 4) for v in values] for name, values in samples.items()}
    with atomic_write(output, "w") as stream:
        json.dump({**value, "samples": rounded}, stream)
    show(value)
    print(json.dumps(value))


def gates(value: dict) -> dict:
    """What was to be reached, what was, and whether that is enough; speed against both float32 networks."""
    reached = {}
    for name in ("binary float", "binary int8"):
        for base in ("signs_fp32", "relu_fp32"):
            ratio = value["speed"][name][f"faster_than_{base}"]["speedup"]
            reached[f"{name}, times as fast as {base.replace('_', ' ')}"] = (GATES["speed"], ratio)
    for name, gate in (("binary float", "size, float leftovers"), ("binary int8", "size, int8 leftovers")):
        for kind in ("onnx", "bundle"):
            reached[f"{name}, times smaller, {kind}"] = (GATES[gate], value["smaller"][name][kind])
    return {k: {"wanted": want, "reached": round(got, 3), "met": got >= want} for k, (want, got) in reached.items()}


def show(value: dict) -> None:
    heads = ("x signs fp32 (95 %)", "x relu fp32 (95 %)", "onnx bytes", "bundle bytes")
    print("                 median ms   min ms    {}     {}      {}   {}".format(*heads))
    for name, row in value["speed"].items():
        line = f"  {name:14s} {row['median_ms']:8.3f}  {row['min_ms']:8.3f}"
        for base in ("signs_fp32", "relu_fp32"):
            ratio = row.get(f"faster_than_{base}")
            line += f"   {ratio['speedup']:5.2f} ({ratio['low']:5.2f}..{ratio['high']:5.2f})" if ratio else " " * 23
        count = value["bytes"][name]
        print(line + f"   {count['onnx']:12,d}   {count.get('bundle', 0) or '-':>12}")
    for name, row in value["gates"].items():
        print(f"  {name}: {row['reached']:.2f}, wanted {row['wanted']}: {'met' if row['met'] else 'NOT met'}")


if __name__ == "__main__":
    main()
