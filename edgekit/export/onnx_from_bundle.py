"""A graph of a bundle as one plain ONNX file, weights inside."""

import os
import tempfile

import onnx

from edgekit.bundle import Bundle
from edgekit.files import atomic_write
from edgekit.graph.families import Family, metadata_of
from edgekit.process import DecodeSpec, Preprocess


def onnx_from_bundle(bundle: Bundle, output: str, lowering: str) -> int:
    """Write one lowering of a bundle, at the precision that it was opened at, as a self-contained ONNX file.

    Args:
        bundle: opened.
        output: the file to write; its folder must exist.
        lowering: one of the bundle's.

    Returns:
        Bytes written.

    Raises:
        BundleError: the bundle has no such lowering.
        StorageError: the disk is full or the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        model = onnx.load(bundle.materialise(lowering, folder))  # with its external data
    for tensor in model.graph.initializer:
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    metadata = {**metadata_of(_family_of(bundle)), "lowering": lowering}
    known = {entry.key: entry for entry in model.metadata_props}
    for key, value in metadata.items():
        entry = known.get(key) or model.metadata_props.add(key=key)
        entry.value = value
    data = model.SerializeToString(deterministic=True)
    with atomic_write(output) as stream:
        stream.write(data)
    return os.path.getsize(output)


def _family_of(bundle: Bundle) -> Family:
    manifest = bundle.manifest
    decode, preprocess = DecodeSpec.from_json(manifest["decode"]), Preprocess.from_json(manifest["preprocess"])
    return Family(decode, preprocess, bundle.classes, "bundle")
