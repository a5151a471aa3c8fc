"""Average precision at 8, 6, 4, 3 and 2 bits from one file, beside dedicated networks and beside dropped bits.

    python benchmarks/any_precision_train.py RUNS any-0 any-1 any-2 w4-0 w3-0 w2-0
    python benchmarks/any_precision.py ../shared/data RUNS

HIT-UAV's validation split over Person, Car and Bicycle, scored as `edgekit val` does, `ort-x86`. Rows:

    any         networks of five precisions (recipes/student_hit_uav_any.toml), each opened from its one bundle
    alone       the same without teaching from wider to narrower
    mgda        the same with the gradients of the precisions combined by MGDA
    dedicated   networks of one width: the same start, samples and steps
    long…       any of these, trained four times as long
    dropped     the 8-bit network after training (entropy, stem and predictors in float) with its low bits set to 0
    middle      the same with the middle of the cell that is left, the only thing that changes

Each row is written as soon as it is there. Last line: JSON. Kept in benchmarks/results/<machine>/any_precision.json.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgekit.bench.record import machine_name
from edgekit.bench.validate import validate
from edgekit.bundle import open_bundle
from edgekit.contents import contents_of
from edgekit.data.coco import read_coco
from edgekit.data.dataset import Dataset
from edgekit.devices import this_machine
from edgekit.export import ExportOptions, TrainedPrecision, bundle_from_model, bundle_of_precisions
from edgekit.export.network import read_network
from edgekit.files import atomic_write
from edgekit.graph.constants import constant_value
from edgekit.graph.load import model_bytes
from edgekit.graph.quantize import QuantizeOptions
from edgekit.layered import cut_bundle
from edgekit.models.weights import read_checkpoint
from edgekit.precision import container_codes, dequantize, quantize
from edgekit.train.trained import export_checkpoint, export_precisions

ROOT = Path(__file__).resolve().parent.parent
STUDENT = ROOT / "models/fasterx_student_thermal.onnx"
SCORED = ("Person", "Car", "Bicycle")
BITS = (8, 6, 4, 3, 2)
OPTIONS = ExportOptions(lowerings=("ort-x86",), golden_images=0, gate=False)


class Report:
    """Rows that are on disk as soon as they are measured."""

    def __init__(self, output: Path, val: Dataset):
        self.output = output
        self.val = val
        self.value: dict[str, Any] = {"machine": this_machine().to_json(), "rows": [], "files": []}
        if output.exists():
            self.value = json.loads(output.read_text())

    def has(self, kind: str, seed: int | None, bits: int) -> bool:
        """Whether that row is there from an earlier run."""
        return any((r["kind"], r["seed"], r["bits"]) == (kind, seed, bits) for r in self.value["rows"])

    def score(
        self, kind: str, seed: int | None, bits: int, bundle: Path, precision: int | None = None, steps: int = 0
    ) -> None:
        """Score a bundle and keep the row; `steps` are those that it was trained for."""
        if self.has(kind, seed, bits):
            return
        found = validate(str(bundle), self.val, "ort-x86", classes=SCORED, precision=precision).to_json()
        scores = {key: found[key] for key in ("AP", "AP50", "AP_small")}
        scores["AP50_per_class"] = {name: found["per_class"][name]["AP50"] for name in SCORED}
        self.value["rows"].append({"kind": kind, "seed": seed, "bits": bits, "steps": steps, **scores})
        self.write()

    def write(self) -> None:
        """The file as it stands, with means over seeds."""
        self.value["table"] = table(self.value["rows"])
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.output, "w") as stream:
            json.dump(self.value, stream, indent=1)


def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Kind and bits -> mean, lowest and highest over the seeds."""
    made: dict[str, Any] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for bits in sorted({row["bits"] for row in rows if row["kind"] == kind}, reverse=True):
            same = [row for row in rows if (row["kind"], row["bits"]) == (kind, bits)]
            for key in ("AP", "AP50"):
                values = [row[key] for row in same]
                spread = {"mean": round(statistics.mean(values), 4), "low": min(values), "high": max(values)}
                made.setdefault(kind, {}).setdefault(str(bits), {"seeds": len(same)})[key] = spread
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the reference data")
    parser.add_argument("runs", type=Path, help="folder of any_precision_train.py")
    parser.add_argument("-o", "--output", type=Path, help="default: benchmarks/results/<machine>/any_precision.json")
    args = parser.parse_args()
    hit_uav = args.data / "hit_uav"
    val = read_coco(str(hit_uav / "annotations/val.json"), str(hit_uav / "images/val"))
    output = args.output or ROOT / "benchmarks/results" / machine_name(this_machine().to_json()) / "any_precision.json"
    report = Report(output, val)
    with tempfile.TemporaryDirectory() as name:
        drop_bits(report, Path(name), str(hit_uav / "images/train"))
        for run in sorted(args.runs.iterdir()):
            checkpoint = run / "last.safetensors"
            if not checkpoint.is_file() or run.name.count("-") != 1:
                continue
            kind, seed = run.name.split("-")
            score = score_dedicated if kind.removeprefix("long").startswith("w") else score_any
            score(report, checkpoint, kind, int(seed), Path(name))
    report.write()
    print(json.dumps(report.value))


def score_any(report: Report, checkpoint: Path, kind: str, seed: int, folder: Path) -> None:
    """A network of all precisions, from its one bundle."""
    if all(report.has(kind, seed, bits) for bits in BITS):
        return
    bundle = checkpoint.with_name("any.ekb")
    if not bundle.exists():
        work = folder / f"{kind}-{seed}"
        work.mkdir()
        done = export_precisions(checkpoint, work, "any")
        trained = [TrainedPrecision(bits, str(path), plan, record) for bits, path, plan, record in done]
        bundle_of_precisions(trained, str(bundle), options=OPTIONS)
    for bits in BITS:
        report.score(kind, seed, bits, bundle, bits, steps_of(checkpoint))
    report.value["files"].append(
        {"kind": kind, "seed": seed, "bytes": bundle.stat().st_size, "precisions": parts(bundle, folder)}
    )
    report.write()


def steps_of(checkpoint: Path) -> int:
    """Optimiser steps of a run."""
    return int(read_checkpoint(checkpoint)[1]["progress"]["step"])


def parts(bundle: Path, folder: Path) -> list[dict[str, Any]]:
    """What each precision takes in the file, and the file that is cut off there."""
    rows = []
    for row in contents_of(open_bundle(str(bundle)))["precisions"]:
        cut = folder / f"cut{row['bits']}.ekb"
        cut_bundle(str(bundle), str(cut), row["bits"])
        rows.append({"bits": row["bits"], "plane_bytes": row["plane_bytes"], "cut_bytes": cut.stat().st_size})
    return rows


def score_dedicated(report: Report, checkpoint: Path, kind: str, seed: int, folder: Path) -> None:
    """A network of one width."""
    length, width = kind.split("w")
    row, bits = f"{length}dedicated", int(width)
    if report.has(row, seed, bits):
        return
    model, bundle = folder / f"{kind}-{seed}.onnx", folder / f"{kind}-{seed}.ekb"
    bundle_from_model(str(model), str(bundle), plan=export_checkpoint(checkpoint, model), options=OPTIONS)
    report.score(row, seed, bits, bundle, steps=steps_of(checkpoint))


def drop_bits(report: Report, folder: Path, calib: str) -> None:
    """The network as it is after training and quantisation, with fewer and fewer of its bits."""
    if all(report.has(kind, None, bits) for kind in ("dropped", "middle") for bits in BITS):
        return
    options = QuantizeOptions(method="entropy", images=100, float_layers="stem+head")
    network = read_network(str(STUDENT), calib=calib, options=options)
    assert network.plan is not None and network.calibration is not None
    for kind in ("dropped", "middle"):
        for bits in BITS:
            model = network.model.clone()
            for node in model.graph:
                spec, value = network.plan.weights.get(str(node.name)), node.inputs[1] if len(node.inputs) > 1 else None
                values = None if spec is None else constant_value(value)
                if spec is None or values is None or value is None:
                    continue
                codes = quantize(values, spec)
                cell = 2 ** (8 - bits)
                low = np.maximum(codes.astype(np.int16) // cell * cell, -127)
                kept = container_codes(codes, bits) if kind == "middle" else low.astype(np.int8)
                value.const_value = ir.tensor(dequantize(kept, spec), name=value.name)
            path, bundle = folder / f"{kind}{bits}.onnx", folder / f"{kind}{bits}.ekb"
            path.write_bytes(model_bytes(model))
            plan = (network.plan, dict(network.calibration))
            bundle_from_model(str(path), str(bundle), plan=plan, options=OPTIONS)
            report.score(kind, None, bits, bundle)


if __name__ == "__main__":
    main()
