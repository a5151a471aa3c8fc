"""What signs in a detector's backbone and neck give in time and bytes, beside the plain network in INT8, in turns.

    make native && python benchmarks/binary_detectors.py

The shipped student's and gate's networks with random weights, on which time and bytes do not depend, as they are
(ReLU) and in Bi-Real wiring with signs (`edgekit.models.bireal_detector`). Contenders, each the network alone, one
thread of onnxruntime, CPU time: the plain network in float32 and as `ort-x86`; the one with signs as `ort-x86` and as
`binary`. Bytes are of a bundle with that graph alone. A round runs every contender once, in a shuffled order; ratios to
the plain network's `ort-x86`, with a 95 % bootstrap interval. Last line: JSON. Raw samples:
benchmarks/results/<machine>/binary_detectors.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.compare import ratio_of_medians  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.timing import interleave  # noqa: E402
from edgekit.export import ExportOptions, bundle_from_model  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.models import DetectorModule, build, export_onnx  # noqa: E402
from edgekit.models.bireal_detector import BODY, with_shortcuts  # noqa: E402
from edgekit.ops.library import native  # noqa: E402
from edgekit.quant import BinaryConfig, deployed_twin  # noqa: E402
from edgekit.runtime.detector import Detector, open_detector  # noqa: E402
from edgekit.train.binarised import Binary, binarised  # noqa: E402

CLASSES = ["Person", "Car", "Bicycle", "OtherVehicle"]
NETWORKS = {"fasterx_student": (512, 640), "fasterx_gate": (256, 320)}
CONTENDERS = (("plain", "fp32"), ("plain", "ort-x86"), ("signs", "ort-x86"), ("signs", "binary"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    machine = machine_record()
    result = {
        "machine": machine,
        "started": utc_now(),
        "kernels": native().kernels,
        "versions": {"onnxruntime": ort.__version__, "torch": torch.__version__},
        "load_average": [load_average()],
        "networks": {},
    }
    for name, size_hw in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            result["networks"][name] = measured(name, size_hw, Path(folder), args)
    result["load_average"].append(load_average())
    output = args.output or str(ROOT / "benchmarks/results" / machine_name(machine) / "binary_detectors.json")
    with atomic_write(output) as stream:
        stream.write(json.dumps(result, indent=1).encode())
    for rows in result["networks"].values():
        for row in rows.values():
            del row["samples_ms"]
    print(json.dumps(result))


def measured(name: str, size_hw: tuple[int, int], folder: Path, args: argparse.Namespace) -> dict:
    """Rows of the contenders of one network."""
    bundles = {f"{kind} {lowering}": bundle(name, size_hw, kind, lowering, folder) for kind, lowering in CONTENDERS}
    detectors = {key: open_detector(path, lowering=key.split()[1], threads=1) for key, path in bundles.items()}
    frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    timed = interleave(
        {key: network_alone(detector, frame) for key, detector in detectors.items()},
        args.rounds,
        args.warmup,
        clock=time.thread_time,
    )
    plain = timed["plain ort-x86"].samples_ms
    rows = {}
    for key, path in bundles.items():
        rows[key] = {
            "bytes": os.path.getsize(path),
            "ms": timed[key].summary(),
            "times_as_fast": ratio_of_medians(plain, timed[key].samples_ms).to_json(),
            "samples_ms": list(timed[key].samples_ms),
        }
        print(name, key, {what: value for what, value in rows[key].items() if what != "samples_ms"}, flush=True)
    return rows


def network_alone(detector: Detector, frame: np.ndarray) -> Callable[[], object]:
    """A call of the network with the input that `frame` made."""
    detector(frame)
    session = detector.session
    feeds = {session.inputs[0].name: np.random.default_rng(1).random(session.inputs[0].shape, np.float32)}
    return lambda: session.run(feeds)


def bundle(name: str, size_hw: tuple[int, int], kind: str, lowering: str, folder: Path) -> str:
    """A bundle with one graph."""
    torch.manual_seed(0)
    model, path = build(name, len(CLASSES)).eval(), folder / f"{kind}.onnx"
    if kind == "signs":
        model = with_signs(model, size_hw)
    if not path.exists():
        export_onnx(model, path, size_hw, CLASSES)
    pictures = folder / "pictures"
    if not pictures.exists():
        pictures.mkdir()
        for index in range(2):
            pixels = np.random.default_rng(index).integers(0, 256, (*size_hw, 3), np.uint8)
            cv2.imwrite(str(pictures / f"{index}.png"), pixels)
    options = ExportOptions(lowerings=(lowering,), golden_images=0, parity_images=1, gate=False)
    output = str(folder / f"{kind}-{lowering}.ekb")
    given = {"images": str(pictures)} if lowering == "fp32" else {"calib": str(pictures)}
    bundle_from_model(str(path), output, options=options, **given)
    return output


def with_signs(model: DetectorModule, size_hw: tuple[int, int]) -> DetectorModule:
    """The network in Bi-Real wiring with binary backbone and neck, as it is exported after training."""
    wired = with_shortcuts(model).eval()
    for module in wired.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    binary = binarised(wired, Binary(BODY, BinaryConfig(padding="one")), torch.rand(1, 3, *size_hw))
    return deployed_twin(binary.eval())


if __name__ == "__main__":
    main()
