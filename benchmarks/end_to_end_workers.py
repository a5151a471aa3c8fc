"""The processes that end_to_end.py starts; the last line of each is a JSON object.

`python end_to_end_workers.py edgekit|ultralytics MODEL VIDEO FRAMES`, `make ONNX`, `video CLIP VIDEO FRAMES`,
`pictures VIDEO FOLDER COUNT`.
"""

import json
import re
import sys
import time

CONF, IOU, MAX_DET = 0.1, 0.65, 300
OBJECTS = 26
THRESHOLDS = {"track_thresh": 0.25, "new_track_thresh": 0.25}  # those of Ultralytics' bytetrack.yaml
STAGES = ("preprocess", "infer", "postprocess", "track")


def edgekit(bundle: str, video: str, frames: str) -> None:
    """Our loop over the video."""
    start = time.perf_counter()
    import edgekit.runtime.backends.ort  # noqa: F401  what open_detector would load
    from edgekit.runtime.detector import open_detector
    from edgekit.runtime.loop import RunOptions, run
    from edgekit.runtime.sources import open_source
    from edgekit.runtime.tracking import ByteConfig, ByteTracker

    import_s = time.perf_counter() - start
    records: list = []

    def note(record: object) -> None:
        if record.boxes and not any(one.boxes for one in records):
            say_first()
        records.append(record)

    tracker = ByteTracker(ByteConfig(gate="iou", camera_motion="off", **THRESHOLDS))
    options = RunOptions(conf=CONF, max_frames=int(frames))
    with open_detector(bundle) as detector, open_source(video) as stream:
        run(detector, stream, tracker=tracker, options=options, on_record=note)
    stages = {stage: [round(getattr(one, stage + "_ms"), 4) for one in records] for stage in STAGES}
    boxes = [one.boxes for one in records]
    finish(import_s, stages, boxes, records[-1].t_result_s - records[0].t_dequeue_s)


def ultralytics(onnx: str, video: str, frames: str) -> None:
    """Ultralytics' `track` over the video, as its users write it; its tracker's update is timed from outside."""
    start = time.perf_counter()
    import onnxruntime  # noqa: F401  what YOLO would load
    from ultralytics import YOLO
    from ultralytics.trackers.byte_tracker import BYTETracker

    import_s = time.perf_counter() - start
    stages: dict = {stage: [] for stage in STAGES}
    update = BYTETracker.update

    def timed(*args: object, **options: object) -> object:
        begin = time.perf_counter()
        result = update(*args, **options)
        stages["track"].append(round((time.perf_counter() - begin) * 1e3, 4))
        return result

    BYTETracker.update = timed
    boxes: list = []
    begin_s = time.perf_counter()
    results = YOLO(onnx, task="detect").track(
        source=video, stream=True, tracker="bytetrack.yaml", conf=CONF, iou=IOU, max_det=MAX_DET, verbose=False
    )
    for result in results:
        if len(result.boxes) and not any(boxes):
            say_first()
        boxes.append(len(result.boxes))
        for stage, name in (("preprocess", "preprocess"), ("infer", "inference"), ("postprocess", "postprocess")):
            stages[stage].append(round(result.speed[name], 4))
        if len(boxes) == 1:
            begin_s = time.perf_counter()
        if len(boxes) == int(frames):
            break
    finish(import_s, stages, boxes, time.perf_counter() - begin_s)


def say_first() -> None:
    """The line that the parent's clock waits for, with the CPU seconds of this process until now."""
    print("first boxes", round(time.process_time(), 4), flush=True)


def finish(import_s: float, stages: dict, boxes: list, seconds: float) -> None:
    """Print what was found; `seconds` is from the first frame to the last."""
    with open("/proc/self/status") as stream:
        peak_kb = int(re.search(r"VmHWM:\s*(\d+) kB", stream.read()).group(1))
    value = {
        "import_s": round(import_s, 4),
        "peak_rss_mb": round(peak_kb * 1024 / 1e6, 2),
        "fps": round((len(boxes) - 1) / seconds, 3) if len(boxes) > 1 else None,
        "boxes": boxes,
        "stages_ms": stages,
    }
    print(json.dumps(value), flush=True)


def make(onnx: str) -> None:
    """Export a YOLOv8n with random weights, and with scores planted for OBJECTS objects that do not move."""
    import os

    import torch
    from ultralytics import YOLO

    class Planted(torch.nn.Module):
        """Class 0 passes at the planted cells, whatever the network says; nothing passes elsewhere."""

        def __init__(self, cells: int) -> None:
            super().__init__()
            self.register_buffer("place", planted(cells))
            offset = torch.full((1, 80, 1, 1), -40.0)
            offset[0, 0] = -8.0
            self.register_buffer("offset", offset)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.01 * x + self.place + self.offset

    torch.manual_seed(0)
    os.chdir(os.path.dirname(os.path.abspath(onnx)))
    model = YOLO("yolov8n.yaml")
    head = model.model.model[-1]
    for index, cells in enumerate((80, 40, 20)):
        head.cv3[index] = torch.nn.Sequential(head.cv3[index], Planted(cells))
    made = model.export(format="onnx", imgsz=640, opset=13, simplify=False, verbose=False)
    os.replace(made, onnx)
    print(json.dumps({"onnx": os.path.basename(onnx)}))


def planted(cells: int) -> object:
    """Logits (1, 1, cells, cells) to add: on the finest grid, a cross of five or six cells for each object."""
    import torch

    place = torch.zeros(1, 1, cells, cells)
    if cells == 80:
        chosen = torch.randperm(14 * 6, generator=torch.Generator().manual_seed(0))[:OBJECTS]
        for spot in chosen.tolist():
            y, x = 20 + 6 * (spot // 14), 3 + 5 * (spot % 14)
            for down, right, logit in ((0, 0, 10.0), (0, 1, 9.0), (1, 0, 8.5), (0, -1, 8.0), (-1, 0, 7.5), (1, 1, 7.0)):
                place[0, 0, y + down, x + right] = logit
    return place


def video(clip: str, path: str, frames: str) -> None:
    """Enlarge the first frames of a clip to 1920 x 1080."""
    import cv2

    source = cv2.VideoCapture(clip)
    sink = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 30, (1920, 1080))
    count = 0
    while count < int(frames):
        good, frame = source.read()
        if not good:
            break
        sink.write(cv2.resize(frame, (1920, 1080), interpolation=cv2.INTER_CUBIC))
        count += 1
    sink.release()
    print(json.dumps({"frames": count}))


def pictures(clip: str, folder: str, count: str) -> None:
    """Save frames of a clip, one in three, as pictures to calibrate on."""
    import cv2

    source = cv2.VideoCapture(clip)
    for index in range(3 * int(count)):
        good, frame = source.read()
        if good and index % 3 == 0:
            cv2.imwrite(f"{folder}/{index:04d}.png", frame)
    print(json.dumps({"folder": folder}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
