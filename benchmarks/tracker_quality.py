"""How well identities are kept on rendered flights with exact tracks: which gate, with and without camera motion.

    python benchmarks/tracker_quality.py [--flights 6] [--frames 150]

The truth of `edgekit.data.synth` is made as poor as a detector's output: corners jitter by a pixel and 4 %, one box in
ten is missing, what is half hidden scores low, and a false box appears in every other frame. IDF1 and MOTA as in
Ristani et al. 2016 and Bernardin et al. 2008, boxes matched at IoU 0.5. Last line: JSON. No timing: that is tracker.py.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.boxes import iou_matrix  # noqa: E402
from edgekit.data.synth import Flight  # noqa: E402
from edgekit.detections import Detections  # noqa: E402
from edgekit.runtime.tracking import ByteConfig, ByteTracker  # noqa: E402
from edgekit.runtime.tracking.assign import assign  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flights", type=int, default=6)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--fps", type=float, default=10.0, help="low rates make boxes jump")
    args = parser.parse_args()
    gates = (("iou", 1.0), ("biou", 1.25), ("biou", 1.5), ("biou", 2.0), ("centre", 0.5), ("centre", 1.0))
    trackers = {
        f"{gate} {expand:g} {motion}": ByteConfig(gate=gate, expand=expand, camera_motion=motion)
        for motion in ("off", "flow")
        for gate, expand in gates
    }
    trackers["biou 1.5 flow, paper's thresholds"] = ByteConfig(track_thresh=0.5, new_track_thresh=0.6)
    scores = {name: Score() for name in trackers}
    for seed in range(args.flights):
        frames = list(flight(seed, args.frames, args.fps))
        for name, config in trackers.items():
            tracker = ByteTracker(config)
            scores[name].start()
            for image, truth, number, detections in frames:
                tracked = tracker.update(detections, image)
                tracked = tracked[tracked.track_id >= 0]
                scores[name].add(truth, number, tracked.xyxy, tracked.track_id)
        print(f"flight {seed + 1}/{args.flights}", file=sys.stderr)
    for name, score in scores.items():
        print("{:<34} IDF1 {idf1:.4f}  MOTA {mota:.4f}  switches {switches}".format(name, **score.result()))
    print(json.dumps({name: score.result() for name, score in scores.items()}))


def flight(seed: int, frames: int, fps: float) -> object:
    """(image, true boxes, true ids, detections) of each frame."""
    rng = np.random.RandomState(seed)
    world = Flight(seed=100 + seed, frames=frames, fps=fps, altitude_m=(60.0, 110.0))
    for index in range(frames):
        frame = world.render(index)
        yield frame.image_hwc, frame.xyxy, frame.track_id, poor(rng, frame)


def poor(rng: np.random.RandomState, frame: object) -> Detections:
    """Detections as a network might give them."""
    kept = rng.rand(len(frame.xyxy)) > 0.1
    xyxy = frame.xyxy[kept]
    side = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    xyxy = xyxy + rng.normal(0, 1, xyxy.shape) * np.minimum(1 + 0.02 * side, 0.12 * side)
    score = np.clip(rng.normal(0.75, 0.12, len(xyxy)) * np.minimum(frame.visibility[kept] + 0.2, 1), 0.05, 0.99)
    class_id = frame.class_id[kept]
    if rng.rand() < 0.5:
        corner = rng.uniform(0, 450, 2)
        xyxy = np.concatenate([xyxy, [[*corner, *(corner + rng.uniform(10, 40, 2))]]])
        score, class_id = np.append(score, rng.uniform(0.2, 0.7)), np.append(class_id, 0)
    return Detections(xyxy.astype(np.float32), score.astype(np.float32), class_id.astype(np.int64))


class Score:
    """Counts matches over flights; identities of different flights are kept apart."""

    def __init__(self) -> None:
        self.truths = self.found = self.hits = self.switches = self.id_hits = 0
        self._flight = -1
        self._pairs: dict = {}
        self._last: dict = {}

    def start(self) -> None:
        """A new flight begins."""
        self._close()
        self._pairs, self._last = {}, {}

    def add(self, truth: np.ndarray, number: np.ndarray, found: np.ndarray, track_id: np.ndarray) -> None:
        """One frame: true boxes (N, 4) with ids (N,), found boxes (M, 4) with ids (M,)."""
        self.truths += len(truth)
        self.found += len(found)
        rows, cols = assign(iou_matrix(truth, found) - 0.5)
        self.hits += len(rows)
        for who, given in zip(number[rows].tolist(), track_id[cols].tolist()):
            self._pairs[who, given] = self._pairs.get((who, given), 0) + 1
            self.switches += self._last.setdefault(who, given) != given
            self._last[who] = given

    def _close(self) -> None:
        if not self._pairs:
            return
        whos = {who: row for row, who in enumerate(sorted({who for who, _ in self._pairs}))}
        ids = {given: col for col, given in enumerate(sorted({given for _, given in self._pairs}))}
        table = np.zeros((len(whos), len(ids)))
        for (who, given), count in self._pairs.items():
            table[whos[who], ids[given]] = count
        self.id_hits += int(table[assign(table)].sum())

    def result(self) -> dict:
        self.start()
        errors = (self.truths - self.hits) + (self.found - self.hits) + self.switches
        return {
            "idf1": round(2 * self.id_hits / (self.truths + self.found), 4),
            "mota": round(1 - errors / self.truths, 4),
            "switches": self.switches,
        }


if __name__ == "__main__":
    main()
