"""What binary weights and activations cost a classifier, and what DIR-Net's pieces give back, on a CIFAR-10 subset.

    nice -n 19 python benchmarks/binarized.py ../shared/data/cifar10_subset --runs runs/binarized

Four arms, the same seeds in each: the float network; IR-Net (EDE); with DTE, its reconstruction, in place of EDE; and
with RBD beside DTE, taught by the float network of the same seed. First convolution and last layer stay in float, as in
IR-Net. Every arm sees the same pictures in the same order. A run that was interrupted goes on, one that is finished is
not repeated; the file is written after each. Kept in benchmarks/results/<machine>/binarized.json: top-1 of every 4th
epoch, CPU seconds, alive-gradient fractions of every layer in the last epoch, and paired differences between arms.
"""

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from edgekit.bench.record import machine_name
from edgekit.devices import this_machine
from edgekit.files import atomic_write
from edgekit.models.bireal import BODY
from edgekit.quant import BinaryConfig
from edgekit.train.binarised import Binary
from edgekit.train.classify import fit_classifier
from edgekit.train.classify_recipe import SGD, ClassifyRecipe, Folders
from edgekit.train.pictures import Pictures, Shifts, read_pictures
from edgekit.train.recipe import Distill

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("fp32", "irnet", "dte", "dte_rbd")
PAIRS = (("irnet", "fp32"), ("dte", "irnet"), ("dte_rbd", "dte"), ("dte_rbd", "irnet"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with train/ and test/, a folder for each class in them")
    parser.add_argument("--runs", type=Path, default=Path("runs/binarized"), help="where checkpoints go")
    parser.add_argument("--model", default="resnet8_cifar")
    parser.add_argument("--size", type=int, default=16, help="side of the pictures, pixels")
    parser.add_argument("--per-class", type=int, default=200, help="training pictures of each class, the first ones")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--rbd", type=float, default=0.05, help="weight of the representations' loss")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/binarized.json")
    args = parser.parse_args()
    machine = this_machine().to_json()
    output = Path(args.output or ROOT / "benchmarks/results" / machine_name(machine) / "binarized.json")
    size = (args.size, args.size)
    sets = [read_pictures(str(args.data / part), size) for part in ("train", "test")]
    sets[0] = first_of_each(sets[0], args.per_class)
    settings = {key: getattr(args, key) for key in ("model", "size", "epochs", "batch", "lr", "rbd")}
    settings |= {"train_pictures": len(sets[0]), "test_pictures": len(sets[1]), "torch": torch.__version__}
    rows = []
    for seed in args.seeds:
        for arm in ARMS:
            recipe = recipe_of(args, arm, seed)
            rows.append({"arm": arm, "seed": seed, **trained(recipe, *sets)})
            print(f"{arm:8} seed {seed}  top-1 {rows[-1]['top1'][-1]:.3f}", flush=True)
            value = {"machine": machine, "settings": settings, "rows": rows, "summary": summary(rows)}
            output.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(output, "w") as stream:
                json.dump(value, stream, indent=1)
    print(json.dumps(value["summary"]))


def first_of_each(pictures: Pictures, count: int) -> Pictures:
    """The first `count` pictures of every class."""
    chosen = np.concatenate(
        [np.flatnonzero(pictures.labels == label)[:count] for label in range(len(pictures.classes))]
    )
    return Pictures(pictures.classes, pictures.images[chosen], pictures.labels[chosen])


def recipe_of(args: argparse.Namespace, arm: str, seed: int) -> ClassifyRecipe:
    """The run of one arm."""
    recipe = ClassifyRecipe(
        name=arm,
        model=args.model,
        out=str(args.runs / f"{arm}-{seed}"),
        data=Folders(str(args.data / "train"), str(args.data / "test")),
        size=args.size,
        epochs=args.epochs,
        batch=args.batch,
        seed=seed,
        device="cpu",
        threads=1,
        eval_every=4,
        augment=Shifts(padding=args.size // 8),
        optim=dataclasses.replace(SGD, lr=args.lr),
    )
    if arm == "fp32":
        return recipe
    binary = Binary(BODY, BinaryConfig(estimator="ede" if arm == "irnet" else "dte"))
    if arm != "dte_rbd":
        return dataclasses.replace(recipe, binary=binary)
    units = [f"stages.{stage}.{unit}" for stage in range(3) for unit in range(6 if "20" in args.model else 2)]
    distill = Distill("rbd", {"layers": units, "weight": args.rbd})
    teacher = str(args.runs / f"fp32-{seed}" / "last.safetensors")
    return dataclasses.replace(recipe, binary=binary, distill=distill, teacher=teacher)


def trained(recipe: ClassifyRecipe, train_set, val_set) -> dict:
    """Run, go on, or read what has been run; scores of every epoch and the last epoch's alive fractions."""
    metrics = Path(recipe.out) / "metrics.jsonl"
    done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    if done < recipe.epochs:
        begin = time.process_time()
        fit_classifier(recipe, train_set, val_set, resume=(Path(recipe.out) / "last.safetensors").exists())
        with open(Path(recipe.out) / "cpu_seconds.txt", "a") as stream:
            stream.write(f"{time.process_time() - begin:.1f}\n")
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    last = rows[-1]
    return {
        "top1": [row["top1"] for row in rows if "top1" in row],
        "loss": [row["loss"] for row in rows],
        "ce": [row["ce"] for row in rows],
        "rbd_share_of_ce": round(rows[0]["rbd"] / rows[0]["ce"], 3) if "rbd" in rows[0] else None,
        "alive": {key[len("alive/") :]: share for key, share in last.items() if key.startswith("alive/")},
        "cpu_s": sum(map(float, (Path(recipe.out) / "cpu_seconds.txt").read_text().split())),
    }


def summary(rows: list[dict]) -> dict:
    """Mean and spread of the last top-1 of each arm, differences paired by seed, and the least alive fraction."""
    last = {(row["arm"], row["seed"]): row["top1"][-1] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    arms = {}
    for arm in ARMS:
        scores = [last[arm, seed] for seed in seeds if (arm, seed) in last]
        least = [min(row["alive"].values()) for row in rows if row["arm"] == arm and row["alive"]]
        if scores:
            arms[arm] = {
                "top1_mean": round(statistics.mean(scores), 4),
                "top1_stdev": round(statistics.stdev(scores), 4) if len(scores) > 1 else None,
                "seeds": len(scores),
                "least_alive": min(least) if least else None,
            }
    paired = {}
    for arm, other in PAIRS:
        gaps = [last[arm, s] - last[other, s] for s in seeds if (arm, s) in last and (other, s) in last]
        paired[f"{arm} - {other}"] = [round(gap, 4) for gap in gaps]
    return {"arms": arms, "paired_differences": paired}


if __name__ == "__main__":
    main()
