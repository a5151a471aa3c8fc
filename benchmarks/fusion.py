"""Colour, infrared, both stacked, both fused; with the super-resolution branch and without it: SuperYOLO, small.

    python benchmarks/fusion.py runs/fusion --seeds 0,1,2

Each arm is recipes/superyolo_synth_ARM.toml with another seed: 300 steps on 120 rendered pairs, scored on 48 pairs of
other worlds, the same for all: AP50 over persons and cars, and the share of cars and trucks that is found, by who sees
them. Two objects of five are seen by one camera alone. Arms of one seed train on the same frames in one order; with
the branch and without it, they start from the same weights too. A run is kept in `FOLDER/ARM-SEED.json` and not trained
again; one that was cut off goes on, and its times are those of the last sitting. Last line: JSON. Kept in
benchmarks/results/<machine>/fusion.json, which is written anew after each run.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edgekit.bench.record import machine_name, utc_now
from edgekit.boxes import iou_matrix
from edgekit.config import read_toml
from edgekit.data.dataset import Dataset
from edgekit.data.pairs import infrared_alone
from edgekit.detections import Detections
from edgekit.devices import this_machine
from edgekit.files import atomic_write
from edgekit.metrics.detection import coco_ap
from edgekit.models import build, from_checkpoint, network_preprocess
from edgekit.train.datasets import Sets, open_sets
from edgekit.train.evaluate import detect, forward_of
from edgekit.train.loop import fit
from edgekit.train.recipe import Recipe
from edgekit.train.run import latest_checkpoint

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("concat", "rgb", "ir", "mf", "concat_sr")
PAIRS = (("concat", "rgb"), ("concat", "ir"), ("mf", "concat"), ("concat_sr", "concat"))
SEEN = ("both", "colour", "infrared")
SCORED = ("person", "car")  # 300 steps are too few for the rare classes
VEHICLES = ("car", "truck")
FOUND_AT = 0.1  # score, and the overlap is 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where runs are kept")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/fusion.json")
    args = parser.parse_args()
    machine = this_machine().to_json()
    output = Path(args.output or ROOT / "benchmarks/results" / machine_name(machine) / "fusion.json")
    for seed in map(int, args.seeds.split(",")):
        todo = [arm for arm in args.arms.split(",") if not (args.folder / f"{arm}-{seed}.json").exists()]
        pairs = open_sets(recipe_of("concat", seed, args.folder / f"pairs-{seed}")) if todo else None
        for arm in todo:
            write(args.folder / f"{arm}-{seed}.json", trained(arm, seed, args.folder, pairs))
            write(output, {"benchmark": "fusion", "made": utc_now(), "machine": machine, **collected(args.folder)})
    print(json.dumps(collected(args.folder)["summary"]))


def recipe_of(arm: str, seed: int, out: Path) -> Recipe:
    """The arm's recipe with another seed."""
    return replace(read_toml(ROOT / f"recipes/superyolo_synth_{arm}.toml", Recipe), seed=seed, out=str(out))


def seen_by(pairs: Sets, pictures: str) -> Sets:
    """What `open_sets` gives to a network of these pictures, without rendering it again."""
    if pictures == "rgb+ir":
        return pairs
    planes = np.s_[..., 3] if pictures == "ir" else np.s_[..., :3]
    items = [item._replace(image=np.ascontiguousarray(item.image[planes])) for item in pairs.items]
    return Sets(items, [], infrared_alone(pairs.val) if pictures == "ir" else pairs.val)


def trained(arm: str, seed: int, folder: Path, pairs: Sets) -> dict:
    """Train and score one arm."""
    recipe = recipe_of(arm, seed, folder / f"{arm}-{seed}")
    sets = seen_by(pairs, build(recipe.model, 1).pictures)
    began, cpu = time.monotonic(), time.process_time()
    checkpoint = fit(recipe, sets.items, sets.val, resume=latest_checkpoint(recipe).exists())
    spent = {"wall_s": round(time.monotonic() - began, 1), "cpu_s": round(time.process_time() - cpu, 1)}
    model, _ = from_checkpoint(checkpoint)
    preprocess = network_preprocess(recipe.height, recipe.width, model.pictures)
    found = detect(forward_of(model), sets.val, preprocess, model.decode_spec)
    scores = coco_ap(sets.val, found, classes=SCORED)
    last = (Path(recipe.out) / "metrics.jsonl").read_text().splitlines()[-1]
    row = {"arm": arm, "seed": seed, "model": recipe.model, "torch": torch.__version__, **spent}
    row["AP50"] = round(scores.ap50, 4)
    row["AP50_per_class"] = {name: round(scores.per_class[name].ap50, 4) for name in SCORED}
    truth = json.loads((folder / f"pairs-{seed}/synth_val/annotations/instances.json").read_text())
    row["recall50"] = recalls(sets.val, found, truth, VEHICLES)
    row["last_epoch"] = json.loads(last)
    print(json.dumps({key: row[key] for key in ("arm", "seed", "AP50", "recall50", "cpu_s")}), flush=True)
    return row


def recalls(dataset: Dataset, found: dict[int, Detections], truth: dict, classes: Sequence[str]) -> dict[str, float]:
    """Share of the objects found, by who sees them: a box of the class at IoU 0.5 and score 0.1."""
    hits: dict[str, list[bool]] = {name: [] for name in SEEN}
    rows: dict[int, list[dict]] = {}
    for row in truth["annotations"]:
        rows.setdefault(row["image_id"], []).append(row)
    for sample in dataset.samples:
        boxes = found[sample.image_id]
        wanted = [row for row in rows.get(sample.image_id, []) if not row["iscrowd"]]
        overlaps = iou_matrix(sample.xyxy, boxes.xyxy)
        for row, class_id, overlap in zip(wanted, sample.class_id, overlaps, strict=True):
            if dataset.classes[class_id] in classes:
                hit = (overlap >= 0.5) & (boxes.class_id == class_id) & (boxes.score >= FOUND_AT)
                hits[row.get("seen_by", "both")].append(bool(hit.any()))
    return {name: round(sum(each) / len(each), 4) for name, each in hits.items() if each}


def collected(folder: Path) -> dict:
    """All runs there are, their means, and the differences of arms over the seeds that both have."""
    runs = [json.loads(path.read_text()) for arm in ARMS for path in sorted(folder.glob(f"{arm}-*.json"))]
    score = {(run["arm"], run["seed"]): run["AP50"] for run in runs}
    summary: dict[str, dict] = {"AP50": {}, "recall50": {}, "differences": {}}
    for arm in ARMS:
        mine = [run for run in runs if run["arm"] == arm]
        if mine:
            summary["AP50"][arm] = [run["AP50"] for run in mine]
            groups = mine[0]["recall50"]
            summary["recall50"][arm] = {g: round(statistics.mean(r["recall50"][g] for r in mine), 4) for g in groups}
    for one, other in PAIRS:
        seeds = sorted(seed for arm, seed in score if arm == one and (other, seed) in score)
        if seeds:
            gaps = [round(score[one, seed] - score[other, seed], 4) for seed in seeds]
            summary["differences"][f"{one} - {other}"] = {"seeds": seeds, "AP50": gaps, "mean": statistics.mean(gaps)}
    return {"summary": summary, "runs": runs}


def write(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as stream:
        json.dump(value, stream, indent=1)


if __name__ == "__main__":
    main()
