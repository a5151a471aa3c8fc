"""Run a canonical graph on onnxruntime and see any of its tensors."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from edgekit.errors import BackendError
from edgekit.runtime.operators import add_operators


class Runner:
    """One onnxruntime session over a graph, with chosen tensors as its outputs.

    Tensors that nobody asked for never leave onnxruntime, so its fusions and its reuse of memory stay in force.
    """

    def __init__(
        self,
        model: ir.Model,
        tensors: Sequence[str] | None = None,
        threads: int = 0,
        optimised: bool = True,
        integers: bool = True,
    ) -> None:
        """Open the session.

        Args:
            model: canonical or lowered.
            tensors: names of the values to return; None means the graph's own outputs.
            threads: onnxruntime's intra-op threads; 0 leaves the choice to it.
            optimised: False runs node by node, exactly as written.
            integers: False computes Q/DQ graphs in float, which every CPU does alike; integer kernels saturate where
                VNNI is missing.

        Raises:
            BackendError: onnxruntime refuses the graph.
        """
        proto = ir.to_proto(model)
        self.outputs = list(tensors) if tensors is not None else [value.name for value in proto.graph.output]
        if tensors is not None:
            _expose(proto, self.outputs)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not integers:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        if not optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        add_operators(options, [entry.domain for entry in proto.opset_import], "the graph", ort.__version__)
        try:
            self._session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class but this
            reason = str(error).strip().splitlines()[0]
            raise BackendError(f"onnxruntime cannot open the graph: {reason}") from error
        self._input = self._session.get_inputs()[0].name

    def run(self, x_nchw: np.ndarray) -> list[np.ndarray]:
        """The arrays of `outputs`, in that order, for one input (1, 3, H, W) float32; the caller owns them."""
        arrays: list[np.ndarray] = self._session.run(self.outputs, {self._input: x_nchw})
        return arrays


def _expose(proto: onnx.ModelProto, names: Iterable[str]) -> None:
    wanted = list(names)
    known = {value.name: value for value in [*proto.graph.value_info, *proto.graph.output]}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ValueError(f"the graph has no tensor {missing[0]!r}")
    outputs = [known[name] for name in wanted]
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in outputs]
    del proto.graph.output[:]
    proto.graph.output.extend(kept)
