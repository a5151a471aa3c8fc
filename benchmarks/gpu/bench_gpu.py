"""Build, run, check and time every lowering of bundles on this machine's GPU, against torch and ONNX Runtime.

    python benchmarks/gpu/bench_gpu.py models/fasterx_student_thermal.ekb [OTHER.ekb | MODEL.onnx …] [--rounds 300]

For each bundle: an engine of each lowering (built by edgekit with TensorRT or TensorRT-RTX), ONNX Runtime's TensorRT
and CUDA providers, torch in half precision. Outputs are compared with ONNX Runtime on the processor (float32 graph) and
boxes with the bundle's golden ones; then all arms are timed in turns, in an order shuffled for each round. An arm that
cannot run is kept with its reason. Last line: JSON without samples; all samples in
benchmarks/results/<machine>/gpu.json. README.md beside this file says what to install.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from arms import REFERENCE, Absent, Arm, Opened, open_arms
from torch_arm import torch_arms

from edgekit.bench.compare import ratio_of_medians
from edgekit.bench.record import load_average, machine_name, machine_record, utc_now
from edgekit.bench.timing import interleave, summary
from edgekit.bundle import Bundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.files import atomic_write
from edgekit.metrics.arrays import snr_db
from edgekit.nvidia.cuda import open_cuda
from edgekit.process import DecodeSpec, Preprocess, prepare
from edgekit.runtime.detector import Detector
from edgekit.runtime.golden import check_golden

ROOT = Path(__file__).resolve().parents[2]
FORMAT, VERSION = "edgekit-gpu-bench", 1
WARMUP = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", metavar="BUNDLE", help=".ekb bundles, or ONNX files")
    parser.add_argument("--calib", help="folder of images: export the ONNX files as INT8 too")
    parser.add_argument("--rounds", type=int, default=300, help="samples of each arm")
    parser.add_argument("--warmup", type=int, default=WARMUP, help="rounds before them")
    parser.add_argument("--rebuild", action="store_true", help="build engines even where the cache has them")
    parser.add_argument("--note", default="", help="kept with the result, for example what else ran")
    parser.add_argument("-o", "--output", type=Path, help="default: benchmarks/results/<machine>/gpu.json")
    args = parser.parse_args()
    machine, gpu = machine_record(), gpu_record()
    value: dict[str, Any] = {"format": FORMAT, "version": VERSION, "machine": machine, "gpu": gpu}
    value["method"] = {
        "rounds": args.rounds,
        "warmup": args.warmup,
        "started": utc_now(),
        "load_average": load_average(),
        "note": args.note,
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            bundles = [bundle_of(path, args.calib, Path(folder)) for path in args.networks]
            value["networks"] = [measure(*bundle, args) for bundle in bundles]
        except EdgekitError as error:
            sys.exit(f"error: {error}")
    output = args.output or ROOT / "benchmarks/results" / result_folder(machine, gpu) / "gpu.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as stream:
        json.dump(value, stream)
    for network in value["networks"]:
        show(network)
    print(json.dumps(without_samples(value)))


def gpu_record() -> dict[str, Any]:
    """The GPU as CUDA describes it, or why there is none."""
    try:
        cuda = open_cuda()
    except EdgekitError as error:
        return {"missing": " ".join(str(error).split())}
    device = dict(cuda.device.__dict__)
    cuda.close()
    return device


def result_folder(machine: dict[str, Any], gpu: dict[str, Any]) -> str:
    """A machine is named by its GPU where it has one and is no Jetson board."""
    if "missing" in gpu or machine["board"]:
        return machine_name(machine)
    return machine_name({**machine, "board": gpu["name"]})


def bundle_of(path: str, calib: str | None, folder: Path) -> tuple[Bundle, Path]:
    """A bundle, made of the ONNX file where it is one, and the folder that `path` is in."""
    if not path.endswith(".onnx"):
        return open_bundle(path), Path(path).resolve().parent
    from edgekit.export import ExportOptions, bundle_from_model

    target = folder / (Path(path).stem + ".ekb")
    lowerings = None if calib else ("fp32", "fp16")
    bundle_from_model(path, str(target), calib=calib, options=ExportOptions(lowerings=lowerings))
    return open_bundle(str(target)), Path(path).resolve().parent


def measure(bundle: Bundle, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One network: every arm opened, checked and timed."""
    opened = open_arms(bundle, args.rebuild) + torch_arms(bundle, folder)
    pictures = inputs_of(bundle)
    opened, parity = checked(opened, bundle, pictures)
    running = [one for one in opened if isinstance(one, Arm)]
    try:
        wall, gpu = times_of(running, pictures, args.rounds, args.warmup)
    finally:
        for arm in running:
            arm.close()
    return {
        "file": Path(bundle.path).name,
        "name": bundle.name,
        "sha256": bundle.sha256,
        "input": bundle.manifest["input"],
        "arms": [row(one, parity, wall, gpu) for one in opened],
        "speedups": speedups(running, wall),
        "predicted": predictions(bundle),
    }


def checked(
    opened: list[Opened], bundle: Bundle, pictures: list[np.ndarray]
) -> tuple[list[Opened], dict[str, dict[str, Any]]]:
    """The arms, those that fail in their first run turned into absent ones; and each one's parity."""
    reference = next((one for one in opened if isinstance(one, Arm) and one.name == REFERENCE), None)
    kept: list[Opened] = []
    parity = {}
    for one in opened:
        if isinstance(one, Arm):
            try:
                parity[one.name] = parity_of(one, reference, bundle, pictures)
            except (EdgekitError, RuntimeError) as error:  # torch reports all of CUDA's errors as RuntimeError
                one.close()
                one = Absent(one.name, one.lowering, "it fails when it runs: " + " ".join(str(error).split()))
        kept.append(one)
    return kept, parity


def inputs_of(bundle: Bundle) -> list[np.ndarray]:
    """The golden images as the network takes them; noise where the bundle has none."""
    spec = Preprocess.from_json(bundle.manifest["preprocess"])
    images = [decode(bundle.read(record["image"])) for record in bundle.manifest.get("golden") or []]
    if not images:
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)]
    return [np.array(prepare(image, spec)[0]) for image in images]


def decode(data: bytes) -> np.ndarray:
    import cv2

    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def parity_of(arm: Arm, reference: Arm | None, bundle: Bundle, pictures: list[np.ndarray]) -> dict[str, Any]:
    """Tensors against the processor's float32 graph, and boxes against the golden ones."""
    found: dict[str, Any] = {"snr_db": None, "finite": True, "golden": None}
    ratios = []
    for x in pictures:
        outputs = [np.array(output, np.float32) for output in arm.run(x)]
        found["finite"] &= all(bool(np.isfinite(output).all()) for output in outputs)
        if reference is not None and reference is not arm:
            expected = [np.array(output, np.float32) for output in reference.run(x)]
            ratios += [snr_db(one, other) for one, other in zip(expected, outputs, strict=True)]
    if ratios:
        found["snr_db"] = round(float(min(ratios)), 2) if np.isfinite(min(ratios)) else None
    if arm.session is not None and bundle.manifest.get("golden"):
        found["golden"] = golden_of(arm, bundle)
    return found


def golden_of(arm: Arm, bundle: Bundle) -> dict[str, Any]:
    """Whether the boxes of the golden images come out, with the tolerance of the arm's kind."""
    assert arm.session is not None
    spec, head = bundle.manifest["preprocess"], bundle.manifest["decode"]
    detector = Detector(
        arm.session, bundle.classes, Preprocess.from_json(spec), DecodeSpec.from_json(head), bundle.name, arm.lowering
    )
    report = check_golden(bundle, detector).to_json()
    return {"passed": report["passed"], "total": report["total"], "tolerance": report["tolerance"]}


def times_of(
    running: list[Arm], pictures: list[np.ndarray], rounds: int, warmup: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall and GPU milliseconds of each arm, taken in turns; every arm sees the same pictures in the same order."""
    gpu: dict[str, list[float]] = {arm.name: [] for arm in running}
    turn = dict.fromkeys(gpu, 0)

    def call_of(arm: Arm) -> Any:
        def call() -> None:
            arm.run(pictures[turn[arm.name] % len(pictures)])
            turn[arm.name] += 1

        return call

    def counted(arm: Arm) -> Any:
        call = call_of(arm)

        def run() -> None:
            call()
            ms = arm.gpu_ms()
            if ms is not None and turn[arm.name] > warmup:
                gpu[arm.name].append(round(ms, 5))

        return run

    timings = interleave({arm.name: counted(arm) for arm in running}, rounds, warmup)
    return {name: [round(ms, 5) for ms in timing.samples_ms] for name, timing in timings.items()}, gpu


def row(
    one: Opened, parity: dict[str, Any], wall: dict[str, list[float]], gpu: dict[str, list[float]]
) -> dict[str, Any]:
    """An arm in the result."""
    value: dict[str, Any] = {"name": one.name, "lowering": one.lowering}
    if isinstance(one, Absent):
        return {**value, "status": "absent", "reason": one.reason}
    return {
        **value,
        "status": "ran",
        **one.facts,
        "parity": parity[one.name],
        "wall_ms": summary(wall[one.name]),
        "gpu_ms": summary(gpu[one.name]) or None,
        "samples": {"wall_ms": wall[one.name], "gpu_ms": gpu[one.name]},
    }


def speedups(running: list[Arm], wall: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """How many times as fast as each other arm each engine of edgekit is, by wall time of the same rounds."""
    names = [arm.name for arm in running]
    ours = [name for name in names if name.startswith("edgekit ")]
    return {
        name: {other: ratio_of_medians(wall[other], wall[name]).to_json() for other in names if other != name}
        for name in ours
    }


def predictions(bundle: Bundle) -> dict[str, Any]:
    """What `edgekit bench --predict` says of this machine, to be compared with what it does; or why it says nothing."""
    from edgekit.bench.predict import predict
    from edgekit.graph.costs import choose_cost
    from edgekit.profiles import profile_of

    gpu = gpu_record()
    profile = profile_of(gpu["name"]) if "name" in gpu else None
    if profile is None:
        return {"missing": gpu.get("missing") or f"no device profile recognises {gpu['name']}"}
    found = {}
    for lowering in profile.lowerings:
        if lowering in bundle.lowerings:
            said = predict(choose_cost(bundle, profile, lowering), profile).to_json()
            found[lowering] = {key: value for key, value in said.items() if key != "layers"}
    return found


def show(network: dict[str, Any]) -> None:
    print(f"\n{network['file']}, input {network['input']['shape']}")
    print(f"  {'arm':30}{'wall p50':>10}{'p99':>9}{'GPU p50':>10}{'SNR dB':>9}  golden")
    for arm in network["arms"]:
        if arm["status"] == "absent":
            continue
        wall, gpu, parity = arm["wall_ms"], arm["gpu_ms"], arm["parity"]
        device = f"{gpu['p50']:10.3f}" if gpu else f"{'-':>10}"
        snr = f"{parity['snr_db']:9.1f}" if parity["snr_db"] is not None else f"{'-':>9}"
        golden = "-" if parity["golden"] is None else "passed" if parity["golden"]["passed"] else "FAILED"
        print(f"  {arm['name']:30}{wall['p50']:10.3f}{wall['p99']:9.3f}{device}{snr}  {golden}")
    reasons: dict[str, list[str]] = {}
    for arm in network["arms"]:
        if arm["status"] == "absent":
            reasons.setdefault(arm["reason"], []).append(arm["name"])
    for reason, names in reasons.items():
        print(f"  not run: {', '.join(names)}: {reason}")
    for name, others in network["speedups"].items():
        for other, ratio in others.items():
            if not other.startswith("edgekit "):
                interval = f"{ratio['low']:.2f} to {ratio['high']:.2f}"
                print(f"  {name} is {ratio['speedup']:.2f} times as fast as {other} ({interval})")


def without_samples(value: dict[str, Any]) -> dict[str, Any]:
    networks = [
        {**network, "arms": [{key: item for key, item in arm.items() if key != "samples"} for arm in network["arms"]]}
        for network in value["networks"]
    ]
    return {**value, "networks": networks}


if __name__ == "__main__":
    main()
