"""A lowered graph as bytes: whole, or with references to a bundle's stored tensors."""

import onnx_ir as ir

from edgekit.bundle import WEIGHTS_DATA, external_layout
from edgekit.graph.load import model_bytes
from edgekit.graph.sources import SOURCE

SMALLEST_EXTERNAL = 16
"""Elements: below this an initializer costs less inside the graph than as a reference."""


def with_external_data(model: ir.Model) -> tuple[bytes, list[tuple[str, str]]]:
    """Serialise `model` with its larger initializers as external data of a bundle.

    Args:
        model: lowered; initializers with a source and at least `SMALLEST_EXTERNAL` elements become references. It is
            not changed.

    Returns:
        The graph's bytes, and (tensor name, encoding) of each reference in file order.
    """
    chosen = [v for v in model.graph.initializers.values() if _is_external(v)]
    references = list(dict.fromkeys(v.meta[SOURCE] for v in chosen))
    sizes = {v.meta[SOURCE]: v.const_value.nbytes for v in chosen if v.const_value is not None}
    places = {
        (tensor, encoding): (offset, count) for tensor, encoding, offset, count in external_layout(references, sizes)
    }
    proto = ir.to_proto(model)
    for tensor in proto.graph.initializer:
        value = model.graph.initializers[tensor.name]
        if value in chosen:
            offset, count = places[value.meta[SOURCE]]
            tensor.ClearField("raw_data")
            tensor.data_location = tensor.EXTERNAL
            for key, text in (("location", WEIGHTS_DATA), ("offset", str(offset)), ("length", str(count))):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, text
    return proto.SerializeToString(deterministic=True), references


def whole(model: ir.Model) -> bytes:
    """Serialise `model` with everything inside: plain ONNX."""
    return model_bytes(model)


def _is_external(value: ir.Value) -> bool:
    return SOURCE in value.meta and _elements(value) >= SMALLEST_EXTERNAL


def _elements(value: ir.Value) -> int:
    assert value.const_value is not None
    return int(value.const_value.size)
