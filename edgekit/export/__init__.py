"""The workstation's last verb: a model file to a bundle, or to one plain ONNX file."""

from edgekit.export.bundle_from_model import ExportOptions, bundle_from_model
from edgekit.export.onnx_from_model import onnx_from_model
from edgekit.export.report import ExportReport

__all__ = ["ExportOptions", "ExportReport", "bundle_from_model", "onnx_from_model"]
