"""Time whole processes in turns: `edgekit --help`, importing the runtime, and bare imports for scale.

    python benchmarks/start_up.py [--rounds 20]

Wall time, CPU time and the order are kept. Last line: JSON. Raw samples: benchmarks/results/<machine>/start_up.json.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

from edgekit.bench.record import load_average, machine_name, machine_record, utc_now
from edgekit.files import atomic_write

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "edgekit --help": [sys.executable, "-m", "edgekit", "--help"],
    "import the runtime and its backend": [
        sys.executable,
        "-c",
        "import edgekit.runtime.detector, edgekit.runtime.backends.ort",
    ],
    "import numpy, cv2, onnxruntime": [sys.executable, "-c", "import numpy, cv2, onnxruntime"],
    "python alone": [sys.executable, "-c", "pass"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/start_up.json")
    args = parser.parse_args()
    machine, before = machine_record(), load_average()
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in COMMANDS}
    for _ in range(args.rounds + 1):
        for name in random.sample(list(COMMANDS), len(COMMANDS)):
            samples[name].append(once(COMMANDS[name]))
    for rows in samples.values():
        del rows[0]  # the first round fills the page cache
    value = {"machine": machine, "load": before, "time": utc_now(), "rounds": args.rounds, "samples_s": samples}
    for name, rows in samples.items():
        wall, cpu = (statistics.median(row[key] for row in rows) for key in ("wall", "cpu"))
        print(f"{name:36} wall {wall:.3f} s, CPU {cpu:.3f} s (medians of {len(rows)})")
    output = Path(args.output or ROOT / "benchmarks/results" / machine_name(machine) / "start_up.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as stream:
        json.dump(value, stream, indent=1)
    print(json.dumps(value))


def once(command: list[str]) -> dict[str, float]:
    """Wall and CPU seconds of one process."""
    begin, used = time.perf_counter(), os.times()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - used.children_user - used.children_system
    return {"wall": round(time.perf_counter() - begin, 4), "cpu": round(cpu, 3)}


if __name__ == "__main__":
    main()
