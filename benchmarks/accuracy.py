"""Score detectors in float and as exported INT8, on real labelled images: COCO average precision of the whole chain.

    python benchmarks/accuracy.py ../shared/data

The folder has `weights/`, `coco_val_subset/` and `hit_uav/`. Each detector is exported with the defaults of `edgekit
export` (as fp32, and as int8 on its calibration images) and scored as `edgekit val` does. The shipped student is scored
over Person, Car and Bicycle, and OtherVehicle (7 boxes) apart. Last line: JSON. Kept in
benchmarks/results/<machine>/accuracy.json.
"""

import argparse
import json
import tempfile
from pathlib import Path

from edgekit.bench.record import machine_name
from edgekit.bench.validate import validate
from edgekit.data.coco import read_coco
from edgekit.data.dataset import Dataset
from edgekit.devices import this_machine
from edgekit.export import ExportOptions, bundle_from_model
from edgekit.files import atomic_write, sha256_file
from edgekit.graph.quantize import QuantizeOptions

ROOT = Path(__file__).resolve().parent.parent
LOWERINGS = ("ort-x86", "ort-x86-narrow", "fp32")
SCORED = ("Person", "Car", "Bicycle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the reference data")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/accuracy.json")
    args = parser.parse_args()
    coco, hit_uav = args.data / "coco_val_subset", args.data / "hit_uav"
    coco_val = read_coco(str(coco / "annotations/val.json"), str(coco / "images/val"))
    hit_val = read_coco(str(hit_uav / "annotations/val.json"), str(hit_uav / "images/val"))
    student = ROOT / "models/fasterx_student_thermal.onnx"
    rows = []
    for name in ("yolox_nano_416", "nanodet_m_320"):
        rows += score(args.data / f"weights/{name}.onnx", coco / "images/calib", coco_val, None, None)
    for classes in (SCORED, ("OtherVehicle",)):
        rows += score(student, hit_uav / "images/train", hit_val, classes, 100)
    machine = this_machine().to_json()
    output = Path(args.output or ROOT / "benchmarks/results" / machine_name(machine) / "accuracy.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    value = {"machine": machine, "rows": rows}
    with atomic_write(output, "w") as stream:
        json.dump(value, stream, indent=1)
    print(json.dumps(value))


def score(
    model: Path, calib: Path, dataset: Dataset, classes: tuple[str, ...] | None, images: int | None
) -> list[dict]:
    """One row for the float network and one for each lowering of its INT8 bundle that runs here."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, pictures, lowerings in (("fp32", None, ("fp32",)), ("int8", str(calib), LOWERINGS)):
            bundle = f"{folder}/{kind}.ekb"
            options = ExportOptions(lowerings=lowerings, quantize=QuantizeOptions(images=images))
            bundle_from_model(str(model), bundle, calib=pictures, images=str(calib), options=options)
            for lowering in lowerings:
                scores = validate(bundle, dataset, lowering, classes).to_json()
                row = {"model": model.name, "sha256": sha256_file(model), "bundle": kind, "classes": classes, **scores}
                print(f"{model.stem:24} {kind} {lowering:15} AP {row['AP']:.4f} AP50 {row['AP50']:.4f}", flush=True)
                rows.append(row)
    return rows


if __name__ == "__main__":
    main()
