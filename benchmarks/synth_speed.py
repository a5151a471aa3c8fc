"""Time how many frames of synthetic flights are rendered in a second.

    python benchmarks/synth_speed.py

Three flights (a town, a river, a full car park), 640 x 512. Each worker is a process of its own on one OpenCV thread.
A round is ten frames in each mode, the modes in a shuffled order: colour alone and colour with thermal in one process,
and colour in two processes at once. Wall and process CPU time are kept: the second says more on a busy machine. The
time to build a world is told apart. Last line: JSON. Raw samples: benchmarks/results/<machine>/synth_speed.json.
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
SEEDS = (0, 2, 3)
BATCH = 10
STRIDE = 30
MODES = {"colour": (1, False), "colour_thermal": (1, True), "colour_two_processes": (2, False)}


def main() -> None:
    args = arguments()
    if args.worker:
        work()
        return
    sys.path.insert(0, str(ROOT))
    workers = [Worker() for _ in range(2)]
    samples: dict = {mode: {"wall_ms": [], "cpu_ms": [], "boxes": []} for mode in MODES}
    order = np.random.RandomState(1)
    for round_number in range(args.rounds):
        for index in order.permutation(len(MODES)):
            mode = list(MODES)[index]
            count, infrared = MODES[mode]
            measure(workers[:count], round_number, infrared, samples[mode])
    report(args, workers[0].ready["world_cpu_s"], samples)
    for worker in workers:
        worker.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/synth_speed.json")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


class Worker:
    """A process that renders ten frames at each line that it gets."""

    def __init__(self) -> None:
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONPATH=str(ROOT))
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.ready = self.answer()

    def ask(self, seed: int, first: int, infrared: bool) -> None:
        self.process.stdin.write(json.dumps([seed, first, infrared]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(workers: list, round_number: int, infrared: bool, into: dict) -> None:
    """One batch in each worker at once; a frame's wall time is that of the batch over all frames in it."""
    start = time.perf_counter()
    for k, worker in enumerate(workers):
        worker.ask(SEEDS[(round_number + k) % len(SEEDS)], (round_number // len(SEEDS)) * BATCH * STRIDE, infrared)
    answers = [worker.answer() for worker in workers]
    into["wall_ms"].append((time.perf_counter() - start) * 1e3 / (BATCH * len(workers)))
    into["cpu_ms"] += [value for answer in answers for value in answer["cpu_ms"]]
    into["boxes"] += [value for answer in answers for value in answer["boxes"]]


def work() -> None:
    """The worker: three worlds, ten frames for each line on stdin."""
    import cv2

    from edgekit.data.synth import Flight

    cv2.setNumThreads(1)
    start = time.process_time()
    flights = {seed: Flight(seed=seed, frames=10**6) for seed in SEEDS}
    for flight in flights.values():
        flight.render(0)
    world = (time.process_time() - start) / len(SEEDS)
    for flight in flights.values():
        for index in range(0, 90 * STRIDE, STRIDE):
            flight.render(index, True, False)
    print(json.dumps({"world_cpu_s": world}), flush=True)
    for line in sys.stdin:
        seed, first, infrared = json.loads(line)
        taken, boxes = [], []
        for index in range(first, first + BATCH * STRIDE, STRIDE):
            start = time.process_time()
            frame = flights[seed].render(index, infrared, False)
            taken.append((time.process_time() - start) * 1e3)
            boxes.append(len(frame.xyxy))
        print(json.dumps({"cpu_ms": taken, "boxes": boxes}), flush=True)


def report(args: argparse.Namespace, world_cpu_s: float, samples: dict) -> None:
    import cv2

    from edgekit.bench.record import machine_name, machine_record
    from edgekit.files import atomic_write

    machine = machine_record()
    modes = {mode: summary(taken) for mode, taken in samples.items()}
    value = {
        "what": "rendering of synthetic flights, 640x512, one thread a process, ms a frame",
        "machine": machine,
        "versions": {"opencv": cv2.__version__, "numpy": np.__version__},
        "load_average": os.getloadavg(),
        "world_cpu_s": round(world_cpu_s, 3),
        "modes": modes,
        "samples": {
            mode: {key: [round(v, 3) for v in values] for key, values in taken.items()}
            for mode, taken in samples.items()
        },
    }
    path = Path(args.output or ROOT / "benchmarks" / "results" / machine_name(machine) / "synth_speed.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as stream:
        json.dump(value, stream)
        stream.write("\n")
    for mode, row in modes.items():
        print(f"{mode:22s} {row['fps_wall']:7.1f} frames/s, {row['fps_cpu']:7.1f} a second of CPU")
    print(json.dumps({"world_cpu_s": value["world_cpu_s"], **modes}))


def summary(taken: dict) -> dict:
    return {
        "fps_wall": round(1e3 / float(np.median(taken["wall_ms"])), 1),
        "fps_cpu": round(1e3 / float(np.median(taken["cpu_ms"])), 1),
        "cpu_p90_ms": round(float(np.percentile(taken["cpu_ms"], 90)), 2),
        "boxes_mean": round(float(np.mean(taken["boxes"])), 1),
    }


if __name__ == "__main__":
    main()
