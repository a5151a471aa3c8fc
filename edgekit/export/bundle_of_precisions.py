"""A network that was trained for many precisions to one bundle: each is lowered, checked and kept in the same file."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgekit.errors import ModelError
from edgekit.export.bundle_from_model import (
    ExportOptions,
    check_folder,
    chosen_lowerings,
    golden_images,
    golden_vectors,
    graphs_of,
    lower_all,
    lowering_reports,
    make_report,
    pictures_of,
)
from edgekit.export.golden import GoldenImage
from edgekit.export.manifest import make_manifest, short_floats
from edgekit.export.network import Network, Progress, read_network, scanned
from edgekit.export.report import PrecisionReport, PrecisionsReport
from edgekit.graph.lower import LoweredModel
from edgekit.graph.parity import Parity
from edgekit.layered import Part, tensors_in_planes, write_layered
from edgekit.precision import QuantPlan


@dataclass(frozen=True, slots=True)
class TrainedPrecision:
    """One precision as training left it.

    Attributes:
        bits: of the weights.
        path: an ONNX file whose weights are on the grid of `plan` already.
        plan: by names of the file's nodes.
        calibration: how the grids came about.
    """

    bits: int
    path: str
    plan: QuantPlan
    calibration: dict[str, Any]


class _Made(NamedTuple):
    network: Network
    lowered: dict[str, LoweredModel]
    parities: dict[str, Parity]
    sizes: dict[str, int]
    part: Part
    files: dict[str, bytes]


def bundle_of_precisions(
    trained: Sequence[TrainedPrecision],
    output: str,
    *,
    images: str | None = None,
    options: ExportOptions | None = None,
    progress: Progress | None = None,
) -> PrecisionsReport:
    """Export every precision of a network to one `.ekb` bundle.

    Args:
        trained: the precisions, the highest first.
        output: the bundle; its folder must exist.
        images: folder of images for parity and golden vectors.
        options: the defaults where None; of the quantisation nothing applies.
        progress: called with (done, total, text), anew for each precision.

    Raises:
        ModelError: no layer has weights that all precisions share.
        DataError, ConfigError, GateError, StorageError: as `bundle_from_model`.
    """
    begin = time.perf_counter()
    options = options or ExportOptions()
    names = chosen_lowerings(options.lowerings, True)
    check_folder(output)
    pictures = pictures_of(images)
    chosen: list[GoldenImage] | None = None
    made: list[_Made] = []
    for one in trained:
        network = read_network(one.path, plan=(one.plan, one.calibration), family=options.family)
        network = scanned(network, pictures)
        lowered, parities = lower_all(network, names, pictures, options, _told(progress, one.bits))
        if chosen is None:  # the same images for all, so that each is in the file once
            chosen = golden_images(network, lowered, pictures, options)
        made.append(_made(one.bits, network, lowered, parities, chosen))
    parts = [each.part for each in made]
    in_planes = tensors_in_planes(parts)
    if not in_planes:
        raise ModelError(
            f"no layer of {trained[0].path} has one set of weights for {[one.bits for one in trained]} bits"
        )
    manifest = make_manifest(made[0].network, options.name, options.licence, [])
    shared = {key: value for key, value in manifest.items() if key not in ("plan", "golden")}
    files = {entry: data for each in made for entry, data in each.files.items()}
    written = write_layered(output, manifest=shared, parts=parts, in_planes=in_planes, files=files)
    return _report(made, output, written, len(chosen or ()), time.perf_counter() - begin)


def _made(
    bits: int,
    network: Network,
    lowered: dict[str, LoweredModel],
    parities: dict[str, Parity],
    chosen: Sequence[GoldenImage],
) -> _Made:
    golden, files = golden_vectors(network, lowered, chosen, f"golden/{bits}")
    graphs, tensors, sizes = graphs_of(network, lowered, parities)
    assert network.plan is not None
    part = Part(bits, tensors, graphs, short_floats(network.plan.to_json()), golden)
    return _Made(network, lowered, parities, sizes, part, files)


def _told(progress: Progress | None, bits: int) -> Progress | None:
    if progress is None:
        return None
    tell = progress
    return lambda done, total, text: tell(done, total, f"{bits} bits: {text}")


def _report(
    made: Sequence[_Made], output: str, written: dict[str, Any], golden: int, seconds: float
) -> PrecisionsReport:
    records = [written, *written["precisions"][1:]]
    parts = {
        each.part.bits: PrecisionReport(
            sum(item["bytes"] for item in record["weights"] if item["kind"] == "planes"),
            lowering_reports(each.lowered, each.parities, each.sizes, record["lowerings"]),
        )
        for each, record in zip(made, records, strict=True)
    }
    highest = made[0]
    report = make_report(highest.network, output, parts[highest.part.bits].lowerings, golden, seconds)
    return PrecisionsReport(report, parts)
