"""Our int8 graph for x86 beside its peers' int8 graphs of the same network, all on one onnxruntime, in turns.

    python benchmarks/int8_vs_peers.py MODEL.onnx --calib IMAGES [--peer-onnx NAME=FILE ...]

Contenders: `fp32` (the file as given), `edgekit` (its `ort-x86` lowering), `onnxruntime` (quantize_static: QDQ, uint8
activations, int8 weights per channel, min-max, on the same images; it is the fastest of its settings on x86, signed
activations being slower than float32), and any Q/DQ file that another tool made. NVIDIA ModelOpt, for one, in a virtual
environment of its own:

    from modelopt.onnx.quantization import quantize
    quantize(MODEL, quantize_mode="int8", calibration_data={"images": x}, calibration_eps=["cpu"],
             high_precision_dtype="fp32", output_path=FILE)

One process holds a session of each, threads do not spin. A round runs every contender once on the same picture, in a
shuffled order; wall time and CPU time of each call are kept. The ratio is the median of the contender over the median
of ours, with a 95 % bootstrap interval. Last line: JSON. Raw samples, one entry a model:
benchmarks/results/<machine>/int8_vs_peers.json.
"""

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.compare import ratio_of_medians  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.timing import summary  # noqa: E402
from edgekit.data.dataset import images_in  # noqa: E402
from edgekit.export import ExportOptions, onnx_from_model  # noqa: E402
from edgekit.files import atomic_write, sha256_file  # noqa: E402
from edgekit.graph.calibrate.images import prepared  # noqa: E402
from edgekit.graph.families import detect_family  # noqa: E402
from edgekit.graph.load import load_canonical, model_bytes  # noqa: E402
from edgekit.graph.quantize import QuantizeOptions, spaced  # noqa: E402

OURS = "edgekit"
WARMUP = 10


def main() -> None:
    args = arguments()
    logging.disable(logging.WARNING)  # quantize_static advises on every call
    inputs = calibration_inputs(args)
    with tempfile.TemporaryDirectory() as folder:
        files = contenders(args, inputs, Path(folder))
        runs = {threads: interleaved(files, inputs, threads, args.rounds) for threads in args.threads}
        report(args, files, runs)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an ONNX detector, float32")
    parser.add_argument("--calib", required=True, help="a folder of pictures")
    parser.add_argument("--count", type=int, default=48, help="pictures to calibrate on")
    parser.add_argument("--ours", help="our ort-x86 file, already exported, instead of exporting one")
    parser.add_argument("--float-layers", default="auto", help="as in edgekit export")
    parser.add_argument("--peer-onnx", action="append", default=[], metavar="NAME=FILE", help="a peer's Q/DQ file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--note", default="", help="what else ran on the machine; kept with the samples")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/int8_vs_peers.json")
    return parser.parse_args()


def calibration_inputs(args: argparse.Namespace) -> list[np.ndarray]:
    preprocess = detect_family(load_canonical(args.model)).preprocess
    return [x for _, x in prepared(spaced(list(images_in(args.calib)), args.count), preprocess)]


def contenders(args: argparse.Namespace, inputs: list[np.ndarray], folder: Path) -> dict[str, str]:
    """Name -> ONNX file."""
    files = {"fp32": args.model, OURS: args.ours or str(folder / "edgekit.onnx")}
    if args.ours is None:
        options = ExportOptions(quantize=QuantizeOptions(float_layers=args.float_layers), parity_images=1)
        onnx_from_model(args.model, files[OURS], "ort-x86", calib=args.calib, options=options)
    files["onnxruntime"] = quantized_by_onnxruntime(args.model, inputs, folder)
    for peer in args.peer_onnx:
        name, _, path = peer.partition("=")
        files[name] = path
    return files


def quantized_by_onnxruntime(model: str, inputs: list[np.ndarray], folder: Path) -> str:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            x = next(self._feeds, None)
            return None if x is None else {name: x}

    source, output = folder / "opset13.onnx", folder / "onnxruntime.onnx"
    canonical = load_canonical(model)  # opset 13, which per-channel scales need
    name = str(canonical.graph.inputs[0].name)
    source.write_bytes(model_bytes(canonical))
    quantize_static(
        str(source),
        str(output),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return str(output)


def interleaved(files: dict[str, str], inputs: list[np.ndarray], threads: int, rounds: int) -> dict[str, dict]:
    """Name -> wall_ms and cpu_ms, one sample a round."""
    sessions = {name: open_session(path, threads) for name, path in files.items()}
    samples: dict[str, dict] = {name: {"wall_ms": [], "cpu_ms": []} for name in files}
    rng = random.Random(0)
    for index in range(-WARMUP, rounds):
        x = inputs[index % len(inputs)]
        for name in rng.sample(list(files), len(files)):
            wall, cpu = timed(sessions[name], x)
            if index >= 0:
                samples[name]["wall_ms"].append(wall)
                samples[name]["cpu_ms"].append(cpu)
    return samples


def open_session(path: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def timed(session: ort.InferenceSession, x: np.ndarray) -> tuple[float, float]:
    """Wall and CPU milliseconds of one call."""
    name = session.get_inputs()[0].name
    wall, cpu = time.perf_counter(), time.process_time()
    session.run(None, {name: x})
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def report(args: argparse.Namespace, files: dict[str, str], runs: dict[int, dict[str, dict]]) -> None:
    table = {}
    for threads, samples in runs.items():
        ours = samples[OURS]
        table[threads] = {
            name: {
                "wall_ms": summary(each["wall_ms"]),
                "cpu_ms": summary(each["cpu_ms"]),
                "ours_is_faster_wall": ratio_of_medians(each["wall_ms"], ours["wall_ms"]).to_json(),
                "ours_is_faster_cpu": ratio_of_medians(each["cpu_ms"], ours["cpu_ms"]).to_json(),
            }
            for name, each in samples.items()
        }
    machine = machine_record()
    value = {
        "model": Path(args.model).name,
        "machine": machine,
        "load": load_average(),
        "note": args.note,
        "time": utc_now(),
        "versions": {"onnxruntime": ort.__version__, "onnx": onnx.__version__, "numpy": np.__version__},
        "files": {
            name: {"bytes": Path(path).stat().st_size, "sha256": sha256_file(path)} for name, path in files.items()
        },
        "rounds": args.rounds,
        "warmup": WARMUP,
        "table": table,
    }
    default = ROOT / "benchmarks" / "results" / machine_name(machine) / "int8_vs_peers.json"
    output = Path(args.output) if args.output else default
    output.parent.mkdir(parents=True, exist_ok=True)
    models = json.loads(output.read_text())["models"] if output.exists() else {}
    models[value["model"]] = {**value, "samples": rounded(runs)}
    with atomic_write(output, "w") as stream:
        json.dump({"models": models}, stream)
    show(table)
    print(json.dumps(value))


def rounded(runs: dict[int, dict[str, dict]]) -> dict[int, dict[str, dict]]:
    """Samples to the microsecond."""
    return {
        threads: {name: {kind: [round(v, 3) for v in row] for kind, row in each.items()} for name, each in rows.items()}
        for threads, rows in runs.items()
    }


def show(table: dict[int, dict[str, dict]]) -> None:
    for threads, rows in table.items():
        print(f"{threads} thread(s)        wall p50   cpu p50   ours is faster: wall (95 %)      cpu (95 %)")
        for name, row in rows.items():
            wall, cpu = row["ours_is_faster_wall"], row["ours_is_faster_cpu"]
            print(
                f"  {name:16s} {row['wall_ms']['p50']:8.2f}  {row['cpu_ms']['p50']:8.2f}   "
                f"{wall['speedup']:.2f} ({wall['low']:.2f}..{wall['high']:.2f})      "
                f"{cpu['speedup']:.2f} ({cpu['low']:.2f}..{cpu['high']:.2f})"
            )


if __name__ == "__main__":
    main()
