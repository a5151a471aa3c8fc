"""ByteTrack: match every box, the strong ones first and the weak ones with what is left.

Zhang et al. 2022, "ByteTrack: Multi-Object Tracking by Associating Every Detection Box" (ECCV). Differs from the paper:

- all tracks are two arrays, and one Kalman call serves all of them (kalman.py says how its noise differs);
- the likeness of two boxes is a choice (gate.py), because small boxes seen from the air need not overlap;
- the prediction is carried through the camera's motion (motion.py), after Aharon et al. 2022 (BoT-SORT);
- what comes out is the detector's box, not the filter's, since it fits better;
- `min_hits` is a number; the paper's is 2;
- the thresholds of strong boxes and new tracks are 0.25, not 0.5 and 0.6: small objects score low, and on rendered
  flights this keeps more of them at fewer identity errors (docs/tracking.md).
"""

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from edgekit.boxes import cxcywh_to_xyxy, iou_matrix, xyxy_to_cxcywh
from edgekit.detections import Detections
from edgekit.errors import ConfigError
from edgekit.runtime.tracking import kalman
from edgekit.runtime.tracking.assign import assign
from edgekit.runtime.tracking.gate import GATES
from edgekit.runtime.tracking.motion import CameraMotion
from edgekit.runtime.tracking.tracker import NO_TRACK, Tracker

_ID, _STATUS, _HITS, _SEEN, _BORN = range(5)
_TENTATIVE, _TRACKED, _LOST, _REMOVED = range(4)
_SAME_OBJECT_IOU = 0.85


@dataclass(frozen=True)
class ByteConfig:
    """How tracks are made, matched and given up; names and meanings as in ByteTrack.

    Attributes:
        track_thresh: boxes with at least this score are matched first.
        track_low_thresh: boxes below this score are not looked at.
        new_track_thresh: a box that matches nothing starts a track from this score on.
        match_thresh: greatest cost, 1 - likeness x score, of a pair in the first matching.
        second_match_thresh: greatest cost, 1 - likeness, for the weak boxes.
        tentative_match_thresh: greatest cost for tracks that are not confirmed yet.
        track_buffer: frames that a track is remembered without a box.
        min_hits: boxes in a row before a track is believed and reported; on the first frame all are.
        gate: "iou", "biou" or "centre".
        expand: size of the gate in sizes of the box, for "biou" and "centre".
        camera_motion: "flow" to follow the background when frames are given, or "off".
    """

    track_thresh: float = 0.25
    track_low_thresh: float = 0.1
    new_track_thresh: float = 0.25
    match_thresh: float = 0.8
    second_match_thresh: float = 0.5
    tentative_match_thresh: float = 0.7
    track_buffer: int = 30
    min_hits: int = 2
    gate: str = "biou"
    expand: float = 1.5
    camera_motion: str = "flow"

    def __post_init__(self) -> None:
        if self.gate not in GATES:
            raise ConfigError("unknown gate '{}'; choose from {}".format(self.gate, ", ".join(sorted(GATES))))
        if self.camera_motion not in ("off", "flow"):
            raise ConfigError("unknown camera_motion '{}'; choose off or flow".format(self.camera_motion))
        if not 0 <= self.track_low_thresh <= self.track_thresh <= 1:
            raise ConfigError(
                "need 0 <= track_low_thresh <= track_thresh <= 1, got {} and {}".format(
                    self.track_low_thresh, self.track_thresh
                )
            )


class ByteTracker(Tracker):
    """Two-stage matching over arrays; see the head of this file."""

    def __init__(self, config: Optional[ByteConfig] = None) -> None:
        self.config = config if config is not None else ByteConfig()
        self._gate = GATES[self.config.gate]
        self._motion = CameraMotion() if self.config.camera_motion == "flow" else None
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """See `Tracker.reset`."""
        self._frame = 0
        self._state = np.zeros((5, 0, 4))
        self._meta = np.zeros((5, 0), np.int64)
        if self._motion is not None:
            self._motion.reset()

    def update(self, detections: Detections, image_hwc: Optional[np.ndarray] = None, steps: int = 1) -> Detections:
        """See `Tracker.update`."""
        self._frame += steps
        self._move(detections.xyxy, image_hwc, steps)
        track_of_box = self._match(detections)
        boxes = np.flatnonzero(track_of_box >= 0)
        self._correct(track_of_box[boxes], detections.xyxy[boxes])
        self._age(track_of_box[boxes])
        first_new = self._meta.shape[1]
        fresh = np.flatnonzero((track_of_box < 0) & (detections.score >= self.config.new_track_thresh))
        self._begin(detections.xyxy[fresh])
        track_of_box[fresh] = first_new + np.arange(len(fresh))
        reported = self._report(detections, track_of_box)
        self._forget()
        return reported

    def _move(self, xyxy: np.ndarray, image_hwc: Optional[np.ndarray], steps: int) -> None:
        """Predict all tracks into this frame, as the camera sees it."""
        affine = None
        if self._motion is not None and image_hwc is not None:
            affine = self._motion.estimate(image_hwc, xyxy)
        if self._state.shape[1] == 0:
            return
        for _ in range(min(steps, self.config.track_buffer + 1)):
            kalman.predict(self._state)
        if affine is not None:
            kalman.warp(self._state, affine)

    def _match(self, detections: Detections) -> np.ndarray:
        """Row of the track of each box (N,), or -1."""
        config, score = self.config, detections.score
        track_of_box = np.full(len(detections), -1)
        status = self._meta[_STATUS]
        predicted = cxcywh_to_xyxy(self._state[kalman.POSITION]).astype(np.float32)

        def match(tracks: np.ndarray, boxes: np.ndarray, limit: float, fuse: bool) -> Tuple[np.ndarray, np.ndarray]:
            """Record the pairs of the best matching; return the tracks and the boxes that are left over."""
            if len(tracks) == 0 or len(boxes) == 0:
                return tracks, boxes
            likeness = self._gate(predicted[tracks], detections.xyxy[boxes], config.expand)
            if fuse:
                likeness = likeness * score[boxes]
            rows, cols = assign(likeness - (1 - limit))
            track_of_box[boxes[cols]] = tracks[rows]
            return np.delete(tracks, rows), np.delete(boxes, cols)

        strong = np.flatnonzero(score >= config.track_thresh)
        weak = np.flatnonzero((score < config.track_thresh) & (score >= config.track_low_thresh))
        left, strong = match(np.flatnonzero(status != _TENTATIVE), strong, config.match_thresh, True)
        match(left[status[left] == _TRACKED], weak, config.second_match_thresh, False)
        match(np.flatnonzero(status == _TENTATIVE), strong, config.tentative_match_thresh, True)
        return track_of_box

    def _correct(self, tracks: np.ndarray, xyxy: np.ndarray) -> None:
        if len(tracks):
            kalman.update(self._state, tracks, xyxy_to_cxcywh(xyxy))

    def _age(self, matched: np.ndarray) -> None:
        """Set the status of all tracks now that the rows `matched` (K,) have a box."""
        meta = self._meta
        missed = np.ones(meta.shape[1], dtype=bool)
        missed[matched] = False
        meta[_HITS, matched] += 1
        meta[_SEEN, matched] = self._frame
        believed = (meta[_STATUS] != _TENTATIVE) | (meta[_HITS] >= self.config.min_hits)
        meta[_STATUS] = np.where(
            missed,
            np.where(meta[_STATUS] == _TENTATIVE, _REMOVED, _LOST),
            np.where(believed, _TRACKED, _TENTATIVE),
        )
        meta[_STATUS, self._frame - meta[_SEEN] > self.config.track_buffer] = _REMOVED
        # A lost object that stops or leaves must not go on growing or shrinking.
        self._state[kalman.VELOCITY, missed, 2:] = 0

    def _begin(self, xyxy: np.ndarray) -> None:
        """Start one track for each of the boxes (K, 4)."""
        count = len(xyxy)
        if count == 0:
            return
        meta = np.empty((5, count), np.int64)
        meta[_ID] = self._next_id + np.arange(count)
        meta[_STATUS] = _TRACKED if self._frame == 1 or self.config.min_hits <= 1 else _TENTATIVE
        meta[_HITS] = 1
        meta[_SEEN] = meta[_BORN] = self._frame
        self._next_id += count
        self._meta = np.concatenate([self._meta, meta], axis=1)
        self._state = np.concatenate([self._state, kalman.start(xyxy_to_cxcywh(xyxy))], axis=1)

    def _report(self, detections: Detections, track_of_box: np.ndarray) -> Detections:
        """The boxes (N,) with the id of their track, a row each or -1, where it is confirmed; see `Tracker.update`."""
        track_id = np.full(len(detections), NO_TRACK, np.int64)
        boxes = np.flatnonzero(track_of_box >= 0)
        boxes = boxes[self._meta[_STATUS, track_of_box[boxes]] == _TRACKED]
        track_id[boxes] = self._meta[_ID, track_of_box[boxes]]
        reported = (track_id != NO_TRACK) | (detections.score >= self.config.track_thresh)
        return detections[reported].with_tracks(track_id[reported])

    def _forget(self) -> None:
        """Drop removed tracks, and the younger of a lost and a tracked one that lie on the same object."""
        status = self._meta[_STATUS]
        lost, tracked = np.flatnonzero(status == _LOST), np.flatnonzero(status == _TRACKED)
        if len(lost) and len(tracked):
            boxes = cxcywh_to_xyxy(self._state[kalman.POSITION]).astype(np.float32)
            first, second = np.nonzero(iou_matrix(boxes[lost], boxes[tracked]) > _SAME_OBJECT_IOU)
            life = self._meta[_SEEN] - self._meta[_BORN]
            lost, tracked = lost[first], tracked[second]
            status[np.where(life[lost] > life[tracked], tracked, lost)] = _REMOVED
        kept = status != _REMOVED
        if not kept.all():
            self._meta, self._state = self._meta[:, kept], self._state[:, kept]
