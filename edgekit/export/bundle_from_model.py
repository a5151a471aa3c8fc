"""A model file to a bundle: quantise, lower, check parity, add golden vectors, write it whole or not at all."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgekit.bundle import LoweredGraph, WeightTensor, write_bundle
from edgekit.data.dataset import images_in
from edgekit.data.pairs import colour_in
from edgekit.errors import ConfigError, DataError, StorageError
from edgekit.export.golden import GoldenImage, choose_golden, npy, rows_of, run_golden
from edgekit.export.manifest import make_manifest
from edgekit.export.network import Network, Progress, read_network, scanned
from edgekit.export.report import ExportReport, LoweringReport
from edgekit.graph.calibrate.images import prepared
from edgekit.graph.external import with_external_data
from edgekit.graph.hints import hints_of
from edgekit.graph.load import input_hw
from edgekit.graph.lower import (
    BINARY_LOWERINGS,
    FLOAT_LOWERINGS,
    LOWERINGS,
    ON_REQUEST,
    LoweredModel,
    check_lowering,
    is_worth_writing,
    lower,
)
from edgekit.graph.parity import RUNS_OPTIMISED, Parity, ParityCheck
from edgekit.graph.plan import weighted_layers
from edgekit.graph.quantize import QuantizeOptions, spaced
from edgekit.graph.runner import Runner
from edgekit.graph.sources import stored_tensors
from edgekit.precision import QuantPlan

# The lowering whose boxes stand for the bundle's, best first: ort-arm has the same boxes as ort-x86.
_GOLDEN_OF = (
    "ort-x86",
    "ort-arm",
    "packed",
    "binary",
    "ort-x86-tables",
    "ort-x86-narrow",
    "fp32",
    "fp16",
    "trt8",
    "trt10",
)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What can be chosen.

    Attributes:
        quantize: options of the quantisation.
        lowerings: which graphs to write; None writes all that the network can have but those of `ON_REQUEST`, and
            those that are for this network what another is.
        name: of the model; None takes the file's.
        licence: of the weights, for the manifest.
        family: head family, where the shapes do not tell.
        parity_images: how many images parity is measured on.
        golden_images: how many images go into the bundle.
        gate: refuse to write a bundle whose parity is outside its thresholds.
    """

    quantize: QuantizeOptions = field(default_factory=QuantizeOptions)
    lowerings: tuple[str, ...] | None = None
    name: str | None = None
    licence: str | None = None
    family: str | None = None
    parity_images: int = 4
    golden_images: int = 2
    gate: bool = True


def bundle_from_model(
    model: str,
    output: str,
    *,
    calib: str | None = None,
    plan: tuple[QuantPlan, dict[str, Any]] | None = None,
    images: str | None = None,
    options: ExportOptions | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Export a detector to an `.ekb` bundle.

    Args:
        model: an ONNX file.
        output: the bundle; its folder must exist.
        calib: folder of calibration images: export INT8. Without it, and without `plan`, the bundle is float.
        plan: a plan and its calibration record from an earlier `quantize`, instead of `calib`.
        images: folder of images for parity and golden vectors; `calib` where None.
        options: the defaults where None.
        progress: called with (done, total, text).

    Raises:
        ModelError: not ONNX, or not a detector.
        DataError: no images, or one that cannot be read.
        ConfigError: a lowering that does not exist, or needs INT8.
        GateError: a lowering is not faithful, and `options.gate`.
        StorageError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    begin = time.perf_counter()
    options = options or ExportOptions()
    names = chosen_lowerings(options.lowerings, calib is not None or plan is not None)
    check_folder(output)
    network = read_network(
        model, calib=calib, plan=plan, options=options.quantize, family=options.family, progress=progress
    )
    if options.lowerings is None:
        names = [name for name in names if is_worth_writing(name, network.model, network.plan)]
    pictures = pictures_of(images or calib, network.family.preprocess.pairs)
    network = scanned(network, pictures, progress)
    lowered, parities = lower_all(network, names, pictures, options, progress)
    golden, files = golden_vectors(network, lowered, golden_images(network, lowered, pictures, options))
    graphs, tensors, sizes = graphs_of(network, lowered, parities)
    manifest = make_manifest(network, options.name, options.licence, golden)
    written = write_bundle(output, manifest=manifest, tensors=tensors, lowerings=graphs, files=files)
    reports = lowering_reports(lowered, parities, sizes, written["lowerings"])
    if progress is not None:
        progress(len(names) + 1, len(names) + 1, os.path.basename(output))
    return make_report(network, output, reports, len(golden), time.perf_counter() - begin)


def check_folder(output: str) -> None:
    """Refuse early, before minutes of work, what could not be written in the end.

    Raises:
        StorageError: the folder of `output` does not exist or cannot be written, or `output` is a folder.
    """
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise StorageError(f"cannot write {output}: {folder} is no folder that can be written; choose or make one")
    if os.path.isdir(output):
        raise StorageError(f"cannot write {output}: it is a folder; give the name of a file")


def chosen_lowerings(asked: Sequence[str] | None, quantized: bool) -> list[str]:
    """The lowerings to write: those that were asked for, or all but those of `ON_REQUEST`; a `ConfigError` for none."""
    if asked is None:
        known = LOWERINGS if quantized else (*FLOAT_LOWERINGS, *BINARY_LOWERINGS)
        return [name for name in known if name not in ON_REQUEST]
    for name in asked:
        check_lowering(name, quantized)
    if not asked:
        raise ConfigError(f"no lowering is asked for; name some of {', '.join(LOWERINGS)}")
    return list(dict.fromkeys(asked))


def pictures_of(folder: str | None, pairs: bool = False) -> list[str]:
    """Paths of the images in a folder, in order; none for None. With `pairs`, infrared partners are not counted.

    Raises:
        DataError: the folder has no images.
    """
    if folder is None:
        return []
    paths = colour_in(folder) if pairs else images_in(folder)
    if not paths:
        raise DataError(f"no images (jpg, png, bmp, tif, webp) in {folder}; give a folder of pictures")
    return list(paths)


def lower_all(
    network: Network,
    names: Sequence[str],
    pictures: Sequence[str],
    options: ExportOptions,
    progress: Progress | None = None,
) -> tuple[dict[str, LoweredModel], dict[str, Parity]]:
    """Every lowering of `names`, and its parity report where there are pictures to measure on.

    Raises:
        GateError: a lowering is outside its thresholds, and `options.gate`.
        ModelError: the network cannot be written in one of these forms.
    """
    few = spaced(pictures, options.parity_images)
    inputs = [x for _, x in prepared(few, network.family.preprocess)]
    check = ParityCheck(network.original, network.model, network.plan, network.family, inputs) if inputs else None
    overflow = None if network.overflow is None else network.overflow.tensors
    lowered: dict[str, LoweredModel] = {}
    parities: dict[str, Parity] = {}
    for done, name in enumerate(names):
        if progress is not None:
            progress(done, len(names) + 1, f"lowering {name}")
        lowered[name] = lower(name, network.model, network.plan, overflow)
        if check is not None:
            parities[name] = check.check(lowered[name])
            if options.gate:
                parities[name].gate()
    if progress is not None:
        progress(len(names), len(names) + 1, "golden vectors")
    return lowered, parities


def golden_images(
    network: Network, lowered: dict[str, LoweredModel], pictures: Sequence[str], options: ExportOptions
) -> list[GoldenImage]:
    """The images that go into the bundle; none without pictures."""
    if not pictures or not options.golden_images:
        return []
    preferred = _golden_lowering(lowered)
    ways = [Runner(lowered[preferred].model, optimised=way) for way in (True, False)] if network.plan else []
    return choose_golden(pictures, options.golden_images, network.family, Runner(network.original), ways)


def golden_vectors(
    network: Network, lowered: dict[str, LoweredModel], chosen: Sequence[GoldenImage], outputs: str = "golden"
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """The manifest's golden records, and the files that they name.

    Args:
        network: what is exported.
        lowered: its lowerings.
        chosen: from `golden_images`.
        outputs: folder of the expected outputs; the images are in `golden`.
    """
    records: list[dict[str, Any]] = [_golden_record(index, network) for index in range(len(chosen))]
    files = {record["image"]: image.png() for record, image in zip(records, chosen, strict=True)}
    for record, image in zip(records, chosen, strict=True):
        if image.infrared_hw is not None:
            record["infrared"] = f"{os.path.splitext(record['image'])[0]}.ir.png"
            files[record["infrared"]] = image.infrared_png()
    for name, model in lowered.items():
        runner = Runner(model.model, optimised=name in RUNS_OPTIMISED)
        for index, (record, image) in enumerate(zip(records, chosen, strict=True)):
            boxes, samples = run_golden(image, runner, network.family)
            entry = f"{outputs}/{index}.{name}.npy"
            files[entry] = npy(samples)
            record["outputs"][name] = entry
            record["detections_of"][name] = rows_of(boxes)
    for record in records:
        record["detections"] = record["detections_of"][_golden_lowering(lowered)]
    return records, files


def _golden_lowering(lowered: dict[str, LoweredModel]) -> str:
    return next(name for name in _GOLDEN_OF if name in lowered)


def _golden_record(index: int, network: Network) -> dict[str, Any]:
    decode = network.family.decode
    return {
        "image": f"golden/{index}.png",
        "conf": decode.conf,
        "iou": decode.iou,
        "detections_of": {},
        "outputs": {},
    }


def graphs_of(
    network: Network, lowered: dict[str, LoweredModel], parities: dict[str, Parity]
) -> tuple[dict[str, LoweredGraph], list[WeightTensor], dict[str, int]]:
    """The graphs with their references, the tensors that these refer to, and the size of each graph."""
    stored = stored_tensors(network.model, network.plan)
    graphs, sizes = {}, {}
    needed: dict[str, None] = {}
    for name, model in lowered.items():
        data, references = with_external_data(model.model)
        parity = parities[name].to_json() if name in parities else {}
        graphs[name] = LoweredGraph(
            data, references, model.opset, model.requires, parity, hints_of(model, network.plan)
        )
        sizes[name] = len(data)
        needed.update((tensor, None) for tensor, _ in references)
    return graphs, [stored[name] for name in needed], sizes


def lowering_reports(
    lowered: dict[str, LoweredModel], parities: dict[str, Parity], sizes: dict[str, int], records: dict[str, Any]
) -> dict[str, LoweringReport]:
    """What the report says of each lowering; `records` are the manifest's."""
    return {
        name: LoweringReport(
            model.opset,
            sizes[name],
            records[name]["data_bytes"],
            model.kept_float,
            model.float32_nodes,
            parities[name].to_json() if name in parities else None,
        )
        for name, model in lowered.items()
    }


def make_report(
    network: Network, output: str, lowerings: dict[str, LoweringReport], golden: int, seconds: float
) -> ExportReport:
    """What was done, for `edgekit export` to print; `output` has been written."""
    plan = network.plan
    calibration = None if network.calibration is None else {**network.calibration, **(network.cost or {})}
    if calibration is not None:
        calibration.pop("sha256", None)
    return ExportReport(
        output=output,
        output_bytes=os.path.getsize(output),
        source=network.path,
        source_bytes=os.path.getsize(network.path),
        family=network.family.decode.family,
        input_hw=input_hw(network.model),
        classes=len(network.family.classes),
        layers=len(weighted_layers(network.model)),
        float_layers=dict(plan.excluded) if plan is not None else {},
        layers_by_bits={} if plan is None else plan.layers_by_bits(),
        lowerings=lowerings,
        golden_images=golden,
        calibration=calibration,
        overflow=None if network.overflow is None else network.overflow.to_json(),
        seconds=seconds,
        next_commands=_next_commands(output, network.family.preprocess.pairs),
    )


def _next_commands(output: str, pairs: bool) -> tuple[str, ...]:
    if not output.endswith(".ekb"):
        return ()
    return (
        f"edgekit check {output}",
        f"edgekit run {output} {'PAIRS' if pairs else 'VIDEO'} --save out.mp4",
        f"edgekit bench {output}",
        f"edgekit val {output} --images DIR --annotations FILE.json",
    )
