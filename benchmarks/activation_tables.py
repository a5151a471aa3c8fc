"""What it gains to look activation functions up, beside the same graphs in standard operators and beside the peers.

    python benchmarks/activation_tables.py MODEL.onnx --calib IMAGES [--val IMAGES ANNOTATIONS.json] [--openvino]

The network is exported once, with the defaults of `edgekit export`. Contenders, each a session of one process:

    fp32                        the file as given, in onnxruntime
    ort-x86, ort-x86-tables     these lowerings in onnxruntime's standard operators
    ... with tables             the same files, opened as a bundle's are where the native library is
    onnxruntime                 quantize_static: QDQ, uint8 activations, int8 weights per channel, on the same images
    nncf                        with --openvino: NNCF's post-training INT8 in OpenVINO, on the same images

A round runs each once on the same picture, in a shuffled order, on one thread; CPU time of the process, in which other
work on the machine does not count, and wall time. That the outputs with tables are those without, bit for bit, is
checked on all calibration images. With --val every lowering is scored with and without tables. Last line: JSON. Raw
samples: benchmarks/results/<machine>/activation_tables.json.
"""

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.int8_vs_peers import calibration_inputs, quantized_by_onnxruntime  # noqa: E402
from edgekit.bench.compare import ratio_of_medians  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.timing import shuffled_orders, summary  # noqa: E402
from edgekit.bench.validate import validate  # noqa: E402
from edgekit.bundle import open_bundle  # noqa: E402
from edgekit.data.coco import read_coco  # noqa: E402
from edgekit.export import ExportOptions, bundle_from_model  # noqa: E402
from edgekit.files import atomic_write, sha256_file  # noqa: E402
from edgekit.ops.library import native  # noqa: E402
from edgekit.runtime.session import Session, open_session  # noqa: E402

LOWERINGS = ("ort-x86", "ort-x86-tables")
BEST = "ort-x86-tables with tables"
WARMUP = 10

Call = Callable[[np.ndarray], list[np.ndarray]]


def main() -> None:
    args = arguments()
    logging.disable(logging.WARNING)  # quantize_static advises on every call
    inputs = calibration_inputs(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = folder / "network.ekb"
        bundle_from_model(
            args.model,
            str(bundle),
            calib=args.calib,
            options=ExportOptions(lowerings=LOWERINGS, golden_images=0, parity_images=1),
        )
        sessions = our_sessions(args.model, bundle, folder)
        same = {each: outputs_agree(sessions[each], sessions[with_tables(each)], inputs) for each in LOWERINGS}
        calls = {each: call_of(session) for each, session in sessions.items()}
        calls["onnxruntime"] = call_of(open_session(quantized_by_onnxruntime(args.model, inputs, folder), threads=1))
        if args.openvino:
            calls["nncf"] = nncf_call(args.model, inputs)
        samples = interleaved(calls, inputs, args.rounds)
        scores = scored(bundle, args.val) if args.val else None
        backends = {each: session.backend for each, session in sessions.items()}
        report(args, samples, {"same_bits": same, "ap": scores, "backends": backends, "sha256": sha256_file(bundle)})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an ONNX detector, float32")
    parser.add_argument("--calib", required=True, help="a folder of pictures")
    parser.add_argument("--count", type=int, default=48, help="pictures to calibrate the peers on")
    parser.add_argument("--val", nargs=2, metavar=("IMAGES", "ANNOTATIONS"), help="a labelled set in COCO's format")
    parser.add_argument("--openvino", action="store_true", help="with NNCF and OpenVINO, which must be installed")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--note", default="", help="what else ran on the machine; kept with the samples")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/activation_tables.json")
    return parser.parse_args()


def with_tables(lowering: str) -> str:
    return f"{lowering} with tables"


def our_sessions(model: str, bundle: Path, folder: Path) -> dict[str, Session]:
    """Name of the contender -> session; only what is kept optimised gets tables."""
    sessions = {"fp32": open_session(model, threads=1)}
    for name in LOWERINGS:
        graph = open_bundle(bundle).materialise(name, str(folder / "cache"))
        sessions[name] = open_session(graph, threads=1)
        sessions[with_tables(name)] = open_session(graph, threads=1, keep_optimized=True)
    return sessions


def call_of(session: Session) -> Call:
    return lambda x: session.run({session.inputs[0].name: x})


def outputs_agree(one: Session, other: Session, inputs: list[np.ndarray]) -> bool:
    first, second = call_of(one), call_of(other)
    return all(np.array_equal(a, b) for x in inputs for a, b in zip(first(x), second(x), strict=True))


def nncf_call(model: str, inputs: list[np.ndarray]) -> Call:
    """NNCF's defaults on the same images, compiled for one thread."""
    import nncf  # type: ignore[import-not-found]
    import openvino  # type: ignore[import-not-found]

    quantized = nncf.quantize(openvino.convert_model(model), nncf.Dataset(inputs), subset_size=len(inputs))
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(quantized, "CPU", settings)
    request = compiled.create_infer_request()

    def call(x: np.ndarray) -> list[np.ndarray]:
        return list(request.infer([x]).values())

    return call


def interleaved(calls: dict[str, Call], inputs: list[np.ndarray], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Name -> wall_ms and cpu_ms, one sample a round."""
    samples: dict[str, dict[str, list[float]]] = {name: {"wall_ms": [], "cpu_ms": []} for name in calls}
    pictures = random.Random(0).choices(inputs, k=rounds + WARMUP)
    for number, order in enumerate(shuffled_orders(list(calls), rounds + WARMUP, 0)):
        for name in order:
            wall, cpu = time.perf_counter(), time.process_time()
            calls[name](pictures[number])
            if number >= WARMUP:
                samples[name]["wall_ms"].append(round(1e3 * (time.perf_counter() - wall), 3))
                samples[name]["cpu_ms"].append(round(1e3 * (time.process_time() - cpu), 3))
    return samples


def scored(bundle: Path, labelled: list[str]) -> dict[str, float]:
    """Contender -> COCO AP of the whole chain."""
    dataset = read_coco(labelled[1], labelled[0])
    found: dict[str, float] = {}
    for name in LOWERINGS:
        found[with_tables(name)] = ap_of(bundle, dataset, name)
        asked = os.environ.get("EDGEKIT_NATIVE")
        os.environ["EDGEKIT_NATIVE"] = "off"
        try:
            found[name] = ap_of(bundle, dataset, name)
        finally:
            del os.environ["EDGEKIT_NATIVE"]
            os.environ.update({} if asked is None else {"EDGEKIT_NATIVE": asked})
    return found


def ap_of(bundle: Path, dataset: Any, lowering: str) -> float:
    return float(validate(bundle, dataset, lowering, device="cpu").to_json()["AP"])


def report(args: argparse.Namespace, samples: dict[str, dict[str, list[float]]], found: dict[str, Any]) -> None:
    ours = samples[BEST]
    table = {
        name: {
            "cpu_ms": summary(each["cpu_ms"]),
            "wall_ms": summary(each["wall_ms"]),
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
        "onnxruntime": ort.__version__,
        "native": native()._asdict() | {"path": None},
        "rounds": args.rounds,
        "warmup": WARMUP,
        "table": table,
        **found,
    }
    default = ROOT / "benchmarks" / "results" / machine_name(machine) / "activation_tables.json"
    output = Path(args.output) if args.output else default
    output.parent.mkdir(parents=True, exist_ok=True)
    models = json.loads(output.read_text())["models"] if output.exists() else {}
    models[value["model"]] = {**value, "samples": samples}
    with atomic_write(output, "w") as stream:
        json.dump({"models": models}, stream)
    for name, row in table.items():
        ratio = row["ours_is_faster_cpu"]
        print(
            f"{name:28s} cpu p50 {row['cpu_ms']['p50']:7.2f}  least {min(samples[name]['cpu_ms']):7.2f}   "
            f"ours is faster {ratio['speedup']:.2f} ({ratio['low']:.2f}..{ratio['high']:.2f})"
        )
    print(json.dumps(value))


if __name__ == "__main__":
    main()
