"""Time our tracker beside Ultralytics' BYTETracker, on the same boxes, in turns.

    python benchmarks/tracker.py                                    ours alone
    python benchmarks/tracker.py --peer-python /path/to/python      that Python has ultralytics

Each tracker is a process of its own, on one thread. A round is ten frames of each, in a shuffled order, while the other
waits; both see the same boxes. An object's number travels as its class, so that the identity errors can be counted. The
boxes are handed over in the form that each library takes: conversions are not timed. Thresholds are those of the
ByteTrack paper in both. Wall and process CPU time are kept: the second says more on a busy machine. Last line: JSON.
Raw samples: benchmarks/results/<machine>/tracker.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BATCH = 10
THRESHOLDS = {"track_low_thresh": 0.1, "new_track_thresh": 0.6, "track_buffer": 30, "match_thresh": 0.8}
OURS = ("edgekit", "edgekit-biou")


def main() -> None:
    args = arguments()
    if args.worker:
        work(args.worker, args.scene)
        return
    sys.path.insert(0, str(ROOT))
    report(args, {str(count): compare(args, count) for count in args.objects}, motion(args))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="a Python with ultralytics")
    parser.add_argument("--objects", type=int, nargs="+", default=[20, 100, 300])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--warmup", type=int, default=30)
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/tracker.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--scene", help=argparse.SUPPRESS)
    return parser.parse_args()


def scene(count: int, frames: int, seed: int = 0) -> np.ndarray:
    """Boxes (T, N, 6): x1 y1 x2 y2 score number, of objects that cross a 1920 x 1080 frame and turn at its borders."""
    rng = np.random.RandomState(seed)
    place, speed = rng.uniform(0, 1, (count, 2)) * (1920, 1080), rng.normal(0, 4, (count, 2))
    sides = rng.uniform(0.5, 1.5, (count, 2)) * 40
    rows = np.zeros((frames, count, 6), np.float32)
    for frame in range(frames):
        place = place + speed
        speed = np.where((place < 0) | (place > (1920, 1080)), -speed, speed)
        middle = place + rng.normal(0, 0.7, (count, 2))
        half = 0.5 * sides * (1 + rng.normal(0, 0.02, (count, 2)))
        rows[frame] = np.column_stack([middle - half, middle + half, rng.uniform(0.3, 0.95, count), np.arange(count)])
    return rows


def compare(args: argparse.Namespace, count: int) -> dict:
    """Milliseconds a frame and identity switches of each tracker."""
    path = Path("/tmp") / f"edgekit-tracker-scene-{os.getpid()}.npy"
    np.save(path, scene(count, args.frames + args.warmup))
    try:
        names = [*OURS, "ultralytics"] if args.peer_python else list(OURS)
        workers = {name: Worker(args, name, path) for name in names}
        rng = np.random.RandomState(1)
        for _ in range((args.frames + args.warmup) // BATCH):
            for index in rng.permutation(len(names)):
                workers[names[index]].batch()
        return {name: worker.close(args.warmup) for name, worker in workers.items()}
    finally:
        path.unlink()


class Worker:
    """A tracker in another process that runs ten frames at each line it gets."""

    def __init__(self, args: argparse.Namespace, name: str, scene_path: Path) -> None:
        python = args.peer_python if name == "ultralytics" else sys.executable
        command = [python, __file__, "--worker", name, "--scene", str(scene_path)]
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONPATH=str(ROOT))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.ms: list = []
        self.cpu_ms: list = []
        self.ids: list = []
        self.version = self.answer()["version"]

    def answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"the worker ended early: {self.process.args}")

    def batch(self) -> None:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.answer()
        self.ms += answer["ms"]
        self.cpu_ms += answer["cpu_ms"]
        self.ids += answer["ids"]

    def close(self, warmup: int) -> dict:
        self.process.stdin.close()
        self.process.wait()
        return {
            "version": self.version,
            "p50_ms": round(float(np.median(self.ms[warmup:])), 4),
            "cpu_p50_ms": round(float(np.median(self.cpu_ms[warmup:])), 4),
            "p99_ms": round(float(np.percentile(self.ms[warmup:], 99)), 4),
            "switches": switches(self.ids),
            "samples_ms": [round(value, 4) for value in self.ms[warmup:]],
            "samples_cpu_ms": [round(value, 4) for value in self.cpu_ms[warmup:]],
        }


def switches(frames: list) -> int:
    """How often an object's id differs from the one it had before."""
    last: dict = {}
    count = 0
    for pairs in frames:
        for number, track_id in pairs:
            count += last.setdefault(number, track_id) != track_id
            last[number] = track_id
    return count


def work(name: str, path: str) -> None:
    """The worker: one tracker over one scene, ten frames for each line on stdin."""
    rows = np.load(path)
    version, feed = (peer if name == "ultralytics" else ours)(name)
    print(json.dumps({"version": version}), flush=True)
    inputs = [feed(frame) for frame in rows[:1]]  # warms up imports and conversions
    at = 0
    for _ in sys.stdin:
        inputs = [feed(frame) for frame in rows[at : at + BATCH]]
        taken, busy, ids = [], [], []
        for call in inputs:
            start, start_cpu = time.perf_counter(), time.process_time()
            result = call()
            busy.append((time.process_time() - start_cpu) * 1e3)
            taken.append((time.perf_counter() - start) * 1e3)
            ids.append(result())
        at += BATCH
        print(json.dumps({"ms": taken, "cpu_ms": busy, "ids": ids}), flush=True)


def ours(name: str) -> tuple:
    import edgekit
    from edgekit.detections import Detections
    from edgekit.runtime.tracking import ByteConfig, ByteTracker

    gate = "biou" if name.endswith("biou") else "iou"
    tracker = ByteTracker(ByteConfig(track_thresh=0.5, gate=gate, camera_motion="off", **THRESHOLDS))

    def feed(rows: np.ndarray) -> object:
        given = Detections(rows[:, :4].copy(), rows[:, 4].copy(), rows[:, 5].astype(np.int64))

        def call() -> object:
            tracked = tracker.update(given)
            tracked = tracked[tracked.track_id >= 0]
            return lambda: np.column_stack([tracked.class_id, tracked.track_id]).tolist()

        return call

    return f"edgekit {edgekit.__version__}", feed


def peer(name: str) -> tuple:
    from types import SimpleNamespace

    import ultralytics
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.byte_tracker import BYTETracker

    tracker = BYTETracker(
        SimpleNamespace(track_high_thresh=0.5, fuse_score=True, tracker_type="bytetrack", **THRESHOLDS)
    )

    def feed(rows: np.ndarray) -> object:
        given = Boxes(rows.copy(), (1080, 1920))

        def call() -> object:
            tracked = tracker.update(given)
            return lambda: np.asarray(tracked, np.float64).reshape(-1, 8)[:, [6, 4]].astype(int).tolist()

        return call

    return f"ultralytics {ultralytics.__version__}", feed


def motion(args: argparse.Namespace) -> dict:
    """Milliseconds a frame of the camera-motion estimate, over rendered flights."""
    import cv2

    from edgekit.data.synth import Flight
    from edgekit.runtime.tracking.motion import CameraMotion

    cv2.setNumThreads(1)
    found = {}
    for width, height in ((640, 512), (1920, 1080)):
        flight = Flight(seed=5, width=width, height=height, frames=60)
        camera, taken, busy = CameraMotion(), [], []
        for index in range(60):
            frame = flight.render(index)
            start, start_cpu = time.perf_counter(), time.process_time()
            camera.estimate(frame.image_hwc, frame.xyxy)
            busy.append((time.process_time() - start_cpu) * 1e3)
            taken.append((time.perf_counter() - start) * 1e3)
        found[f"{width}x{height}"] = {
            "p50_ms": round(float(np.median(taken[5:])), 4),
            "cpu_p50_ms": round(float(np.median(busy[5:])), 4),
            "samples_ms": [round(value, 4) for value in taken[5:]],
        }
    return found


def report(args: argparse.Namespace, counts: dict, flow: dict) -> None:
    from edgekit.bench.record import load_average, machine_name, machine_record, utc_now
    from edgekit.files import atomic_write

    machine = machine_record()
    value = {
        "what": "tracker update, one thread, ms a frame",
        "machine": machine,
        "started": utc_now(),
        "load_average": load_average(),
        "warmup": args.warmup,
        "thresholds": dict(THRESHOLDS, track_thresh=0.5),
        "objects": counts,
        "camera_motion": flow,
    }
    path = Path(args.output or ROOT / "benchmarks" / "results" / machine_name(machine) / "tracker.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as stream:
        json.dump(value, stream, indent=1)
        stream.write("\n")
    brief = {count: {name: without_samples(one) for name, one in rows.items()} for count, rows in counts.items()}
    print(json.dumps({"objects": brief, "camera_motion": {k: without_samples(v) for k, v in flow.items()}}))


def without_samples(value: dict) -> dict:
    return {key: item for key, item in value.items() if not key.startswith("samples")}


if __name__ == "__main__":
    main()
