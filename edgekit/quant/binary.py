"""Binary convolution in training: weights and activations are signs, and what is trained is what is deployed.

The forward pass is IR-Net's Libra parameter binarisation (Qin et al., CVPR 2020, section 3.2), which DIR-Net (Qin et
al., IJCV 2023, arXiv 2109.12338) calls information maximised binarisation. For output channel c of n weights, and an
input x:

    w0 = w - mean_c(w),   wn = w0 / std_c(w0)           unbiased; zero mean makes both signs equally likely
    s_c = 2 ^ round(log2(mean_c |wn|))                  no gradient; "l1mean": mean_c |wn|; "none": 1
    y   = conv(sign(x), s_c sign(wn)) (+ bias)          sign(0) = +1
    y   = norm(y)                                       the batch norm behind it, which the layer takes over

Outside the image stands 0 or +1 *after* the sign, as in `edgekit.ops.binary`, whichever `padding` says. Backward each
sign has the gradient of an estimator (`edgekit.quant.estimators`); it flows through mean and std.

DIR-Net's forward pass is a reconstruction: of the paper only the abstract was to be had, which names balance and
standardisation. Differs from IR-Net: sign(0) is +1, for weights too; std may be one number a tensor
("per-tensor"); a channel whose weights are all equal is +1 everywhere, not NaN.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import ModelError
from edgekit.precision import QuantSpec
from edgekit.quant.binary_sign import BinarySign
from edgekit.quant.estimators import ESTIMATORS, Schedule, sign
from edgekit.quant.fold_norm import float_twin, norm_pairs
from edgekit.quant.modules import conv_arguments
from edgekit.quant.swap import replace, swap

SCALES = ("pow2", "l1mean", "none")
STANDARDISE = ("per-channel", "per-tensor")
PADDINGS = ("one", "zero")
SOURCE = "qat:binary"
_LEAST = 1e-8


@dataclass(frozen=True, slots=True)
class BinaryConfig:
    """What can be chosen; padding, scale and standardise belong to the network, the others to its training.

    Attributes:
        padding: one | zero: what stands outside the image.
        scale: pow2 | l1mean | none: of the weights of a channel.
        standardise: per-channel | per-tensor: over what the standard deviation is taken.
        estimator: ste | approxsign | ede | dte | reste: of both signs' gradient.
        eps: share of the values that "dte" keeps alive.
        delta: share of the slope at 0 that counts as alive.
        schedule: sharpness over the epochs.
    """

    padding: str = "one"
    scale: str = "pow2"
    standardise: str = "per-channel"
    estimator: str = "dte"
    eps: float = 0.1
    delta: float = 0.5
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        for key, value, known in (
            ("padding", self.padding, PADDINGS),
            ("scale", self.scale, SCALES),
            ("standardise", self.standardise, STANDARDISE),
            ("estimator", self.estimator, tuple(ESTIMATORS)),
        ):
            if value not in known:
                raise ValueError(f"binary.{key} {value!r} is unknown; choose {', '.join(known)}")
        for key, share in (("eps", self.eps), ("delta", self.delta)):
            if not 0 < share < 1:
                raise ValueError(f"binary.{key} {share} must be between 0 and 1")


class BinaryConv2d(nn.Conv2d):
    """A convolution of signs; without padding, bias and norm its outputs are whole multiples of the channel's scale.

    Attributes:
        config: what was chosen.
        weight_sign: of the balanced weights.
        input_sign: of the input.
        norm: the batch norm behind the convolution, or None.
    """

    config: BinaryConfig
    weight_sign: BinarySign
    input_sign: BinarySign
    norm: nn.BatchNorm2d | None

    @classmethod
    def from_float(cls, conv: nn.Conv2d, config: BinaryConfig, norm: nn.BatchNorm2d | None = None) -> BinaryConv2d:
        """A layer over the *same* parameters as `conv` and `norm`.

        Raises:
            ValueError: the geometry is one that no kernel has, see `refusal`; `norm` cannot be folded.
        """
        reason = refusal(conv)
        if reason is not None:
            raise ValueError(f"a convolution with {reason} cannot be binary")
        if norm is not None and (norm.weight is None or norm.running_var is None):
            raise ValueError("a batch norm without gamma or running statistics cannot be folded")
        layer = cls(**conv_arguments(conv), device="meta")  # type: ignore[arg-type]
        layer.weight, layer.bias = conv.weight, conv.bias
        layer.config = config
        layer.weight_sign = BinarySign(config.estimator, config.eps, config.delta, running=False).to(conv.weight.device)
        layer.input_sign = BinarySign(config.estimator, config.eps, config.delta).to(conv.weight.device)
        layer.norm = norm
        return layer.train(conv.training)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        balanced = self.balanced_weight()
        weight = self.weight_sign(balanced) * channel_scale(balanced, self.config.scale)[:, None, None, None]
        y = _signed_conv(self, self.input_sign(x_nchw), weight, self.bias, self.config.padding)
        if self.norm is None:
            return y
        normalised: Tensor = self.norm(y)
        return normalised

    def balanced_weight(self) -> Tensor:
        """(O, C / groups, kh, kw): zero mean, unit standard deviation."""
        return balanced(self.weight, self.config.standardise)

    def to_deployed(self) -> SignConv2d:
        """What is deployed: weights +-s_c, the batch norm folded into them and into the bias, no state of training."""
        with torch.no_grad():
            weight = self.balanced_weight()
            bits, scale = sign(weight), channel_scale(weight, self.config.scale)
            bias = self.bias
            if self.norm is not None:
                gain, bias = _gain_and_bias(self.norm, self.bias)
                # A gain of 0 has no sign and no step; the smallest step keeps its output at the bias.
                bits, scale = bits * sign(gain)[:, None, None, None], (scale * gain.abs()).clamp(min=_LEAST)
            deployed = SignConv2d.like(self, bits * scale[:, None, None, None], bias, self.config.padding)
        return deployed.train(self.training)

    def spec(self) -> QuantSpec:
        """The deployed weights in the words of a plan: one bit, a step an output channel."""
        step = self.to_deployed().weight.detach().abs().flatten(1)[:, 0]
        return QuantSpec(1, tuple(float(value) for value in step), granularity="channel", source=SOURCE)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"{super().extra_repr()}, signs, padded with {self.config.padding}"


class SignConv2d(nn.Conv2d):
    """A convolution of the signs of its input with its own weights, in plain operators that every exporter knows.

    Attributes:
        outside: what stands outside the image: one | zero.
    """

    outside: str

    @classmethod
    def like(cls, conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, outside: str) -> SignConv2d:
        """With the geometry of `conv`; weights and bias are copied."""
        layer = cls(**{**conv_arguments(conv), "bias": bias is not None}).to(weight)  # type: ignore[arg-type]
        layer.outside = outside
        layer.weight.data.copy_(weight)
        if bias is not None and layer.bias is not None:
            layer.bias.data.copy_(bias)
        return layer

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        signs = torch.where(x_nchw >= 0, 1.0, -1.0)
        return _signed_conv(self, signs, self.weight, self.bias, self.outside)


def refusal(conv: nn.Conv2d) -> str | None:
    """Why `conv` cannot be binary (what the kernels of `edgekit.ops.binary` do not have), or None."""
    if conv.dilation != (1, 1):
        return f"dilation {conv.dilation}"
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        return f"padding {conv.padding!r} ({conv.padding_mode})"
    if max(*conv.kernel_size, *conv.stride) > 15:
        return f"kernel {conv.kernel_size} and stride {conv.stride}, more than 15"
    if any(pad >= side for pad, side in zip(conv.padding, conv.kernel_size, strict=True)):
        return f"padding {conv.padding} not less than its kernel {conv.kernel_size}"
    if conv.weight[0].numel() == 1:
        return "one weight a channel, which has no sign once its mean is taken off,"
    return None


def balanced(weight: Tensor, standardise: str = "per-channel") -> Tensor:
    """(O, I, kh, kw) without each channel's mean, divided by the standard deviation of the channel or of all."""
    centred = weight - weight.mean(dim=(1, 2, 3), keepdim=True)
    over = (1, 2, 3) if standardise == "per-channel" else (0, 1, 2, 3)
    return centred / centred.std(dim=over, keepdim=True).clamp(min=1e-12)


def channel_scale(balanced_weight: Tensor, kind: str) -> Tensor:
    """s_c (O,) > 0 of balanced weights, without gradient."""
    mean = balanced_weight.detach().abs().mean(dim=(1, 2, 3)).clamp(min=_LEAST)
    if kind == "pow2":
        return mean.log2().round().exp2()
    return mean if kind == "l1mean" else torch.ones_like(mean)


def binarize(
    model: nn.Module, example: Tensor, config: BinaryConfig, chosen: Callable[[str, nn.Conv2d], bool]
) -> nn.Module:
    """A copy of a float model whose chosen convolutions are binary and own the batch norm behind them.

    Args:
        model: plain `nn`; it is not changed.
        example: an input, run once in eval mode, that shows which batch norm stands behind which convolution.
        config: the same for all of them.
        chosen: whether a convolution becomes binary, by its name.

    Raises:
        ModelError: none is chosen, or one that cannot be binary.
    """
    ready = copy.deepcopy(model)
    norms = norm_pairs(ready, example)
    places = {module: name for name, module in ready.named_modules()}
    absorbed: list[str] = []

    def rule(name: str, module: nn.Module) -> nn.Module | None:
        if type(module) is not nn.Conv2d or not chosen(name, module):
            return None
        reason = refusal(module)
        if reason is not None:
            raise ModelError(f"{name} has {reason} and cannot be binary; leave it out of the binary layers")
        norm = norms.get(module)
        if norm is not None:
            absorbed.append(places[norm])
        return BinaryConv2d.from_float(module, config, norm)

    ready = swap(ready, rule)
    if not binary_layers(ready):
        raise ModelError("no convolution was chosen to be binary; name some of the model's")
    for name in absorbed:
        replace(ready, name, nn.Identity())
    return ready


def binary_layers(model: nn.Module) -> dict[str, BinaryConv2d]:
    """Name -> layer of every binary convolution, in the order in which they were registered."""
    return {name: module for name, module in model.named_modules() if isinstance(module, BinaryConv2d)}


def sharpen(model: nn.Module, epoch: int, epochs: int) -> None:
    """Call before each epoch, and when a run goes on inside one: every estimator is as sharp as its schedule says."""
    for layer in binary_layers(model).values():
        now = layer.config.schedule.at(epoch, epochs)
        layer.weight_sign.scheduled = layer.input_sign.scheduled = now


def measure_weights(model: nn.Module) -> None:
    """Call at the start of each epoch: "dte" looks at how the weights are distributed."""
    for layer in binary_layers(model).values():
        layer.weight_sign.measure(layer.balanced_weight())


def alive(model: nn.Module) -> dict[str, float]:
    """The share of values with gradient in the latest step, as `alive/weight/LAYER` and `alive/input/LAYER`."""
    shares: dict[str, float] = {}
    for name, layer in binary_layers(model).items():
        for kind, each in (("weight", layer.weight_sign), ("input", layer.input_sign)):
            share = each.alive()
            if share is not None:
                shares[f"alive/{kind}/{name}"] = share
    return shares


def deployed_twin(model: nn.Module) -> nn.Module:
    """A copy with plain layers, to be exported beside the plan: signs, weights +-s_c, batch norms folded.

    A binary convolution becomes comparison with 0, choice of +1 or -1, padding with +1 where that was trained, and a
    convolution. Other quantised layers are as in `float_twin`.
    """

    def rule(name: str, module: nn.Module) -> nn.Module | None:
        return module.to_deployed() if isinstance(module, BinaryConv2d) else None

    return swap(float_twin(model), rule)


def _signed_conv(conv: nn.Conv2d, signs: Tensor, weight: Tensor, bias: Tensor | None, outside: str) -> Tensor:
    down, across = int(conv.padding[0]), int(conv.padding[1])
    if outside == "one" and (down or across):
        signs = functional.pad(signs, (across, across, down, down), value=1.0)
        return functional.conv2d(signs, weight, bias, conv.stride, 0, 1, conv.groups)
    return functional.conv2d(signs, weight, bias, conv.stride, conv.padding, 1, conv.groups)


def _gain_and_bias(norm: nn.BatchNorm2d, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    assert norm.running_var is not None and norm.running_mean is not None  # checked when made
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.running_mean.double() if bias is None else norm.running_mean.double() - bias.double()
    return gain.float(), (norm.bias.double() - shift * gain).float()
