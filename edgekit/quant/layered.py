"""A network of every precision: convolutions over one set of weights, with what each precision has for itself.

`layered` turns a quantised network (`edgekit.quant.prepare`) into one. Its convolutions share their weights and the
steps of these; each precision has its own steps of the inputs and its own batch norm (A. Bulat and G. Tzimiropoulos,
"Bit-Mixer", ICCV 2021; H. Yu et al., "Any-Precision Deep Neural Networks", AAAI 2021). With g_b = |gamma_b| /
sqrt(running_var_b + eps), beta'_b the rest of the norm of precision b, and Q_b of `edgekit.quant.vertical`:

    training   y = norm_b(conv(x_b, Q_b(w)))             batch statistics, which norm b alone updates
    frozen     y = conv(x_b, Q_b(w) g_b) + beta'_b       what is deployed: scales s g_b and a bias of precision b

The sign of gamma moves into the weights when the network is made, because the step of a precision is positive. A
convolution without a norm gets gain and bias of each precision all the same.

`at_precision` gives one precision as an ordinary quantised network: the same function bit for bit, and with it the
plan, the export and the scores that such a network has.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import ModelError
from edgekit.precision import midrise_step, midrise_width
from edgekit.quant.lsq import LsqQuantizer
from edgekit.quant.modules import QuantConv2d, QuantLinear, input_quantizer_of, quantized_input, read_with
from edgekit.quant.observers import weight_steps
from edgekit.quant.swap import quant_layers, swap
from edgekit.quant.vertical import PrecisionInput, VerticalQuantizer

_FITTED_BITS = 4
"""The precision whose best step the master starts with: finer bits clip too little there, coarser ones too much."""
_LEAST = 1e-8


class LayeredConv2d(QuantConv2d):
    """A convolution at one precision of many.

    Attributes:
        precisions: bits, descending.
        bits: the precision in use; see `set_precision`.
        whole: computes with all 8 bits of its weights at every precision.
        normed: had a batch norm, whose statistics are live until frozen.
        norms: precision, as text, -> its gain and bias as a batch norm.
    """

    weight_quantizer: VerticalQuantizer
    precisions: tuple[int, ...]
    bits: int
    whole: bool
    normed: bool
    norms: nn.ModuleDict

    @classmethod
    def from_quantised(
        cls, layer: QuantConv2d, reads: PrecisionInput | None, precisions: Sequence[int], whole: bool
    ) -> LayeredConv2d:
        """A layer over the *same* weights as `layer`, with the best steps for them; norms are copies."""
        quantizer = VerticalQuantizer(layer.out_channels).to(layer.weight.device)
        made = cls.with_quantizers(layer, quantizer, reads)
        assert isinstance(made, LayeredConv2d)
        norm = _norm_of(layer)
        made.bias = None
        made.normed = layer.norm is not None
        made.frozen, made.whole = layer.frozen, whole
        made.precisions = tuple(precisions)
        with torch.no_grad():
            made.weight.mul_(torch.where(norm.weight < 0, -1.0, 1.0)[:, None, None, None])
            assert norm.running_mean is not None
            norm.running_mean.mul_(torch.where(norm.weight < 0, -1.0, 1.0))
            norm.weight.abs_()
            quantizer.set_step(_first_steps(made.weight, whole))
        made.norms = nn.ModuleDict({str(bits): copy.deepcopy(norm) for bits in precisions})
        for bits in precisions:
            made._use(bits)
            made._fit()
        made._use(precisions[0])
        return made

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        x, norm = quantized_input(self, x_nchw), self._norm()
        if not self.normed or self.frozen or not self.training:
            return self._conv_forward(x, self.weight_quantizer(self.weight, self._gain()), self.folded_bias())
        y = self._conv_forward(x, self.weight_quantizer(self.weight), None)
        momentum = 0.1 if norm.momentum is None else norm.momentum
        return functional.batch_norm(
            y, norm.running_mean, norm.running_var, _positive(norm.weight), norm.bias, True, momentum, norm.eps
        )

    def folded_weight(self) -> Tensor:
        """(O, C / groups, kh, kw) as deployed at the precision in use."""
        weight: Tensor = self.weight_quantizer(self.weight, self._gain())
        return weight

    def folded_bias(self) -> Tensor:
        """(O,) of the precision in use."""
        norm = self._norm()
        assert norm.running_mean is not None
        return norm.bias - norm.running_mean * self._gain()

    def deployed_steps(self) -> Tensor:
        """(O,) steps of the symmetric codes (`edgekit.precision.midrise_codes`) of the precision in use."""
        return self.weight_quantizer.scale * self._gain() * midrise_step(self.weight_quantizer.bits)

    @torch.no_grad()
    def _fit(self) -> None:
        """Give the precision in use the gain that fits its weights best; means are of what it multiplies."""
        gain, norm = self.weight_quantizer.best_gain(self.weight, self.weight_quantizer.bits), self._norm()
        assert norm.running_mean is not None
        norm.weight.mul_(gain)
        norm.running_mean.div_(gain)

    def _use(self, bits: int) -> None:
        self.bits = bits
        self.weight_quantizer.bits = 8 if self.whole else bits

    def _norm(self) -> nn.BatchNorm2d:
        norm = self.norms[str(self.bits)]
        assert isinstance(norm, nn.BatchNorm2d)
        return norm

    def _gain(self) -> Tensor:
        norm = self._norm()
        assert norm.running_var is not None
        return _positive(norm.weight) / (norm.running_var + norm.eps).sqrt()


def layered(model: nn.Module, precisions: Sequence[int], whole: Collection[str] = ()) -> nn.Module:
    """A copy of a quantised network that computes at each of `precisions`; steps of its inputs are not set yet.

    Args:
        model: from `edgekit.quant.prepare`; widths of its weights do not matter.
        precisions: 1 to 8 bits, descending.
        whole: names of layers that keep all 8 bits at every precision.

    Raises:
        ModelError: a quantised layer is not a convolution.
    """
    check_precisions(precisions)
    ready = copy.deepcopy(model)
    reads: dict[nn.Module, PrecisionInput] = {}

    def rule(name: str, module: nn.Module) -> nn.Module | None:
        if isinstance(module, QuantLinear):
            raise ModelError(f"{name} is a linear layer; only convolutions have many precisions, leave it in float")
        if not isinstance(module, QuantConv2d):
            return None
        quantizer = input_quantizer_of(module)
        shared = None if quantizer is None else reads.get(quantizer)
        if isinstance(quantizer, LsqQuantizer) and shared is None:
            shared = reads[quantizer] = PrecisionInput(quantizer, precisions)
        made = LayeredConv2d.from_quantised(module, shared, precisions, name in whole)
        if shared is not None and module.lent:
            read_with(made, shared)
        return made.train(module.training)

    return swap(ready, rule)


def check_precisions(precisions: Sequence[int]) -> None:
    """Raise `ValueError` unless these are different widths of 1 to 8 bits, the widest first."""
    fine = all(type(bits) is int and 1 <= bits <= 8 for bits in precisions)
    if not precisions or not fine or list(precisions) != sorted(set(precisions), reverse=True):
        raise ValueError(f"precisions are different widths of 1 to 8 bits, the widest first, got {list(precisions)}")


def precisions_of(model: nn.Module) -> tuple[int, ...]:
    """The precisions of a layered network, descending; none where it is not one."""
    layers = [layer for layer in quant_layers(model).values() if isinstance(layer, LayeredConv2d)]
    return layers[0].precisions if layers else ()


def set_precision(model: nn.Module, bits: int) -> None:
    """From here on `model` computes with `bits`.

    Raises:
        ValueError: the network does not have that precision.
    """
    if bits not in precisions_of(model):
        raise ValueError(f"the network has the precisions {precisions_of(model)}, not {bits}")
    for module in model.modules():
        if isinstance(module, LayeredConv2d):
            module._use(bits)
        elif isinstance(module, PrecisionInput):
            module.bits = bits


def at_precision(model: nn.Module, bits: int) -> nn.Module:
    """One precision of a layered network as an ordinary quantised one: the same function, bit for bit.

    Weights of b bits are symmetric codes of b + 1 bits there (`edgekit.precision.midrise_codes`).
    """
    one = copy.deepcopy(model)
    set_precision(one, bits)

    def rule(_: str, module: nn.Module) -> nn.Module | None:
        return _plain(module) if isinstance(module, LayeredConv2d) else None

    return swap(one, rule)


def calibration_pass(model: nn.Module, x: Tensor) -> None:
    """Run `model` at every precision, for `edgekit.quant.calibrate`."""
    for bits in precisions_of(model):
        set_precision(model, bits)
        model(x)
    set_precision(model, precisions_of(model)[0])


def _plain(layer: LayeredConv2d) -> QuantConv2d:
    conv = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        layer.groups,
        padding_mode=layer.padding_mode,
    ).to(layer.weight.device)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.copy_(layer.folded_weight())
        conv.bias.copy_(layer.folded_bias())
    quantizer = LsqQuantizer(midrise_width(layer.weight_quantizer.bits), channels=layer.out_channels)
    quantizer.to(layer.weight.device).set_step(layer.deployed_steps().detach())
    reads = input_quantizer_of(layer)
    one = reads.at(layer.bits) if isinstance(reads, PrecisionInput) else None
    plain = QuantConv2d.with_quantizers(conv, quantizer, one)
    if one is not None and layer.lent:
        read_with(plain, one)
    return plain.train(layer.training)


def _norm_of(layer: QuantConv2d) -> nn.BatchNorm2d:
    """A copy of the norm of a layer, its bias in it; the identity but for the bias where there is none."""
    norm = copy.deepcopy(layer.norm) if layer.norm is not None else nn.BatchNorm2d(layer.out_channels, eps=0.0)
    norm.to(layer.weight.device)
    assert norm.running_mean is not None
    if layer.bias is not None:
        with torch.no_grad():
            norm.bias.add_(layer.bias) if layer.norm is None else norm.running_mean.sub_(layer.bias)
    return norm


def _first_steps(weight: Tensor, whole: bool) -> Tensor:
    if whole:
        return weight_steps(weight, 127)
    return weight_steps(weight, 2 ** (_FITTED_BITS - 1) - 1) / 2.0 ** (8 - _FITTED_BITS)


def _positive(gamma: Tensor) -> Tensor:
    return gamma.abs().clamp(min=_LEAST)
