"""Time the native letterbox and suppression beside the OpenCV and NumPy that stand in for them, in turns.

    python benchmarks/native_process.py

In one process, each way once a round, in a shuffled order, so that what disturbs the machine disturbs all of them. CPU
time is the thread's own, which a busy machine hardly moves, with OpenCV on one thread; wall time is with as many
threads as OpenCV takes by itself, while the native library always runs on one. Outputs are compared before anything is
timed. Last line: JSON.
Raw samples: benchmarks/results/<machine>/native_process.json.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit import boxes  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.timing import Timing, interleave  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.ops.library import native  # noqa: E402
from edgekit.ops.nms import nms  # noqa: E402
from edgekit.process import Preprocess, prepare  # noqa: E402

THREADS = cv2.getNumThreads()
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
LETTERBOXES = {
    "1080p to 640, ratio 3": ((1080, 1920), Preprocess(640, 640)),
    "1080p to 416": ((1080, 1920), Preprocess(416, 416)),
    "1080p to 640 x 640, stretched": ((1080, 1920), Preprocess(640, 640, "stretch")),
    "1080p to 608, normalised RGB": ((1080, 1920), Preprocess(608, 608, "center", 114, MEAN, STD, rgb=True)),
    "4K to 640, ratio 6": ((2160, 3840), Preprocess(640, 640)),
    "640 x 512 to 416": ((512, 640), Preprocess(416, 416)),
}
CANDIDATES = (160, 2400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/native_process.json")
    args = parser.parse_args()
    if native().path is None:
        raise SystemExit(f"error: the native library: {native().problem}")
    machine = machine_record()
    result = {
        "what": "letterbox and suppression, native beside OpenCV and NumPy, ms a call",
        "machine": machine,
        "started": utc_now(),
        "load_average": load_average(),
        "kernels": native().kernels,
        "versions": {"numpy": np.__version__, "opencv": cv2.__version__, "opencv_threads": THREADS},
        "warmup": args.warmup,
    }
    result["letterbox"] = {name: time_letterbox(*LETTERBOXES[name], args) for name in LETTERBOXES}
    result["nms"] = {str(count): time_nms(count, args) for count in CANDIDATES}
    path = args.output or ROOT / "benchmarks" / "results" / machine_name(machine) / "native_process.json"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(str(path)) as stream:
        stream.write(json.dumps(result, indent=1).encode())
    for kind in ("letterbox", "nms"):
        for name, clocks in result[kind].items():
            for clock, ways in clocks.items():
                told = ", ".join(f"{way} {ways[way]['p50_ms']:.3f} ms" for way in ways)
                print(f"{kind:10} {name:32} {clock:5} {told}")
    print(json.dumps({kind: speedups(result[kind]) for kind in ("letterbox", "nms")}))


def speedups(cases: dict) -> dict:
    """How many times as long the median of each other way is as that of the native one."""
    return {
        name: {
            f"{way}, {clock}": round(ways[way]["p50_ms"] / ways["native"]["p50_ms"], 2)
            for clock, ways in clocks.items()
            for way in ways
            if way != "native"
        }
        for name, clocks in cases.items()
    }


def time_letterbox(size_hw: tuple, spec: Preprocess, args: argparse.Namespace) -> dict:
    rng = np.random.RandomState(0)
    # A picture, not noise alone: neither way branches on the pixels, but caches and clocks should see the usual.
    image = cv2.resize(rng.randint(0, 256, (60, 80, 3)).astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    out = np.empty((1, 3, spec.height, spec.width), np.float32)

    def way(library: str) -> Callable[[], np.ndarray]:
        def call() -> np.ndarray:
            os.environ["EDGEKIT_NATIVE"] = library
            return prepare(image, spec, out=out)[0]

        return call

    ways = {"native": way(""), "opencv": way("off")}
    same(ways)
    return timed(ways, args)


def time_nms(count: int, args: argparse.Namespace) -> dict:
    """`count` candidates around an eighth as many objects of ten classes, as a head gives them."""
    rng = np.random.RandomState(1)
    corner = rng.rand(count // 8, 2) * 600
    objects = np.concatenate([corner, corner + rng.rand(count // 8, 2) * 60 + 8], axis=1)
    number = rng.randint(0, count // 8, count)
    xyxy = (objects[number] + rng.randn(count, 4) * 2).astype(np.float32)
    score, class_id = rng.rand(count).astype(np.float32), rng.randint(0, 10, count // 8)[number]
    os.environ["EDGEKIT_NATIVE"] = ""
    ways = {
        "native": lambda: nms(xyxy, score, class_id, 0.65, 300),
        "numpy": lambda: boxes.nms(xyxy, score, class_id, 0.65, 300),
        "opencv": lambda: cv2.dnn.NMSBoxesBatched(boxes.xyxy_to_xywh(xyxy), score, class_id, 0.0, 0.65, 1.0, 300),
    }
    same({name: ways[name] for name in ("native", "numpy")})
    return timed(ways, args)


def same(ways: dict) -> None:
    results = {name: call().copy() for name, call in ways.items()}
    for name, value in results.items():
        if not np.array_equal(value, results["native"]):
            raise SystemExit(f"error: {name} gives another result than the native library")


def timed(ways: dict, args: argparse.Namespace) -> dict:
    """Clock -> way -> its median, its minimum and all samples."""
    cv2.setNumThreads(1)
    cpu = interleave(ways, args.rounds, args.warmup, clock=time.thread_time)
    cv2.setNumThreads(THREADS)
    wall = interleave(ways, args.rounds, args.warmup)
    return {
        clock: {way: row(timing) for way, timing in taken.items()} for clock, taken in (("cpu", cpu), ("wall", wall))
    }


def row(timing: Timing) -> dict:
    return {
        "p50_ms": round(float(np.median(timing.samples_ms)), 5),
        "min_ms": round(min(timing.samples_ms), 5),
        "samples_ms": [round(value, 5) for value in timing.samples_ms],
    }


if __name__ == "__main__":
    main()
