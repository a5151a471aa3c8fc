"""Time what lies around the network beside Ultralytics' own code for it, in one process, in turns.

    PYTHON benchmarks/around_network.py          PYTHON has edgekit's requirements, torch and ultralytics
    PYTHON benchmarks/around_network.py --alone  edgekit alone

Before: a 1080p picture to the network's float32 input, at the ratio 3 (640) and at a general one (416). Ultralytics':
`LetterBox`, then what its predictor does (stack, BGR to RGB, planes, torch, float, / 255). After: a YOLOv8 head of 80
classes at 640 (1, 84, 8400) to boxes of the picture, 300 at most, with 26 (a usual flight), 160 and 2,400 candidates
around an eighth as many objects; Ultralytics': `non_max_suppression` and `scale_boxes`. What its suppression calls, the
operator of torchvision, is taken from whatever torchvision the interpreter has: the result says which.

Every way once a round, in a shuffled order. CPU time of the thread, OpenCV and torch on one thread. Last line: JSON.
Raw samples: benchmarks/results/<machine>/around_network.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.record import load_average, machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.timing import interleave  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.ops.library import native  # noqa: E402
from edgekit.process import DecodeSpec, Preprocess, postprocess, prepare  # noqa: E402

FRAME_HW = (1080, 1920)
SIDES = (640, 416)
CANDIDATES = (26, 160, 2400)
CLASSES, ANCHORS, CONF, IOU, MOST = 80, 8400, 0.25, 0.7, 300
SPEC = DecodeSpec("yolov8", CLASSES, conf=CONF, iou=IOU, max_det=MOST)

Ways = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--alone", action="store_true", help="without Ultralytics")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/around_network.json")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    peer = None if args.alone else Peer()
    machine = machine_record()
    result = {
        "what": "before and after the network, 1080p, one thread, CPU ms a call",
        "machine": machine,
        "started": utc_now(),
        "load_average": [load_average()],
        "kernels": native().kernels,
        "versions": {"numpy": np.__version__, "opencv": cv2.__version__, **({} if peer is None else peer.versions)},
        "warmup": args.warmup,
        "before": {str(side): timed(before(side, peer), args) for side in SIDES},
        "after": {str(count): timed(after(count, peer), args) for count in CANDIDATES},
    }
    result["load_average"].append(load_average())
    path = Path(args.output or ROOT / "benchmarks" / "results" / machine_name(machine) / "around_network.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(str(path)) as stream:
        stream.write(json.dumps(result, indent=1).encode())
    for part in ("before", "after"):
        for case, ways in result[part].items():
            print(f"{part:7}{case:6}" + "".join(f"  {way} {row['p50_ms']:.3f} ms" for way, row in ways.items()))
    print(json.dumps(account(result)))


def account(result: dict) -> dict:
    """Medians: the sum of both ends at 640, and how many times as long the peer takes."""
    told = {"pre_post_ms": {}, "times_as_fast": {}}
    for way in result["before"]["640"]:
        ends = result["before"]["640"][way], result["after"]["26"][way]
        told["pre_post_ms"][way] = round(sum(row["p50_ms"] for row in ends), 4)
    for part in ("before", "after"):
        for case, ways in result[part].items():
            if "ultralytics" in ways:
                ratio = ways["ultralytics"]["p50_ms"] / ways["edgekit"]["p50_ms"]
                told["times_as_fast"][f"{part} {case}"] = round(ratio, 2)
    return told


class Peer:
    """Ultralytics' code for both ends."""

    def __init__(self) -> None:
        import torch
        import torchvision
        import ultralytics
        from ultralytics.data.augment import LetterBox
        from ultralytics.utils.nms import non_max_suppression
        from ultralytics.utils.ops import scale_boxes

        torch.set_num_threads(1)
        self._torch, self._letterbox = torch, LetterBox
        self._suppress, self._scale = non_max_suppression, scale_boxes
        stands_in = "" if torchvision.__file__ is None or hasattr(torchvision, "transforms") else " (stand-in)"
        self.versions = {
            "ultralytics": ultralytics.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__ + stands_in,
        }

    def before(self, image_hwc: np.ndarray, side: int) -> Callable[[], object]:
        letterbox = self._letterbox((side, side), auto=False, stride=32)

        def call() -> object:
            stacked = np.stack([letterbox(image=image_hwc)])
            planes = np.ascontiguousarray(stacked[..., ::-1].transpose((0, 3, 1, 2)))
            return self._torch.from_numpy(planes).float() / 255

        return call

    def after(self, head: np.ndarray) -> Callable[[], object]:
        raw = self._torch.from_numpy(head)

        def call() -> object:
            with self._torch.inference_mode():
                found = self._suppress(raw, CONF, IOU, max_det=MOST, nc=CLASSES)[0]
                found[:, :4] = self._scale((640, 640), found[:, :4], FRAME_HW)
            return found.numpy()

        return call


def before(side: int, peer: "Peer | None") -> Ways:
    # A picture, not noise alone: no way branches on the pixels, but caches and clocks should see the usual.
    small = np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype(np.uint8)
    image = cv2.resize(small, FRAME_HW[::-1], interpolation=cv2.INTER_CUBIC)
    spec, out = Preprocess(side, side, "center"), np.empty((1, 3, side, side), np.float32)
    ways: Ways = {"edgekit": lambda: prepare(image, spec, out=out)[0]}
    if peer is not None:
        ways["ultralytics"] = peer.before(image, side)
        planes = ways["ultralytics"]().numpy()[0, ::-1] * 255  # to BGR, and to the grey levels of ours
        ours = prepare(image, spec, out=out)[0][0]
        worst = float(np.abs(ours / ours.max() * planes.max() - planes).max())
        if worst > 1.01:
            raise SystemExit(f"error: at {side} the two pictures differ by {worst:.1f} grey levels")
    return ways


def after(count: int, peer: "Peer | None") -> Ways:
    head = made_head(count)
    spec = Preprocess(640, 640, "center")
    letterbox = prepare(np.zeros((*FRAME_HW, 3), np.uint8), spec)[1]
    ways: Ways = {"edgekit": lambda: postprocess([head], SPEC, letterbox, spec)}
    if peer is not None:
        ways["ultralytics"] = peer.after(head)
        ours, theirs = len(postprocess([head], SPEC, letterbox, spec)), len(ways["ultralytics"]())
        if abs(ours - theirs) > 0.02 * ours:
            raise SystemExit(f"error: of {count} candidates edgekit keeps {ours} boxes and Ultralytics {theirs}")
    return ways


def made_head(count: int) -> np.ndarray:
    """A YOLOv8 head (1, 84, 8400) with `count` candidates around an eighth as many objects of ten classes."""
    rng = np.random.RandomState(1)
    head = np.zeros((1, 4 + CLASSES, ANCHORS), np.float32)
    head[0, 4:] = rng.rand(CLASSES, ANCHORS) * 0.02
    objects = np.concatenate([rng.rand(max(count // 8, 1), 2) * 560 + 40, rng.rand(max(count // 8, 1), 2) * 60 + 8], 1)
    number = rng.randint(0, len(objects), count)
    anchors = rng.permutation(ANCHORS)[:count]
    head[0, :4, anchors] = objects[number] + rng.randn(count, 4) * 2
    head[0, 4 + number % 10, anchors] = 0.3 + 0.6 * rng.rand(count)
    return head


def timed(ways: Ways, args: argparse.Namespace) -> dict:
    taken = interleave(ways, args.rounds, args.warmup, clock=time.thread_time)
    return {
        name: {
            "p50_ms": round(float(np.median(timing.samples_ms)), 5),
            "min_ms": round(min(timing.samples_ms), 5),
            "samples_ms": [round(value, 5) for value in timing.samples_ms],
        }
        for name, timing in taken.items()
    }


if __name__ == "__main__":
    main()
