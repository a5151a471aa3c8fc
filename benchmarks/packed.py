"""What narrow weights save on disk, and what they cost: bytes, boxes, and the time of `packed` beside `ort-x86`.

    python benchmarks/packed.py models/fasterx_student_thermal.onnx --calib IMAGES [--val IMAGES ANNOTATIONS.json]

For each width the network is quantised anew (`--weight-bits`; the first and last layers keep 8 where they are not in
float) and written four times: a bundle of all default lowerings without golden images, one of `ort-x86` alone, and
plain ONNX files of `ort-x86` and `packed`. With --val the bundles of `ort-x86` are scored, and once more with
`--bias-correction`. Then the `packed` and `ort-x86` files of one width run in turns in one process, and are loaded in
turns, in CPU milliseconds of the process, which other jobs on the machine do not count into. Last line: JSON. Raw
samples: benchmarks/results/<machine>/packed.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.compare import ratio_of_medians  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.timing import interleave  # noqa: E402
from edgekit.bench.validate import validate  # noqa: E402
from edgekit.bundle import open_bundle  # noqa: E402
from edgekit.contents import contents_of  # noqa: E402
from edgekit.data.coco import read_coco  # noqa: E402
from edgekit.data.dataset import images_in  # noqa: E402
from edgekit.export import ExportOptions, bundle_from_model, onnx_from_model  # noqa: E402
from edgekit.files import atomic_write, sha256_file  # noqa: E402
from edgekit.graph.calibrate.images import prepared  # noqa: E402
from edgekit.graph.families import detect_family  # noqa: E402
from edgekit.graph.load import load_canonical  # noqa: E402
from edgekit.graph.quantize import QuantizeOptions, spaced  # noqa: E402

FILES = ("ort-x86", "packed")


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [row_of(args, bits, folder) for bits in args.bits]
        times = timed(args, folder)
    report(args, rows, times)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an ONNX detector, float32")
    parser.add_argument("--calib", required=True, help="a folder of pictures")
    parser.add_argument("--count", type=int, default=48, help="pictures to calibrate on")
    parser.add_argument("--method", default="auto", help="as in edgekit export")
    parser.add_argument("--float-layers", default="auto", help="as in edgekit export")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4, 3, 2])
    parser.add_argument("--val", nargs=2, metavar=("IMAGES", "JSON"), help="labelled pictures to score on")
    parser.add_argument("--classes", nargs="+", help="score over these classes alone")
    parser.add_argument("--timed-bits", type=int, default=4, help="the width whose files are timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--loads", type=int, default=15)
    parser.add_argument("--note", default="", help="what else ran on the machine; kept with the samples")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/packed.json")
    return parser.parse_args()


def row_of(args: argparse.Namespace, bits: int, folder: Path) -> dict:
    """Sizes, and scores where asked for, of one width; its files stay in `folder`."""
    quantize = QuantizeOptions(
        method=args.method, float_layers=args.float_layers, images=args.count, weight_bits=bits, ranges=str(folder)
    )
    every = ExportOptions(quantize=quantize, golden_images=0, parity_images=1, gate=False)
    one = ExportOptions(quantize=quantize, golden_images=0, parity_images=1, gate=False, lowerings=("ort-x86",))
    paths = {"all": folder / f"all{bits}.ekb", "one": folder / f"one{bits}.ekb"}
    for name, options in (("all", every), ("one", one)):
        bundle_from_model(args.model, str(paths[name]), calib=args.calib, options=options)
    contents = contents_of(open_bundle(str(paths["all"])))
    row = {
        "bits": bits,
        "layers_by_bits": open_bundle(str(paths["all"])).plan.layers_by_bits(),
        "mean_weight_bits": contents["totals"]["mean_weight_bits"],
        "bundle_bytes": contents["bytes"],
        "bundle_bytes_by_kind": contents["bytes_by_kind"],
        "bundle_of_ort_x86_bytes": os.path.getsize(paths["one"]),
    }
    for lowering in FILES:
        path = file_of(folder, lowering, bits)
        onnx_from_model(args.model, str(path), lowering, calib=args.calib, options=every)
        row[f"{lowering}_onnx_bytes"] = path.stat().st_size
    if args.val:
        row["scores"] = scores_of(args, paths["one"])
        corrected = replace(one, quantize=replace(quantize, bias_correction="weights"))
        bundle_from_model(args.model, str(paths["one"]), calib=args.calib, options=corrected)
        row["scores_with_bias_correction"] = scores_of(args, paths["one"])
    print(json.dumps(row), flush=True)
    return row


def file_of(folder: Path, lowering: str, bits: int) -> Path:
    return folder / f"{lowering}{bits}.onnx"


def scores_of(args: argparse.Namespace, bundle: Path) -> dict:
    labelled = read_coco(args.val[1], args.val[0])
    found = validate(str(bundle), labelled, lowering="ort-x86", classes=args.classes).to_json()
    return {key: found[key] for key in ("AP", "AP50")}


def timed(args: argparse.Namespace, folder: Path) -> dict:
    """Samples of running and of loading, in turns."""
    paths = {lowering: str(file_of(folder, lowering, args.timed_bits)) for lowering in FILES}
    sessions = {name: open_session(path, args.threads) for name, path in paths.items()}
    preprocess = detect_family(load_canonical(args.model)).preprocess
    _, x = next(prepared(spaced(list(images_in(args.calib)), 1), preprocess))
    runs = {name: partial(session.run, None, {session.get_inputs()[0].name: x}) for name, session in sessions.items()}
    outputs = [run()[0] for run in runs.values()]
    loads = {name: partial(open_session, path, args.threads) for name, path in paths.items()}
    return {
        "bits": args.timed_bits,
        "same_output": bool(np.array_equal(*outputs)),
        "run_ms": samples_of(runs, args.rounds, 10),
        "load_ms": samples_of(loads, args.loads, 2),
    }


def samples_of(calls: dict[str, Callable[[], object]], rounds: int, warmup: int) -> dict[str, list[float]]:
    timings = interleave(calls, rounds, warmup, clock=time.process_time)
    return {name: list(timing.samples_ms) for name, timing in timings.items()}


def open_session(path: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def report(args: argparse.Namespace, rows: list[dict], times: dict) -> None:
    machine = machine_record()
    medians = {kind: {name: float(np.median(times[kind][name])) for name in FILES} for kind in ("run_ms", "load_ms")}
    value = {
        "model": Path(args.model).name,
        "sha256": sha256_file(args.model),
        "fp32_onnx_bytes": os.path.getsize(args.model),
        "rows": rows,
        "same_output": times["same_output"],
        "medians": {kind: {name: round(v, 3) for name, v in each.items()} for kind, each in medians.items()},
        "packed_is_faster": ratio_of_medians(times["run_ms"]["ort-x86"], times["run_ms"]["packed"]).to_json(),
        "options": {"method": args.method, "float_layers": args.float_layers, "images": args.count},
        "threads": args.threads,
        "machine": machine,
        "load": load_average(),
        "note": args.note,
        "time": utc_now(),
        "versions": {"onnxruntime": ort.__version__, "numpy": np.__version__},
    }
    default = ROOT / "benchmarks" / "results" / machine_name(machine) / "packed.json"
    output = Path(args.output) if args.output else default
    output.parent.mkdir(parents=True, exist_ok=True)
    samples = {kind: {n: [round(v, 3) for v in times[kind][n]] for n in FILES} for kind in ("run_ms", "load_ms")}
    with atomic_write(output, "w") as stream:
        json.dump({**value, "timed_bits": times["bits"], "samples": samples}, stream)
    print(json.dumps(value))


if __name__ == "__main__":
    main()
