"""The truth about rendered frames as COCO JSON, with tracks."""

import json
import os
from typing import Any, Dict, List, Sequence

from edgekit.data.synth.flight import SynthFrame
from edgekit.data.synth.hidden import COLOUR, INFRARED
from edgekit.files import PathLike, atomic_write

_ALONE = {COLOUR: "colour", INFRARED: "infrared"}


class Truth:
    """Collects frames and writes one COCO file; category ids are class id + 1, as is usual in COCO."""

    def __init__(self, classes: Sequence[str], description: str) -> None:
        self._classes = tuple(classes)
        self._description = description
        self._images: List[Dict[str, Any]] = []
        self._annotations: List[Dict[str, Any]] = []
        self._tracks: Dict[int, Dict[str, Any]] = {}

    def add(self, frame: SynthFrame, file_name: str, extra: Dict[str, Any], first_track: int = 0) -> None:
        """Add a frame under `file_name`; `first_track` keeps the tracks of several flights apart."""
        height, width = frame.image_hwc.shape[:2]
        image_id = len(self._images) + 1
        self._images.append(dict(id=image_id, file_name=file_name, width=width, height=height, **extra))
        for row in range(len(frame.xyxy)):
            track, category = int(frame.track_id[row]) + first_track, int(frame.class_id[row]) + 1
            self._tracks.setdefault(track, {"id": track, "category_id": category})
            annotation = self._append(image_id, category, frame.xyxy[row].tolist(), 0)
            annotation.update(track_id=track, visibility=round(float(frame.visibility[row]), 4))
            if frame.seen_by[row] in _ALONE:
                annotation["seen_by"] = _ALONE[int(frame.seen_by[row])]
        for box, class_id in zip(frame.ignore_xyxy.tolist(), frame.ignore_class_id.tolist()):
            self._append(image_id, class_id + 1, box, 1)["ignore"] = 1

    def _append(self, image_id: int, category_id: int, xyxy: List[float], iscrowd: int) -> Dict[str, Any]:
        x0, y0, x1, y1 = xyxy
        row = {
            "id": len(self._annotations) + 1,
            "image_id": image_id,
            "category_id": category_id,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": iscrowd,
        }
        self._annotations.append(row)
        return row

    def write(self, path: PathLike) -> None:
        """Write the JSON file, whole or not at all."""
        content = {
            "info": {"description": self._description},
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(self._classes)],
            "images": self._images,
            "tracks": [self._tracks[k] for k in sorted(self._tracks)],
            "annotations": self._annotations,
        }
        with atomic_write(os.fspath(path), "w") as stream:
            json.dump(content, stream, separators=(",", ":"))
