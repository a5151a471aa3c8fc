"""What a gate saves and what it costs: the detector awake on every frame beside the wake-up cascade, on flights.

    python benchmarks/cascade.py

Each frame is given to both networks once, in a shuffled order, on one thread each; their CPU time counts, which a busy
machine moves less than the clock. From the scores and boxes of that pass every setting of the gate is replayed through
`edgekit.runtime.gate.Gate` itself, with a stand-in that repeats what the small network said. Reference is what the
detector finds when it is awake on every frame:

awake           share of the frames on which it ran
frames, boxes   share of the frames on which it finds something, and of its boxes, that the cascade keeps
ms              mean CPU time of a frame: looks of the gate and the detector where it is awake (no tracker)

Flights: the clip of HIT-UAV (real, never empty); its validation frames (real, stills of many flights, never empty: each
for itself, so without hold and heartbeat); rendered thermal flights at 5 frames/s over worlds whose only actors are
trucks, or boats, which neither network was trained to see: what they take for something there is a false alarm. At the
end one setting flies for real: `edgekit bench --gate --vs` of the same bundle, in turns. Last line: JSON.
Raw samples: benchmarks/results/<machine>/cascade.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench import BenchConfig, bench  # noqa: E402
from edgekit.bench.power import power_problem  # noqa: E402
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bundle import open_bundle  # noqa: E402
from edgekit.data.synth import Flight  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.frames import Frame  # noqa: E402
from edgekit.jetson import this_profile  # noqa: E402
from edgekit.process import DecodeSpec  # noqa: E402
from edgekit.runtime.detector import Detector, open_detector  # noqa: E402
from edgekit.runtime.gate import Gate  # noqa: E402
from edgekit.runtime.wake import GateOptions  # noqa: E402

SHARED = ROOT.parent / "shared" / "data"
CONFS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
HOLDS = (0, 5, 15)
EVERY = 30
NEVER = 10**6
FLOWN = GateOptions(conf=0.3, hold=5, every=EVERY)
LOWEST = 0.01  # scores below are kept as 0
RENDERED = {"rendered_trucks_11": (11, "truck"), "rendered_trucks_12": (12, "truck"), "rendered_boats_13": (13, "boat")}


def main() -> None:
    args = arguments()
    detector, gate = (open_detector(path, threads=1, device="cpu") for path in (args.detector, args.gate))
    result = {
        "what": "a gate before the detector: share awake, what of the detector's boxes is kept, CPU ms a frame",
        "machine": machine_record(),
        "started": utc_now(),
        "load_average": [load_average()],
        "detector": named(args.detector, detector),
        "gate": named(args.gate, gate),
        "power": power_problem(this_profile(), []),
        "every": EVERY,
        "flights": {},
    }
    for name, frames, stills in flights(args.rendered):
        taken = pass_over(frames, detector, gate)
        result["flights"][name] = {
            "frames": len(frames),
            "detector_found": round(float(np.mean(np.array(taken["boxes"]) > 0)), 4),
            "detector_ms": spread(taken["detector_ms"]),
            "gate_ms": spread(taken["gate_ms"]),
            "settings": settings(taken, stills),
            "samples": taken,
        }
        told(name, result["flights"][name])
    detector.close()
    gate.close()
    result["flown"] = flown(args)
    result["load_average"].append(load_average())
    path = Path(args.output or ROOT / "benchmarks" / "results" / machine_name(result["machine"]) / "cascade.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(str(path)) as stream:
        stream.write(json.dumps(result, indent=1).encode())
    print(json.dumps({name: flight["settings"] for name, flight in result["flights"].items()}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default=str(ROOT / "models" / "fasterx_student_thermal.ekb"))
    parser.add_argument("--gate", default=str(ROOT / "models" / "fasterx_gate_thermal.ekb"))
    parser.add_argument("--rendered", type=int, default=300, help="frames of each rendered flight")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/cascade.json")
    return parser.parse_args()


def named(path: str, detector: Detector) -> dict:
    spec = detector.preprocess
    return {
        "file": os.path.basename(path),
        "sha256": open_bundle(path, verify=False).sha256,
        "bytes": os.path.getsize(path),
        "input": f"{spec.width}x{spec.height}",
        "lowering": detector.lowering,
        "backend": detector.session.backend,
        "conf": detector.decode.conf,
    }


def flights(rendered: int) -> list:
    """(name, images, whether each stands for itself)."""
    found = []
    clip, stills = SHARED / "video" / "hit_uav_clip.mp4", SHARED / "hit_uav" / "images" / "val"
    if clip.exists():
        found.append(("hit_uav_clip", video(clip), False))
    if stills.exists():
        found.append(("hit_uav_val", [cv2.imread(str(path)) for path in sorted(stills.glob("*.jpg"))], True))
    for name in RENDERED:
        flight = rendered_flight(name, rendered)
        found.append((name, [flight.render(index).image_hwc for index in range(flight.frames)], False))
    return found


def rendered_flight(name: str, frames: int) -> Flight:
    seed, kind = RENDERED[name]
    return Flight(seed, frames=frames, fps=5, altitude_m=(30, 68), tilt_deg=(0, 36), classes=(kind,), thermal_only=True)


def video(path: Path) -> list:
    reader, images = cv2.VideoCapture(str(path)), []
    while True:
        read, image = reader.read()
        if not read:
            return images
        images.append(image)


def pass_over(images: list, detector: Detector, gate: Detector) -> dict:
    """Each image through both, in a shuffled order: boxes, best score of the gate, CPU ms."""
    taken: dict = {"boxes": [], "gate_score": [], "detector_ms": [], "gate_ms": []}
    rng = np.random.RandomState(0)
    for image in images[:3]:
        detector(image), gate(image)  # not counted
    for image in images:
        for which in rng.permutation(2):
            begun = time.thread_time()
            if which:
                boxes = len(detector(image))
                taken["detector_ms"].append(round((time.thread_time() - begun) * 1e3, 4))
                taken["boxes"].append(boxes)
            else:
                seen = gate(image, conf=LOWEST, max_det=1)
                taken["gate_ms"].append(round((time.thread_time() - begun) * 1e3, 4))
                taken["gate_score"].append(round(float(seen.score[0]), 4) if len(seen) else 0.0)
    return taken


class Replay:
    """Stands in for the small network: says of each frame again what it said in the pass."""

    decode = DecodeSpec("yolox", 1)

    def __init__(self, scores: list) -> None:
        self._scores = scores
        self.at = 0

    def __call__(self, image_hwc: np.ndarray, conf: float, max_det: int, infrared_hw: object = None) -> range:
        return range(int(self._scores[self.at] >= conf))


def settings(taken: dict, stills: bool) -> list:
    rows = []
    for hold in (0,) if stills else HOLDS:
        for conf in CONFS:
            rows.append(replayed(taken, GateOptions(conf, hold, NEVER if stills else EVERY), stills))
    return rows


def replayed(taken: dict, options: GateOptions, stills: bool) -> dict:
    replay = Replay(taken["gate_score"])
    gate, image = Gate(replay, options), np.zeros((1, 1, 3), np.uint8)
    boxes, awake, asked = np.array(taken["boxes"]), [], []
    for index, count in enumerate(boxes):
        replay.at = index
        if stills:
            awake.append(taken["gate_score"][index] >= options.conf)
            asked.append(True)
            continue
        frame = Frame(image, index, 0.0)
        look = gate.look(frame)
        awake.append(look.awake)
        asked.append(look.ms is not None)
        if look.awake and count:
            gate.found(frame)
    mask, looked = np.array(awake), np.array(asked)
    found = boxes > 0
    detector_ms, gate_ms = np.array(taken["detector_ms"]), np.array(taken["gate_ms"])
    return {
        "conf": options.conf,
        "hold": options.hold,
        "awake": round(float(mask.mean()), 4),
        "frames_kept": round(float(mask[found].mean()), 4) if found.any() else None,
        "boxes_kept": round(float(boxes[mask].sum() / boxes.sum()), 4) if boxes.sum() else None,
        "ms": round(float((gate_ms * looked + detector_ms * mask).mean()), 3),
        "ms_without": round(float(detector_ms.mean()), 3),
    }


def spread(values_ms: list) -> dict:
    return {"p50": round(float(np.median(values_ms)), 3), "min": min(values_ms)}


def told(name: str, flight: dict) -> None:
    print(f"{name}: {flight['frames']} frames, the detector finds something in {100 * flight['detector_found']:.1f} %")
    for row in flight["settings"]:
        kept = " ".join("    -" if row[key] is None else f"{row[key]:.3f}" for key in ("frames_kept", "boxes_kept"))
        print(
            f"  conf {row['conf']:.2f} hold {row['hold']:2}  awake {row['awake']:.3f}  frames and boxes kept {kept}  "
            f"{row['ms']:.2f} ms, without {row['ms_without']:.2f}"
        )


def flown(args: argparse.Namespace) -> dict:
    """One rendered flight through `edgekit bench`: gated and not, in turns; wall time, with the tracker."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "flight.avi")
        flight = rendered_flight("rendered_trucks_12", args.rendered)
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 5, (flight.width, flight.height))
        for index in range(flight.frames):
            writer.write(flight.render(index).image_hwc)
        writer.release()
        config = BenchConfig(
            path, args.rendered, warmup=10, threads=1, layers=False, idle_s=0, gate=args.gate, gate_options=FLOWN
        )
        value = bench(args.detector, vs=args.detector, config=config).to_json()
    return {
        "gate": value["gate"],
        "process_ms": {
            name: [
                round(whole - capture, 4)
                for whole, capture in zip(lane["stages"]["end_to_end"], lane["stages"]["capture"])
            ]
            for name, lane in (("gated", value["samples"]), ("without", value["vs"]["samples"]))
        },
        "looks": value["samples"]["gate"],
    }


if __name__ == "__main__":
    main()
