"""Bytes of an update against the whole new bundle, bsdiff and xdelta3; time and memory of applying it.

    python benchmarks/delta.py [--pair NAME OLD.ekb NEW.ekb]... [-o FILE]

Without a pair: the shipped student against twins with 1, 5 and 20 % of its codes a step or two off, as a short
fine-tuning would leave them, but with the same scales. Every update is applied and compared with the new file. bsdiff
(package bsdiff4) and xdelta3 (a program) are asked where they are installed: both see the files as they are, as whoever
updates files in the field would use them. Sizes are exact. Applying runs in a process of its own, in place, 5 times.
Last line: JSON. benchmarks/results/<machine>/delta.json.
"""

import argparse
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.record import load_average, machine_name, machine_record, utc_now
from edgekit.bundle import LoweredGraph, WeightTensor, open_bundle, write_bundle
from edgekit.delta import describe_update, write_update
from edgekit.files import atomic_write, sha256_file

ROOT = Path(__file__).resolve().parent.parent
STUDENT = ROOT / "models/fasterx_student_thermal.ekb"
SHARES = (0.01, 0.05, 0.2)
ROUNDS = 5

# seconds of applying, the process's peak memory, and what it was before
APPLY = """
import json, sys, time
import edgekit.delta

def peak_kib():
    with open("/proc/self/status") as stream:
        return int(next(line for line in stream if line.startswith("VmHWM")).split()[1])

before, begin = peak_kib(), time.perf_counter()
edgekit.delta.apply_update(sys.argv[1], sys.argv[2])
took = time.perf_counter() - begin
print(json.dumps([took, peak_kib() / 1024, before / 1024]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=3, action="append", default=[], metavar=("NAME", "OLD", "NEW"))
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/delta.json")
    args = parser.parse_args()
    machine, before = machine_record(), load_average()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = [(f"twin, {share:.0%} of the codes", STUDENT, twin(folder, share)) for share in SHARES]
        pairs += [(told, Path(old), Path(new)) for told, old, new in args.pair]
        rows = [measured(told, old, new, folder) for told, old, new in pairs]
    value = {"machine": machine, "load": before, "time": utc_now(), "zlib": zlib.ZLIB_RUNTIME_VERSION, "pairs": rows}
    for row in rows:
        others = ", ".join(f"{tool} {row['bytes'][tool] or 'not installed'}" for tool in ("bsdiff", "xdelta3"))
        print(f"{row['pair']:28} {row['bytes']['whole']} whole, {row['bytes']['update']} as an update, {others}")
    output = Path(args.output or ROOT / "benchmarks/results" / machine_name(machine) / "delta.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as stream:
        json.dump(value, stream, indent=1)
    print(json.dumps(value))


def twin(folder: Path, share: float, seed: int = 0) -> Path:
    """The student with a share of its codes 1 or 2 steps off, its scales and graphs as they were."""
    bundle, rng = open_bundle(STUDENT), np.random.default_rng(seed)
    manifest, path = bundle.manifest, folder / f"twin_{share}.ekb"
    graphs = {record["graph"] for record in manifest["lowerings"].values()}
    write_bundle(
        path,
        manifest=manifest,
        tensors=[nudged(tensor, share, rng) for tensor in bundle.tensors().values()],
        lowerings={
            name: LoweredGraph(
                bundle.read(record["graph"]),
                [(one["tensor"], one["encoding"]) for one in record["initializers"]],
                record["opset"],
                record["requires"],
                record["parity"],
                record.get("hints", {}),
            )
            for name, record in manifest["lowerings"].items()
        },
        files={name: bundle.read(name) for name in manifest["entries"] if name not in graphs | {"weights.bin"}},
    )
    return path


def nudged(tensor: WeightTensor, share: float, rng: np.random.Generator) -> WeightTensor:
    """The tensor with some of its codes moved; float tensors stay."""
    if tensor.bits is None:
        return tensor
    most = 2 ** (tensor.bits - 1) - 1
    moved = np.clip(tensor.values + rng.choice([-2, -1, 1, 2], tensor.values.shape), -most, most)
    values = np.where(rng.random(tensor.values.shape) < share, moved, tensor.values).astype(np.int8)
    return WeightTensor(tensor.name, values, tensor.bits, tensor.axis, tensor.scale)


def measured(told: str, old: Path, new: Path, folder: Path) -> dict[str, Any]:
    """Sizes by each means, and what applying took."""
    update = folder / "update.ekd"
    described = describe_update(write_update(old, new, update))
    sizes = {
        "whole": new.stat().st_size,
        "update": described["bytes"],
        "bsdiff": bsdiff(old, new),
        "xdelta3": xdelta3(old, new, folder),
    }
    return {
        "pair": told,
        "old_sha256": sha256_file(old),
        "new_sha256": sha256_file(new),
        "changed_codes": changed_codes(old, new),
        "bytes": sizes,
        "ratio": round(sizes["whole"] / sizes["update"], 2),
        "by_part": described["by_part"],
        "by_kind": described["by_kind"],
        "apply": applied(old, new, update, folder),
    }


def changed_codes(old: Path, new: Path) -> float | None:
    """The share of codes that differ, or None where the bundles do not have the same coded tensors."""
    one, other = (
        {name: t.values for name, t in open_bundle(path).tensors().items() if t.bits is not None} for path in (old, new)
    )
    if {name: v.shape for name, v in one.items()} != {name: v.shape for name, v in other.items()}:
        return None
    differing = sum(int(np.count_nonzero(one[name] != other[name])) for name in one)
    return differing / sum(values.size for values in one.values())


def bsdiff(old: Path, new: Path) -> int | None:
    """Bytes of a bsdiff patch, or None without the package."""
    if importlib.util.find_spec("bsdiff4") is None:
        return None
    import bsdiff4

    return len(bsdiff4.diff(old.read_bytes(), new.read_bytes()))


def xdelta3(old: Path, new: Path, folder: Path) -> int | None:
    """Bytes of a VCDIFF patch at xdelta3's highest level, or None without the program."""
    program = shutil.which("xdelta3")
    if program is None:
        return None
    patch = folder / "patch.vcdiff"
    subprocess.run([program, "-9", "-e", "-f", "-s", str(old), str(new), str(patch)], check=True)
    return patch.stat().st_size


def applied(old: Path, new: Path, update: Path, folder: Path) -> dict[str, Any]:
    """Seconds and peak memory of applying in place; the result is the new file, byte for byte."""
    base, taken = folder / "base.ekb", []
    for _ in range(ROUNDS):
        shutil.copy(old, base)
        command = [sys.executable, "-c", APPLY, str(base), str(update)]
        taken.append(json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout))
        if sha256_file(base) != sha256_file(new):
            raise SystemExit(f"{update} did not make {new}")
    return {
        "seconds": [round(row[0], 4) for row in taken],
        "median_s": round(statistics.median(row[0] for row in taken), 4),
        "peak_mib": round(max(row[1] for row in taken), 1),
        "of_which_imports_mib": round(max(row[2] for row in taken), 1),
    }


if __name__ == "__main__":
    main()
