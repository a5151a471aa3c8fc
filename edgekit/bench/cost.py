"""What a network has to do, kernel by kernel: plain values, counted from its graph by `edgekit.graph.costs`."""

from dataclasses import dataclass
from typing import Tuple

BYTES = {"int8": 1, "fp16": 2, "fp32": 4}


@dataclass(frozen=True)
class LayerCost:
    """What a kernel, or a few that always go together, have to do for one image.

    Attributes:
        name: of the graph's node that does the work.
        op: the fused operators, such as "Conv+Relu".
        macs: multiply-accumulates.
        weight_bytes, input_bytes, output_bytes: moved, at the precision they are stored in.
        precision: of the arithmetic: "int8", "fp16" or "fp32".
        kernels: launches.
        in_channels, out_channels: a group; 0 where nothing is multiplied.
        groups: of a convolution; as many as input channels is depthwise.
        positions: output pixels.
    """

    name: str
    op: str
    macs: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    precision: str
    kernels: int = 1
    in_channels: int = 0
    out_channels: int = 0
    groups: int = 1
    positions: int = 0

    @property
    def depthwise(self) -> bool:
        """Whether each group has one input channel, so that tensor cores are of no use."""
        return self.groups > 1 and self.in_channels == 1


@dataclass(frozen=True)
class NetworkCost:
    """A network's kernels in the order in which they run.

    Attributes:
        name: of the network.
        lowering: the graph that was counted.
        layers: its kernels.
        activation_bytes: most that is alive at once.
        border_bytes: inputs and outputs, in float32.
        notes: what had to be assumed about this graph.
    """

    name: str
    lowering: str
    layers: Tuple[LayerCost, ...]
    activation_bytes: int
    border_bytes: int
    notes: Tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def kernels(self) -> int:
        """Launches of one image."""
        return sum(layer.kernels for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Weights at the precision in which the engine keeps them."""
        return sum(layer.weight_bytes for layer in self.layers)
