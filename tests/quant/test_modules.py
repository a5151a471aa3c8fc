import copy

import pytest
import torch
from torch import nn

from edgekit.precision import fake_quantize
from edgekit.quant.dorefa import DorefaActivation, DorefaWeight
from edgekit.quant.modules import LayerBits, QuantConv2d, QuantLinear, input_quantizer_of, read_with
from tests.quant.nets import trained


def conv_and_norm(c_in: int = 5, c_out: int = 7, groups: int = 1, bias: bool = False):
    conv = nn.Conv2d(c_in, c_out, 3, 2, 1, groups=groups, bias=bias)
    norm = nn.BatchNorm2d(c_out)
    trained(nn.Sequential(conv, norm))
    return conv, norm


def inputs(channels: int = 5) -> torch.Tensor:
    return torch.randn(2, channels, 9, 11, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("c_in", "c_out", "groups"), [(1, 1, 1), (5, 7, 1), (6, 6, 6)])
def test_a_layer_is_the_convolution_of_what_the_oracle_gives(bits: int, c_in: int, c_out: int, groups: int) -> None:
    conv, norm = conv_and_norm(c_in, c_out, groups)
    layer = QuantConv2d.from_float(conv, LayerBits(bits, bits), norm).eval()
    layer.input_quantizer.set_step(0.1)
    x = inputs(c_in)
    weight = fake_quantize(layer.folded_weight().detach().numpy(), layer.weight_quantizer.spec())
    read = fake_quantize(x.numpy(), layer.input_quantizer.spec())
    expected = nn.functional.conv2d(
        torch.from_numpy(read), torch.from_numpy(weight), layer.folded_bias(), 2, 1, groups=groups
    )
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("bias", [False, True])
def test_folding_is_the_norm_behind_the_convolution(bias: bool) -> None:
    conv, norm = conv_and_norm(bias=bias)
    layer = QuantConv2d.from_float(conv, LayerBits(), norm).eval()
    folded = layer.to_float()
    assert type(folded) is nn.Conv2d
    assert torch.allclose(folded(inputs()), norm(conv(inputs())), atol=1e-5)


def test_eight_bits_are_close_to_float_and_two_are_not() -> None:
    conv, norm = conv_and_norm()
    expected = norm(conv(inputs()))
    errors = {}
    for bits in (8, 4, 2):
        layer = QuantConv2d.from_float(conv, LayerBits(bits, None), norm).eval()
        errors[bits] = ((layer(inputs()) - expected) ** 2).mean().item() / expected.var().item()
    assert errors[8] < 1e-4 < errors[4] < errors[2]


def test_training_with_live_statistics_is_the_norm_of_the_quantised_convolution() -> None:
    conv, norm = conv_and_norm(bias=True)
    layer = QuantConv2d.from_float(conv, LayerBits(8, None), copy.deepcopy(norm)).train()
    reference = copy.deepcopy(norm).train()
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    weight = layer.weight_quantizer(conv.weight * gain[:, None, None, None]) / gain[:, None, None, None]
    expected = reference(nn.functional.conv2d(inputs(), weight, conv.bias, 2, 1))
    assert torch.allclose(layer(inputs()), expected, atol=1e-5)
    assert torch.allclose(layer.norm.running_mean, reference.running_mean, atol=1e-6)
    assert torch.allclose(layer.norm.running_var, reference.running_var, rtol=1e-5)


def test_frozen_training_is_what_is_deployed_and_still_learns() -> None:
    conv, norm = conv_and_norm()
    layer = QuantConv2d.from_float(conv, LayerBits(4, 4), norm)
    layer.input_quantizer.set_step(0.2)
    deployed = layer.eval()(inputs())
    layer.train()
    layer.frozen = True
    before = norm.running_mean.clone()
    y = layer(inputs())
    assert torch.equal(y, deployed)
    assert torch.equal(norm.running_mean, before)
    (y**2).sum().backward()
    steps = (layer.weight_quantizer.step, layer.input_quantizer.step)
    for parameter in (conv.weight, norm.weight, norm.bias, *steps):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_a_gamma_of_zero_stays_finite() -> None:
    conv, norm = conv_and_norm()
    norm.weight.data[2] = 0.0
    layer = QuantConv2d.from_float(conv, LayerBits(8, None), norm).train()
    y = layer(inputs())
    assert y.isfinite().all()
    assert torch.allclose(y[:, 2], norm.bias[2].expand_as(y[:, 2]))


def test_parameters_are_those_of_the_float_layer() -> None:
    conv, norm = conv_and_norm()
    layer = QuantConv2d.from_float(conv, LayerBits(), norm)
    assert layer.weight is conv.weight
    assert {"weight", "weight_quantizer.step", "input_quantizer.step", "norm.running_mean"} <= layer.state_dict().keys()


def test_a_norm_without_statistics_is_refused() -> None:
    conv, _ = conv_and_norm()
    with pytest.raises(ValueError, match="cannot be folded"):
        QuantConv2d.from_float(conv, LayerBits(), nn.BatchNorm2d(7, track_running_stats=False))


def test_padding_in_words_and_dilation_are_kept() -> None:
    conv = nn.Conv2d(4, 6, 3, padding="same", dilation=2, padding_mode="reflect")
    layer = QuantConv2d.from_float(conv, LayerBits(8, None)).eval()
    assert torch.allclose(layer(inputs(4)), conv(inputs(4)), atol=0.05)
    assert torch.equal(layer.to_float()(inputs(4)), conv(inputs(4)))


@pytest.mark.parametrize("features", [1, 63, 64, 65])
def test_linear(features: int) -> None:
    linear = nn.Linear(features, 3)
    layer = QuantLinear.from_float(linear, LayerBits(4, 8))
    layer.input_quantizer.set_step(0.03)
    x = torch.randn(2, 5, features)
    weight = fake_quantize(linear.weight.detach().numpy(), layer.weight_quantizer.spec())
    read = fake_quantize(x.numpy(), layer.input_quantizer.spec())
    expected = nn.functional.linear(torch.from_numpy(read), torch.from_numpy(weight), linear.bias)
    assert torch.equal(layer(x), expected)
    assert torch.equal(layer.to_float()(x), linear(x))


def test_a_borrowed_quantiser_is_registered_once_and_copied_as_one() -> None:
    conv, _ = conv_and_norm(c_out=7)
    other = nn.Conv2d(5, 3, 1)
    pair = nn.ModuleList([QuantConv2d.from_float(conv, LayerBits()), QuantConv2d.from_float(other, LayerBits())])
    read_with(pair[1], pair[0].input_quantizer)
    assert [name for name, _ in pair.named_parameters() if "input" in name] == ["0.input_quantizer.step"]
    twin = copy.deepcopy(pair)
    assert input_quantizer_of(twin[1]) is twin[0].input_quantizer
    assert input_quantizer_of(twin[1]) is not pair[0].input_quantizer


def test_dorefa_layers_run_as_ghost_trains_them() -> None:
    conv, _ = conv_and_norm()
    layer = QuantConv2d.with_quantizers(conv, DorefaWeight(4), DorefaActivation(4)).train()
    x = inputs().requires_grad_()
    layer(x).sum().backward()
    assert conv.weight.grad.abs().sum() > 0
    assert (x.grad[(x < 0) | (x > 1)] == 0).all() and x.grad.abs().sum() > 0
