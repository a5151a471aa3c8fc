"""The whole way from a 1080p video to tracked boxes, beside Ultralytics, with the same network file.

    python benchmarks/end_to_end.py --peer-python PYTHON --video VIDEO [--onnx MODEL] [--bundle BUNDLE] [--int8 INT8]

PYTHON has ultralytics and onnxruntime. VIDEO is any clip; it is enlarged to 1920 x 1080. MODEL is a network that both
can run; without it, PYTHON exports a YOLOv8n with random weights, in which the scores of 26 objects are planted (156
anchors pass): numbers of latency and memory, nothing about accuracy. BUNDLE is what edgekit makes of it (`edgekit
export MODEL --fp32 -o BUNDLE`) and INT8 the quantised one (`--int8 --float-layers none`); made here where not given.

Each measurement is a process of its own, and the processes take turns in a shuffled order:

- start: from the spawn of the process to the line that says "first boxes", and the time of the imports alone;
- run: `--frames` frames with the tracker on; preprocess, infer, postprocess and track of each, and the peak memory.

Ultralytics and the first of ours run the same fp32 network, all on onnxruntime with conf 0.1, iou 0.65, at most 300
boxes, ByteTrack without camera motion, threads as each has them by default. The very first start of each, which unpacks
and writes byte code, is kept apart. CPU time to the first boxes is kept beside the wall's: it says more on a busy
machine. Last line: JSON. Raw samples: benchmarks/results/<machine>/end_to_end.json.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
WORKERS = Path(__file__).with_name("end_to_end_workers.py")
OURS, INT8, PEER = "edgekit", "edgekit-int8", "ultralytics"
CALIBRATION_IMAGES = 16


def main() -> None:
    args = arguments()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="edgekit-e2e-") as folder:
        found = measure(args, Path(folder))
    report(args, found)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="a Python with ultralytics and onnxruntime")
    parser.add_argument("--video", required=True, help="any clip")
    parser.add_argument("--onnx", help="a YOLOv8-style network; default: one with random weights, made here")
    parser.add_argument("--bundle", help="the same network for edgekit; default: exported here")
    parser.add_argument("--int8", help="the same quantised; default: exported here")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=4, help="run processes of each")
    parser.add_argument("--starts", type=int, default=12, help="start processes of each")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/end_to_end.json")
    return parser.parse_args()


def measure(args: argparse.Namespace, folder: Path) -> dict:
    """All processes, in turns; raw answers by side and kind."""
    video, total = str(folder / "1080p.mp4"), args.frames + args.warmup
    spawn(sys.executable, "video", args.video, video, total)
    onnx = args.onnx or str(folder / "yolov8n.onnx")
    if not args.onnx:
        spawn(args.peer_python, "make", onnx)
    bundle, quantised = bundles(args, folder, onnx, video)
    os.environ["EDGEKIT_CACHE"] = str(folder / "cache")
    sides = {OURS: (sys.executable, bundle), INT8: (sys.executable, quantised), PEER: (args.peer_python, onnx)}
    found: dict = {side: {"first_ever": [], "starts": [], "runs": []} for side in sides}
    rng = random.Random(0)
    jobs = [("starts", 1)] * args.starts + [("runs", total)] * args.rounds
    rng.shuffle(jobs)
    for number, (kind, frames) in enumerate([("first_ever", 1), *jobs]):
        for side in rng.sample(list(sides), len(sides)):
            python, model = sides[side]
            worker = PEER if side == PEER else OURS
            found[side][kind].append(spawn(python, worker, model, video, frames))
        print(f"{number}/{len(jobs)} {kind}", file=sys.stderr)
    return found


def bundles(args: argparse.Namespace, folder: Path, onnx: str, video: str) -> tuple:
    """Paths of the fp32 and the int8 bundle, exported where they are not given."""
    from edgekit.runtime.lowering import preferred_lowerings

    pictures = folder / "pictures"
    pictures.mkdir()
    spawn(sys.executable, "pictures", video, pictures, CALIBRATION_IMAGES)
    lowering = preferred_lowerings()[0]
    wanted = (
        (args.bundle, folder / "fp32.ekb", ["--fp32", "--images", str(pictures)]),
        (args.int8, folder / "int8.ekb", ["--int8", "--calib", str(pictures), "--lowering", lowering]),
    )
    for given, path, options in wanted:
        if not given:
            command = [sys.executable, "-m", "edgekit", "export", onnx, "-o", str(path), "--float-layers", "none"]
            subprocess.run([*command, *options], check=True, cwd=ROOT, stdout=sys.stderr)
    return tuple(str(given or path) for given, path, _ in wanted)


def spawn(python: str, *words: object) -> dict:
    """Run a worker; the object of its last line, with wall and CPU seconds from its spawn to its line "first boxes"."""
    command = [python, str(WORKERS), *map(str, words)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    first_s, cpu_s, last = None, None, ""
    for line in process.stdout:
        if line.startswith("first boxes") and first_s is None:
            first_s, cpu_s = round(time.perf_counter() - start, 4), float(line.split()[-1])
        last = line if line.startswith("{") else last
    if process.wait() != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return dict(json.loads(last), first_boxes_s=first_s, first_boxes_cpu_s=cpu_s)


def summarise(side: dict, warmup: int) -> dict:
    """Medians of one side."""

    def stage(*names: str) -> float:
        rows = [
            np.sum([run["stages_ms"][name][warmup : len(run["boxes"])] for name in names], axis=0)
            for run in side["runs"]
        ]
        return round(float(np.median(np.concatenate(rows))), 3)

    starts, runs = side["starts"], side["runs"]
    return {
        "pre_post_ms": stage("preprocess", "postprocess"),
        "preprocess_ms": stage("preprocess"),
        "infer_ms": stage("infer"),
        "postprocess_ms": stage("postprocess"),
        "track_ms": stage("track"),
        "fps": round(float(np.median([run["fps"] for run in runs])), 2),
        "import_s": round(float(np.median([one["import_s"] for one in starts])), 3),
        "first_boxes_s": round(float(np.median([one["first_boxes_s"] for one in starts])), 3),
        "first_boxes_cpu_s": round(float(np.median([one["first_boxes_cpu_s"] for one in starts])), 3),
        "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
        "boxes": round(float(np.mean([np.mean(run["boxes"][warmup:]) for run in runs])), 1),
    }


def goals(summary: dict) -> dict:
    """What the numbers are held to: name -> met."""
    ours, peer = summary[OURS], summary[PEER]
    return {
        "pre + post no slower": ours["pre_post_ms"] <= peer["pre_post_ms"],
        "tracker at most half": ours["track_ms"] <= 0.5 * peer["track_ms"],
        "import at most 0.3 s": ours["import_s"] <= 0.3,
        "first boxes within 0.65 s": ours["first_boxes_s"] <= 0.65,
        "peak memory at most 170 MB, fp32": ours["peak_rss_mb"] <= 170,
        "peak memory at most 170 MB, int8": summary[INT8]["peak_rss_mb"] <= 170,
    }


def report(args: argparse.Namespace, found: dict) -> None:
    from edgekit.bench.record import load_average, machine_name, machine_record, utc_now
    from edgekit.files import atomic_write

    machine = machine_record()
    summary = {side: summarise(rows, args.warmup) for side, rows in found.items()}
    value = {
        "what": "1080p video to tracked boxes, YOLOv8n layout at 640, onnxruntime",
        "machine": machine,
        "finished": utc_now(),
        "load_average": load_average(),
        "warmup": args.warmup,
        "summary": summary,
        "goals": goals(summary),
        "raw": found,
    }
    path = Path(args.output or ROOT / "benchmarks" / "results" / machine_name(machine) / "end_to_end.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as stream:
        json.dump(value, stream)
        stream.write("\n")
    print(json.dumps({"summary": summary, "goals": value["goals"]}))


if __name__ == "__main__":
    main()
