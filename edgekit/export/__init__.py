"""The workstation's last verb: a model file to a bundle, or to one plain ONNX file."""

from edgekit.export.bundle_from_model import ExportOptions, bundle_from_model
from edgekit.export.bundle_of_precisions import TrainedPrecision, bundle_of_precisions
from edgekit.export.onnx_from_bundle import onnx_from_bundle
from edgekit.export.onnx_from_model import onnx_from_model
from edgekit.export.report import ExportReport, PrecisionsReport

__all__ = [
    "ExportOptions",
    "ExportReport",
    "PrecisionsReport",
    "TrainedPrecision",
    "bundle_from_model",
    "bundle_of_precisions",
    "onnx_from_bundle",
    "onnx_from_model",
]
