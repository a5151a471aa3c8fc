"""What narrow weights cost in accuracy, arm beside arm: uniform, hybrid, taught and untaught, on the same samples.

    python benchmarks/hybrid_bits.py recipes/bits/*.toml --seeds 0 1 2

Each recipe is trained once a seed (a run that is there already is taken as it is, one that was cut off goes on), its
checkpoint exported as a bundle of `ort-x86` alone, and that bundle scored on the recipe's validation set through the
same `Detector` as in flight. Seeds are paired: with one seed all arms see the same samples in the same order. --float
and --ptq add what needs no training: the float network, and plans of 4 bits by post-training alone. Last line: JSON.
Everything, each run by itself: benchmarks/results/<machine>/hybrid_bits.json, rewritten after every run.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgekit.bench.record import machine_name, machine_record, utc_now  # noqa: E402
from edgekit.bench.validate import validate  # noqa: E402
from edgekit.bundle import open_bundle  # noqa: E402
from edgekit.config import read_toml  # noqa: E402
from edgekit.contents import contents_of  # noqa: E402
from edgekit.data.coco import read_coco  # noqa: E402
from edgekit.export import ExportOptions, bundle_from_model  # noqa: E402
from edgekit.files import atomic_write  # noqa: E402
from edgekit.graph.quantize import QuantizeOptions  # noqa: E402
from edgekit.train import train  # noqa: E402
from edgekit.train.recipe import Recipe  # noqa: E402
from edgekit.train.trained import export_checkpoint  # noqa: E402

SCORES = ("AP", "AP50", "AP_small")


def main() -> None:
    args = arguments()
    output = Path(args.output) if args.output else default_output()
    value = json.loads(output.read_text()) if output.exists() else {"runs": {}, "machine": machine_record()}
    for seed in args.seeds:
        for path in args.recipes:
            recipe = read_toml(path, Recipe)
            key = f"{recipe.name}/seed{seed}"
            if key not in value["runs"] or args.again:
                value["runs"][key] = run_of(recipe, seed)
                save(value, output)
                print(key, json.dumps(value["runs"][key]), flush=True)
    untrained(args, value, output)
    value["arms"] = arms_of(value["runs"])
    save(value, output)
    print(json.dumps(value["arms"]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", help="one TOML an arm; each with [quant]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--float", help="a recipe whose `init` is scored as it is, in float32")
    parser.add_argument("--ptq", help="a recipe whose `init` is quantised to 4 bits without training")
    parser.add_argument("--again", action="store_true", help="score again what is in the results already")
    parser.add_argument("-o", "--output", help="default: benchmarks/results/<machine>/hybrid_bits.json")
    return parser.parse_args()


def default_output() -> Path:
    return ROOT / "benchmarks" / "results" / machine_name(machine_record()) / "hybrid_bits.json"


def run_of(recipe: Recipe, seed: int) -> dict:
    """One arm, one seed: trained or taken, exported, scored."""
    recipe = replace(recipe, seed=seed, out=f"{recipe.out}-seed{seed}")
    metrics, checkpoint = Path(recipe.out) / "metrics.jsonl", Path(recipe.out) / "last.safetensors"
    if not finished(metrics, recipe):
        checkpoint = train(recipe, resume=checkpoint.exists())
    last = json.loads(metrics.read_text().splitlines()[-1])
    with tempfile.TemporaryDirectory() as folder:
        model, bundle = Path(folder) / f"{recipe.name}.onnx", Path(folder) / f"{recipe.name}.ekb"
        exported = export_checkpoint(checkpoint, model)
        assert exported is not None, f"{recipe.name} has no [quant]"
        bundle_from_model(
            str(model), str(bundle), plan=exported, images=recipe.data.train_images, options=only_x86(QuantizeOptions())
        )
        found = described(bundle, recipe)
    open_rates = {name.partition("/")[2]: rate for name, rate in last.items() if name.startswith("open_rate/")}
    return {
        "steps": last["step"],
        "train_seconds": last["seconds"],
        "in_training": {name: last[name] for name in SCORES},
        **found,
        **({"open_rates": open_rates} if open_rates else {}),
        "time": utc_now(),
    }


def finished(metrics: Path, recipe: Recipe) -> bool:
    return metrics.exists() and json.loads(metrics.read_text().splitlines()[-1])["epoch"] == recipe.epochs


def only_x86(quantize: QuantizeOptions) -> ExportOptions:
    return ExportOptions(quantize=quantize, lowerings=("ort-x86",), golden_images=0, parity_images=4)


def described(bundle: Path, recipe: Recipe) -> dict:
    """Bytes, widths, parity and scores of a bundle of one lowering."""
    opened = open_bundle(str(bundle))
    name = next(iter(opened.manifest["lowerings"]))
    found = {"bundle_bytes": os.path.getsize(bundle), "parity": opened.manifest["lowerings"][name]["parity"]}
    if opened.plan is not None:
        found["mean_weight_bits"] = contents_of(opened)["totals"]["mean_weight_bits"]
        found["layers_by_bits"] = opened.plan.layers_by_bits()
    labelled = read_coco(recipe.data.val_labels, recipe.data.val_images)
    scored = validate(str(bundle), labelled, lowering=name, classes=list(recipe.data.score_classes)).to_json()
    return {**found, "deployed": {score: scored[score] for score in SCORES}}


def untrained(args: argparse.Namespace, value: dict, output: Path) -> None:
    """The float network and the plans of post-training; they have no seed."""
    todo = {}
    if args.float:
        todo["float32"] = (args.float, None)
    if args.ptq:
        todo["ptq4"] = (args.ptq, QuantizeOptions(weight_bits=4, images=48))
        todo["ptq4_bias_correction"] = (args.ptq, QuantizeOptions(weight_bits=4, images=48, bias_correction="weights"))
    for key, (path, quantize) in todo.items():
        recipe = read_toml(path, Recipe)
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / "model.ekb"
            if quantize is None:
                options = ExportOptions(lowerings=("fp32",), golden_images=0, parity_images=1)
                bundle_from_model(recipe.init, str(bundle), options=options)
            else:
                # a plan that loses boxes is a result here
                options = replace(only_x86(replace(quantize, ranges=folder)), gate=False)
                bundle_from_model(recipe.init, str(bundle), calib=recipe.data.train_images, options=options)
            value.setdefault("untrained", {})[key] = {
                "onnx_bytes": os.path.getsize(recipe.init),
                **described(bundle, recipe),
            }
        save(value, output)
        print(key, json.dumps(value["untrained"][key]), flush=True)


def arms_of(runs: dict) -> dict:
    """Mean and sample deviation over seeds, and the paired difference to `uniform4`."""
    arms: dict = {}
    for key, run in runs.items():
        name, seed = key.split("/")
        arms.setdefault(name, {})[seed] = run
    table = {}
    for name, by_seed in sorted(arms.items()):
        row = {"seeds": len(by_seed), "bundle_bytes": statistics.mean(run["bundle_bytes"] for run in by_seed.values())}
        row["mean_weight_bits"] = round(statistics.mean(run["mean_weight_bits"] for run in by_seed.values()), 3)
        for score in SCORES:
            values = [run["deployed"][score] for run in by_seed.values()]
            row[score] = spread(values)
            control = arms.get("uniform4", {})
            pairs = [
                run["deployed"][score] - control[s]["deployed"][score] for s, run in by_seed.items() if s in control
            ]
            if name != "uniform4" and pairs:
                row[f"{score}_minus_uniform4"] = spread(pairs)
        table[name] = row
    return table


def spread(values: list[float]) -> dict:
    deviation = round(statistics.stdev(values), 4) if len(values) > 1 else None
    return {"mean": round(statistics.mean(values), 4), "sd": deviation, "each": [round(v, 4) for v in values]}


def save(value: dict, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as stream:
        json.dump(value, stream, indent=1)


if __name__ == "__main__":
    main()
