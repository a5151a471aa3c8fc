"""The boxes of one frame, and their names in other libraries."""

from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence

import numpy as np


@dataclass(frozen=True)
class Detections:
    """Boxes of one frame, one row each.

    Attributes:
        xyxy: (N, 4) float32, pixels of the *original* frame, x1 <= x2 and y1 <= y2.
        score: (N,) float32 in [0, 1].
        class_id: (N,) int64, index into the bundle's class names.
        track_id: (N,) int64, -1 where a box belongs to no confirmed track (yet); None before tracking.
    """

    xyxy: np.ndarray
    score: np.ndarray
    class_id: np.ndarray
    track_id: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        count = len(self.xyxy)
        if self.xyxy.shape != (count, 4) or self.score.shape != (count,) or self.class_id.shape != (count,):
            raise ValueError(
                "detections are xyxy (N, 4), score (N,), class_id (N,); got {}, {}, {}".format(
                    self.xyxy.shape, self.score.shape, self.class_id.shape
                )
            )
        if self.track_id is not None and self.track_id.shape != (count,):
            raise ValueError("track_id is (N,) with N = {}, got {}".format(count, self.track_id.shape))

    @classmethod
    def empty(cls) -> "Detections":
        """No boxes at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: Any) -> "Detections":
        """The chosen rows: a boolean mask (N,), a slice, or an array of indices."""
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        track_id = None if self.track_id is None else self.track_id[rows]
        return Detections(self.xyxy[rows], self.score[rows], self.class_id[rows], track_id)

    def with_tracks(self, track_id: np.ndarray) -> "Detections":
        """The same boxes with track ids (N,) int64."""
        return replace(self, track_id=track_id)

    def to_supervision_fields(self) -> Dict[str, Optional[np.ndarray]]:
        """Keyword arguments of `supervision.Detections`."""
        return {
            "xyxy": self.xyxy,
            "confidence": self.score,
            "class_id": self.class_id,
            "tracker_id": self.track_id,
        }

    def to_ultralytics_fields(self) -> Dict[str, Optional[np.ndarray]]:
        """Arrays under the names of `ultralytics.engine.results.Boxes`: xyxy, conf, cls, id."""
        return {
            "xyxy": self.xyxy,
            "conf": self.score,
            "cls": self.class_id.astype(np.float32),
            "id": None if self.track_id is None else self.track_id.astype(np.float32),
        }

    def to_rows(self, classes: Sequence[str]) -> List[Dict[str, Any]]:
        """One plain dict a box, ready for JSON: xyxy, score, class_id, class and, if it has one, track_id."""
        rows = []
        for index in range(len(self)):
            class_id = int(self.class_id[index])
            row = {
                "xyxy": [round(float(value), 2) for value in self.xyxy[index]],
                "score": round(float(self.score[index]), 4),
                "class_id": class_id,
                "class": classes[class_id],
            }  # type: Dict[str, Any]
            if self.track_id is not None and self.track_id[index] >= 0:
                row["track_id"] = int(self.track_id[index])
            rows.append(row)
        return rows
