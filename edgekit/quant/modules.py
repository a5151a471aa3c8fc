"""Convolution and linear layer that compute with fake-quantised weights and inputs.

A `QuantConv2d` may own the batch norm behind it and quantises the *folded* weights, which are what is deployed
(R. Krishnamoorthi, arXiv 1806.08342, section 3.2.2). With g = gamma / sqrt(running_var + eps):

    training   y = norm( conv(x', Q(g w)) / g + b )                      batch statistics, which the norm updates
    frozen     y = conv(x', Q(g w)) + beta + g (b - running_mean)         what is deployed; gamma and beta still learn

Once the statistics stand still, both are the same function.

Differs from the paper: batch statistics are those of the quantised convolution, so that one convolution is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.graph.channels import float_reason_of_shape
from edgekit.quant.lsq import LsqQuantizer
from edgekit.quant.observers import weight_steps


@dataclass(frozen=True, slots=True)
class LayerBits:
    """Widths of one layer.

    Attributes:
        weight: bits of the weights, 2 to 8, one step an output channel.
        input: bits of the tensor that the layer reads, 2 to 8 (7 if unsigned), one step; None leaves it in float.
        signed: False where that tensor is never negative.
        method: of the weights' first steps, see `edgekit.quant.observers`.
    """

    weight: int = 8
    input: int | None = 8
    signed: bool = True
    method: str = "mse"


def uniform_bits(weight: int, read: int, signed: bool = True) -> Callable[[str, nn.Module], LayerBits]:
    """A rule for `prepare`: the same widths everywhere, inputs in float where TensorRT has no INT8 kernel (R9)."""

    def rule(name: str, module: nn.Module) -> LayerBits:
        in_float = False
        if isinstance(module, nn.Conv2d):
            outputs, inputs, height, width = module.weight.shape
            in_float = float_reason_of_shape((outputs, inputs, height, width), module.groups) is not None
        return LayerBits(weight, None if in_float else read, signed)

    return rule


class QuantConv2d(nn.Conv2d):
    """A convolution with fake-quantised weights and input.

    Attributes:
        weight_quantizer: of the folded weights.
        input_quantizer: of the input; None where that stays in float or another layer owns the quantiser.
        norm: the batch norm behind the convolution, or None.
        frozen: use running statistics in training too.
        lent: another layer's quantiser of the input, or empty.
    """

    weight_quantizer: nn.Module
    input_quantizer: nn.Module | None
    norm: nn.BatchNorm2d | None
    frozen: bool
    lent: list[nn.Module]

    @classmethod
    def from_float(cls, conv: nn.Conv2d, bits: LayerBits, norm: nn.BatchNorm2d | None = None) -> QuantConv2d:
        """A layer over the *same* parameters as `conv` and `norm`.

        Raises:
            ValueError: `norm` has no gamma, beta or running statistics.
        """
        weight_quantizer = LsqQuantizer(bits.weight, channels=conv.out_channels).to(conv.weight.device)
        layer = cls.with_quantizers(conv, weight_quantizer, _input_quantizer(bits, conv.weight.device), norm)
        weight_quantizer.set_step(weight_steps(layer.folded_weight(), weight_quantizer.qmax, bits.method))
        return layer

    @classmethod
    def with_quantizers(
        cls,
        conv: nn.Conv2d,
        weight_quantizer: nn.Module,
        input_quantizer: nn.Module | None,
        norm: nn.BatchNorm2d | None = None,
    ) -> QuantConv2d:
        """As `from_float`, with quantisers made already (DoReFa, for one)."""
        if norm is not None and (norm.weight is None or norm.running_var is None):
            raise ValueError("a batch norm without gamma or running statistics cannot be folded")
        layer = cls(**conv_arguments(conv), device="meta")  # type: ignore[arg-type]
        layer.weight, layer.bias = conv.weight, conv.bias
        layer.weight_quantizer, layer.input_quantizer = weight_quantizer, input_quantizer
        layer.norm = norm
        layer.frozen = False
        layer.lent = []  # a list hides the module: it is registered with its owner alone
        return layer.train(conv.training)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        x = quantized_input(self, x_nchw)
        weight = self.weight_quantizer(self.folded_weight())
        if self.norm is None or self.frozen or not self.training:
            return self._conv_forward(x, weight, self.folded_bias())
        gain = self._gain()
        y = self._conv_forward(x, weight, None) / torch.where(gain == 0, 1.0, gain)[:, None, None]
        normalised: Tensor = self.norm(y if self.bias is None else y + self.bias[:, None, None])
        return normalised

    def folded_weight(self) -> Tensor:
        """(O, C / groups, kh, kw) before quantisation, the batch norm folded in."""
        return self.weight if self.norm is None else self.weight * self._gain()[:, None, None, None]

    def folded_bias(self) -> Tensor | None:
        """(O,), the batch norm folded in; None where there is neither bias nor norm."""
        if self.norm is None:
            return self.bias
        assert self.norm.running_mean is not None  # checked when made
        shift = self.norm.running_mean if self.bias is None else self.norm.running_mean - self.bias
        return self.norm.bias - shift * self._gain()

    def to_float(self) -> nn.Conv2d:
        """A plain convolution with the folded weights, not rounded: what the exporter reads beside the plan."""
        conv = nn.Conv2d(**{**conv_arguments(self), "bias": self.folded_bias() is not None})  # type: ignore[arg-type]
        _copy(conv, self.folded_weight(), self.folded_bias())
        return conv.to(self.weight.device).train(self.training)

    def _gain(self) -> Tensor:
        assert self.norm is not None and self.norm.running_var is not None
        return self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()


class QuantLinear(nn.Linear):
    """A linear layer with fake-quantised weights and input; attributes as `QuantConv2d`."""

    weight_quantizer: nn.Module
    input_quantizer: nn.Module | None
    lent: list[nn.Module]

    @classmethod
    def from_float(cls, linear: nn.Linear, bits: LayerBits) -> QuantLinear:
        """A layer over the *same* parameters as `linear`."""
        layer = cls(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        layer.weight, layer.bias = linear.weight, linear.bias
        quantizer = LsqQuantizer(bits.weight, channels=linear.out_features).to(linear.weight.device)
        quantizer.set_step(weight_steps(linear.weight, quantizer.qmax, bits.method))
        layer.weight_quantizer = quantizer
        layer.input_quantizer = _input_quantizer(bits, linear.weight.device)
        layer.lent = []
        return layer.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., O)."""
        return functional.linear(quantized_input(self, x), self.weight_quantizer(self.weight), self.bias)

    def to_float(self) -> nn.Linear:
        """A plain linear layer with the weights, not rounded."""
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        _copy(linear, self.weight, self.bias)
        return linear.to(self.weight.device).train(self.training)


QuantLayer = QuantConv2d | QuantLinear


def input_quantizer_of(layer: QuantLayer) -> nn.Module | None:
    """The quantiser of what `layer` reads, its own or another layer's; None where it reads float."""
    return layer.lent[0] if layer.lent else layer.input_quantizer


def read_with(layer: QuantLayer, quantizer: nn.Module) -> None:
    """Let `layer` read through a quantiser that another layer owns, because both read the same tensor."""
    layer.input_quantizer = None
    layer.lent = [quantizer]


def quantized_input(layer: QuantLayer, x: Tensor) -> Tensor:
    """`x` as `layer` reads it."""
    quantizer = input_quantizer_of(layer)
    return x if quantizer is None else quantizer(x)


def _input_quantizer(bits: LayerBits, device: torch.device) -> LsqQuantizer | None:
    return None if bits.input is None else LsqQuantizer(bits.input, bits.signed).to(device)


def conv_arguments(conv: nn.Conv2d) -> dict[str, object]:
    """What `nn.Conv2d` is made with to have the geometry of `conv`."""
    return {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
        "bias": conv.bias is not None,
        "padding_mode": conv.padding_mode,
    }


def _copy(layer: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None and layer.bias is not None:
            layer.bias.copy_(bias)
