"""The same detector at several kinds of width: accuracy, bytes on disk and time, in one table.

    python benchmarks/students.py ../shared/data fp32=FILE.ekb int8=FILE.ekb hybrid=FILE.ekb binary=FILE.ekb

Each is a bundle, best of the graph that is measured alone and without golden images (`edgekit export … --lowering L
--golden 0`), for its bytes are those of the file. Scored over HIT-UAV's validation split (Person, Car, Bicycle) through
the `Detector` that flies. Times are of the whole call on one frame of that split: preprocess, network, boxes; one
thread, CPU time, which other work on the machine disturbs less. A round runs every contender once, in a shuffled order.
The ratio is that of medians to the first contender, with a 95 % bootstrap interval. Last line: JSON. Raw samples:
benchmarks/results/<machine>/students.json.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.compare import ratio_of_medians  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.timing import interleave  # noqa: E402
from edgekit.bench.validate import validate  # noqa: E402
from edgekit.data.coco import read_coco  # noqa: E402
from edgekit.data.dataset import load_image  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.runtime.detector import open_detector  # noqa: E402

SCORED = ("Person", "Car", "Bicycle")
SCORES = ("AP", "AP50", "AP_small")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the reference data")
    parser.add_argument("contenders", nargs="+", metavar="NAME=BUNDLE")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    bundles = dict(each.split("=", 1) for each in args.contenders)
    val = read_coco(str(args.data / "hit_uav/annotations/val.json"), str(args.data / "hit_uav/images/val"))
    machine = machine_record()
    result = {"machine": machine, "started": utc_now(), "load_average": [load_average()], "rows": {}}
    detectors = {name: open_detector(path, threads=1) for name, path in bundles.items()}
    image = load_image(val.samples[0])
    calls = {name: (lambda detector=detector: detector(image)) for name, detector in detectors.items()}
    timed = interleave(calls, args.rounds, args.warmup, clock=time.thread_time)
    result["load_average"].append(load_average())
    first = next(iter(timed.values()))
    for name, path in bundles.items():
        found = validate(path, val, detectors[name].lowering, classes=SCORED).to_json()
        result["rows"][name] = {
            **{key: found[key] for key in SCORES},
            "bytes": os.path.getsize(path),
            "lowering": detectors[name].lowering,
            "ms": timed[name].summary(),
            "times_as_fast": ratio_of_medians(first.samples_ms, timed[name].samples_ms).to_json(),
            "samples_ms": list(timed[name].samples_ms),
        }
        print(name, {key: value for key, value in result["rows"][name].items() if key != "samples_ms"}, flush=True)
    output = args.output or str(ROOT / "benchmarks/results" / machine_name(machine) / "students.json")
    with atomic_write(output) as stream:
        stream.write(json.dumps(result, indent=1).encode())
    for row in result["rows"].values():
        del row["samples_ms"]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
