"""A model file to one lowering as a plain ONNX file, for people who want nothing else of us."""

import os
import time
from typing import Any

from edgekit.errors import ConfigError
from edgekit.export.bundle_from_model import ExportOptions, check_folder, lower_all, make_report, pictures_of
from edgekit.export.network import Progress, read_network, scanned
from edgekit.export.report import ExportReport, LoweringReport
from edgekit.files import atomic_write
from edgekit.graph.external import whole
from edgekit.graph.families import metadata_of
from edgekit.graph.lower import check_lowering
from edgekit.precision import QuantPlan


def onnx_from_model(
    model: str,
    output: str,
    lowering: str,
    *,
    calib: str | None = None,
    plan: tuple[QuantPlan, dict[str, Any]] | None = None,
    images: str | None = None,
    options: ExportOptions | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write one lowering of a detector as a self-contained ONNX file.

    Args:
        model: an ONNX file.
        output: the file to write; its folder must exist.
        lowering: a key of `edgekit.graph.lower.LOWERINGS`.
        calib: folder of calibration images; needed, or `plan`, for the INT8 lowerings.
        plan: a plan and its calibration record from an earlier `quantize`.
        images: folder of images for parity; `calib` where None.
        options: the defaults where None; its `lowerings` and golden images do not apply.
        progress: called with (done, total, text).

    Raises:
        ModelError, DataError, ConfigError, GateError, StorageError: as `bundle_from_model`.
    """
    begin = time.perf_counter()
    options = options or ExportOptions()
    check_lowering(lowering, calib is not None or plan is not None)
    check_folder(output)
    if os.path.abspath(output) == os.path.abspath(model):
        raise ConfigError(f"{output} is the model itself; give another name to write to")
    network = read_network(
        model, calib=calib, plan=plan, options=options.quantize, family=options.family, progress=progress
    )
    pictures = pictures_of(images or calib, network.family.preprocess.pairs)
    network = scanned(network, pictures, progress)
    lowered, parities = lower_all(network, [lowering], pictures, options, progress)
    graph = lowered[lowering]
    graph.model.metadata_props.update(metadata_of(network.family))
    graph.model.metadata_props["lowering"] = lowering
    data = whole(graph.model)
    with atomic_write(output) as stream:
        stream.write(data)
    parity = parities[lowering].to_json() if lowering in parities else None
    report = LoweringReport(graph.opset, len(data), 0, graph.kept_float, graph.float32_nodes, parity)
    return make_report(network, output, {lowering: report}, 0, time.perf_counter() - begin)
