"""Time and memory of calibration beside onnxruntime's own min-max calibrator, on the same pictures, in turns.

    python benchmarks/calibration.py                         YOLOX-s at 640, random weights, 100 rendered pictures
    python benchmarks/calibration.py --model x.onnx --images DIR --count 48

Every run is a fresh process, so peak memory is its own. A round runs every contender once, in a shuffled order; each
decodes, prepares and runs the same pictures. Peer: onnxruntime.quantization.MinMaxCalibrater with its defaults, fed one
picture at a time. Ours: one pass and the search of that method's thresholds. Both may use all the machine's threads.
Wall and CPU seconds (of the process, all threads) are kept; the ratio is the median over the rounds of ours / peer
within a round. Random weights make activations of another shape, not of another size: neither time nor memory depends
on what the pictures show. Last line: JSON. Raw samples: benchmarks/results/<machine>/calibration.json.
"""

import argparse
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PEER = "onnxruntime-minmax"
OURS = ("minmax", "percentile", "entropy", "mse")


def main() -> None:
    args = arguments()
    if args.worker:
        print(json.dumps(work(args.worker, args.model, args.images, args.count)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            args.model = yolox_s(Path(folder) / "yolox_s_640.onnx")
        if args.images is None:
            args.images = pictures(Path(folder) / "images", args.count)
        report(args, rounds(args))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="an ONNX detector; default: YOLOX-s at 640 with random weights")
    parser.add_argument("--images", help="a folder of pictures; default: rendered ones of 1280x720")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", default=[PEER, *OURS])
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/calibration.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def yolox_s(path: Path) -> str:
    """Write YOLOX-s, 80 classes, 640 x 640, weights of seed 0."""
    import torch

    from edgekit.graph.families import COCO_80
    from edgekit.models import yolox_s as build
    from edgekit.models.onnx_export import export_onnx

    torch.manual_seed(0)
    export_onnx(build(80).eval(), path, (640, 640), COCO_80)
    return str(path)


def pictures(folder: Path, count: int) -> str:
    """Write `count` JPEGs of 1280 x 720 with structure at every scale, seed 0."""
    import cv2
    import numpy as np

    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        layers = [
            cv2.resize(rng.uniform(0, 255, (h, h * 16 // 9, 3)).astype(np.float32), (1280, 720)) for h in (9, 45, 180)
        ]
        cv2.imwrite(str(folder / f"{index:03}.jpg"), np.mean(layers, axis=0).astype(np.uint8))
    return str(folder)


def rounds(args: argparse.Namespace) -> list[dict]:
    """One sample a contender and round."""
    rng, samples = random.Random(1), []
    for number in range(args.rounds):
        for contender in rng.sample(args.contenders, len(args.contenders)):
            command = [sys.executable, __file__, "--worker", contender, "--model", args.model]
            command += ["--images", args.images, "--count", str(args.count)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            sample = {"round": number, "contender": contender, **json.loads(done.stdout.splitlines()[-1])}
            print(f"{number} {contender:20} {sample['wall_s']:7.1f} s  {sample['peak_mb']:6.0f} MB", file=sys.stderr)
            samples.append(sample)
    return samples


def work(contender: str, model_path: str, images: str, count: int) -> dict:
    """Calibrate once in this process."""
    from edgekit.graph.calibrate.images import choose_images, prepared
    from edgekit.graph.families import detect_family
    from edgekit.graph.load import load_canonical

    logging.disable(logging.WARNING)
    model = load_canonical(model_path)
    preprocess = detect_family(model).preprocess
    chosen = choose_images(images, count)
    base_mb = peak_mb()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    calibrate = peer if contender == PEER else ours
    tensors = calibrate(contender, model, preprocess, chosen, prepared(chosen.images, preprocess))
    return {
        "wall_s": time.perf_counter() - begin,
        "cpu_s": time.process_time() - begin_cpu,
        "peak_mb": peak_mb(),
        "before_mb": base_mb,
        "tensors": tensors,
    }


def ours(method, model, preprocess, chosen, inputs) -> int:
    from edgekit.graph.calibrate.stream import stream
    from edgekit.graph.ranges import make_table

    histograms = stream(model, inputs, len(chosen.images))
    return len(make_table("bench", model, histograms, chosen, preprocess, [method]).ranges[method])


def peer(_, model, preprocess, chosen, inputs) -> int:
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    from edgekit.graph.load import model_bytes

    class Reader(CalibrationDataReader):
        def get_next(self):
            item = next(inputs, None)
            return None if item is None else {model.graph.inputs[0].name: item[1]}

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model_bytes(model))
        calibrator = create_calibrator(
            path, augmented_model_path=str(Path(folder) / "augmented.onnx"), calibrate_method=CalibrationMethod.MinMax
        )
        calibrator.collect_data(Reader())
        return len(calibrator.compute_data().data)


def peak_mb() -> float:
    """Largest resident memory of this process; getrusage would count the parent's until the child has more."""
    with open("/proc/self/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmHWM"].split()[0]) / 1024


def report(args: argparse.Namespace, samples: list[dict]) -> None:
    """Print the medians and keep the samples."""
    import numpy
    import onnxruntime

    from edgekit.bench.record import load_average, machine_name, machine_record, utc_now
    from edgekit.files import atomic_write

    machine = machine_record()
    result = {
        "benchmark": "calibration",
        "model": Path(args.model).name,
        "images": args.count,
        "made": utc_now(),
        "machine": machine,
        "versions": {"onnxruntime": onnxruntime.__version__, "numpy": numpy.__version__},
        "load_average": load_average(),
        "summary": {name: summary(samples, name) for name in args.contenders},
        "samples": samples,
    }
    output = Path(args.output or ROOT / "benchmarks" / "results" / machine_name(machine) / "calibration.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as stream:
        stream.write(json.dumps(result, indent=1) + "\n")
    print(json.dumps({"output": str(output), "summary": result["summary"]}))


def summary(samples: list[dict], contender: str) -> dict:
    """Medians of one contender; time as a ratio to the peer of the same round."""
    own = {s["round"]: s for s in samples if s["contender"] == contender}
    peers = {s["round"]: s for s in samples if s["contender"] == PEER}
    median = statistics.median
    result = {key: round(median(s[key] for s in own.values()), 2) for key in ("wall_s", "cpu_s", "peak_mb")}
    if peers and contender != PEER:
        for key in ("wall_s", "cpu_s"):
            result[f"{key}_ratio"] = round(median(own[n][key] / peers[n][key] for n in own), 3)
    return result


if __name__ == "__main__":
    main()
