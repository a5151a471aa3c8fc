"""Score detectors in float and as exported INT8, on real labelled images: COCO average precision of the whole chain.

    python benchmarks/accuracy.py ../shared/data

The folder has `weights/`, `coco_val_subset/` and `hit_uav/`. The foreign detectors are exported with the defaults of
`edgekit export`, as fp32 and as int8 on their calibration images; the student's int8 bundle is the shipped one. All are
scored as `edgekit val` does: the student over all classes, over Person, Car and Bicycle, and over OtherVehicle (7
boxes). Last line: JSON. Kept in benchmarks/results/<machine>/accuracy.json.
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

ROOT = Path(__file__).resolve().parent.parent
LOWERINGS = ("ort-x86", "ort-x86-narrow")
SCORED = ("Person", "Car", "Bicycle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the reference data")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/accuracy.json")
    args = parser.parse_args()
    coco, hit_uav = args.data / "coco_val_subset", args.data / "hit_uav"
    coco_val = read_coco(str(coco / "annotations/val.json"), str(coco / "images/val"))
    hit_val = read_coco(str(hit_uav / "annotations/val.json"), str(hit_uav / "images/val"))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in ("yolox_nano_416", "nanodet_m_320"):
            given, bundle = args.data / f"weights/{model}.onnx", folder / f"{model}.ekb"
            bundle_from_model(str(given), str(bundle), calib=str(coco / "images/calib"))
            rows += score(float_bundle(given, folder), bundle, coco_val, None)
        student = float_bundle(ROOT / "models/fasterx_student_thermal.onnx", folder)
        for classes in (None, SCORED, ("OtherVehicle",)):
            rows += score(student, ROOT / "models/fasterx_student_thermal.ekb", hit_val, classes)
    machine = this_machine().to_json()
    output = Path(args.output or ROOT / "benchmarks/results" / machine_name(machine) / "accuracy.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    value = {"machine": machine, "rows": rows}
    with atomic_write(output, "w") as stream:
        json.dump(value, stream, indent=1)
    print(json.dumps(value))


def float_bundle(model: Path, folder: Path) -> Path:
    """The fp32 reference bundle of an ONNX file."""
    path = folder / f"{model.stem}_fp32.ekb"
    bundle_from_model(str(model), str(path), options=ExportOptions(lowerings=("fp32",)))
    return path


def score(reference: Path, int8: Path, dataset: Dataset, classes: tuple[str, ...] | None) -> list[dict]:
    """One row for the float network and one for each lowering of its INT8 bundle that runs here."""
    rows = []
    for bundle, lowering in ((reference, "fp32"), *((int8, name) for name in LOWERINGS)):
        scores = validate(bundle, dataset, lowering, classes).to_json()
        rows.append({"bundle": bundle.name, "sha256": sha256_file(bundle), "classes": classes, **scores})
        print(f"{bundle.name:34} {lowering:15} AP {scores['AP']:.4f} AP50 {scores['AP50']:.4f}", flush=True)
    return rows


if __name__ == "__main__":
    main()
