"""What it costs to change the precision in flight: the frame after a change against frames without one.

    python benchmarks/switch_precision.py ANY.ekb

Frames of 640 x 512 pixels; before each one the precision stays or changes, by chance, so that both kinds of frames
see the same machine. Beside them: opening the bundle at the other precision instead, from a warm cache. Runs wherever
the device side does. All samples are kept; last line: JSON. Kept in benchmarks/results/<machine>/switch_precision.json.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time

import numpy as np

from edgekit.bench.record import load_average, machine_name
from edgekit.bundle import open_bundle
from edgekit.devices import this_machine
from edgekit.files import atomic_write
from edgekit.runtime.detector import open_detector

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/switch_precision.json")
    args = parser.parse_args()
    machine = this_machine().to_json()
    output = args.output or os.path.join(ROOT, "benchmarks", "results", machine_name(machine), "switch_precision.json")
    precisions = open_bundle(args.bundle).precisions
    load = [load_average()]
    with tempfile.TemporaryDirectory() as cache:
        samples = fly(args.bundle, precisions, args.frames, args.threads, cache)
        samples["reopen_ms"] = reopen(args.bundle, precisions, args.threads, cache)
    load.append(load_average())
    medians = {name: round(statistics.median(values), 4) for name, values in samples.items()}
    value = {
        "machine": machine,
        "bundle": {"sha256": open_bundle(args.bundle).sha256, "precisions": list(precisions)},
        "threads": args.threads,
        "load_average": load,
        "median": medians,
        "switch_costs_frames": round(
            (medians["switch_ms"] + medians["frame_after_switch_ms"] - medians["frame_ms"]) / medians["frame_ms"], 4
        ),
        "samples": {name: [round(value, 4) for value in values] for name, values in samples.items()},
    }
    with atomic_write(output, "w") as stream:
        json.dump(value, stream)
    print(json.dumps({key: value[key] for key in value if key != "samples"}))


def fly(bundle, precisions, frames, threads, cache):
    """Milliseconds of the change itself, of frames after one, and of frames without."""
    chance = random.Random(0)
    image = np.random.RandomState(0).randint(0, 256, (512, 640, 3)).astype(np.uint8)
    samples = {"switch_ms": [], "frame_after_switch_ms": [], "frame_ms": []}
    with open_detector(bundle, threads=threads, cache_dir=cache, device="cpu", precision=precisions) as detector:
        for bits in precisions:  # warm
            detector.set_precision(bits)
            for _ in range(5):
                detector(image)
        for _ in range(frames):
            changes = chance.random() < 0.5
            if changes:
                other = chance.choice([bits for bits in precisions if bits != detector.precision])
                start = time.perf_counter()
                detector.set_precision(other)
                samples["switch_ms"].append((time.perf_counter() - start) * 1e3)
            start = time.perf_counter()
            detector(image)
            spent_ms = (time.perf_counter() - start) * 1e3
            samples["frame_after_switch_ms" if changes else "frame_ms"].append(spent_ms)
    return samples


def reopen(bundle, precisions, threads, cache):
    """Milliseconds until a bundle is open at another precision, its graph unpacked already."""
    samples = []
    for _ in range(3):
        for bits in precisions:
            start = time.perf_counter()
            open_detector(bundle, threads=threads, cache_dir=cache, device="cpu", precision=bits, verify=False).close()
            samples.append((time.perf_counter() - start) * 1e3)
    return samples


if __name__ == "__main__":
    main()
