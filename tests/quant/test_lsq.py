import copy

import numpy as np
import pytest
import torch

from edgekit.precision import QuantSpec, dequantize, fake_quantize, quantize
from edgekit.quant.lsq import LsqQuantizer

SIZES = (1, 63, 64, 65)
GRIDS = [(bits, signed) for bits in range(2, 9) for signed in (True, False) if signed or bits < 8]


def values(*shape: int, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Normal values with exact halves of the step, both zeros and both far ends among them."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 4 * scale
    flat = x.reshape(-1)
    special = torch.tensor([0.5, -0.5, 1.5, -2.5, -0.0, 0.0, 1e4, -1e4, -0.3]) * scale
    flat[: min(len(flat), len(special))] = special[: len(flat)]
    return x


def quantizer(bits: int, signed: bool, step: float) -> LsqQuantizer:
    made = LsqQuantizer(bits, signed)
    made.set_step(step)
    return made


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("bits", "signed"), GRIDS)
def test_equals_the_oracle_bit_for_bit(bits: int, signed: bool, size: int) -> None:
    for step in (0.037, 0.25, 1.0 / 3.0):
        made = quantizer(bits, signed, step)
        x = values(3, size, scale=step)
        expected = fake_quantize(x.numpy(), made.spec())
        assert expected.dtype == np.float32
        found = made(x).detach().numpy()
        assert np.array_equal(found.view(np.int32), expected.view(np.int32))
        assert np.array_equal(made.codes(x).numpy(), quantize(x.numpy(), made.spec()).astype(np.int16))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", range(2, 9))
def test_channels_equal_the_oracle_bit_for_bit(bits: int, size: int) -> None:
    for channels in (1, 3, 65):
        made = LsqQuantizer(bits, channels=channels)
        made.set_step(torch.rand(channels, generator=torch.Generator().manual_seed(1)) * 0.3 + 0.01)
        w = values(channels, size, 1, 3, scale=0.1)
        spec = made.spec()
        assert (spec.granularity, spec.axis, len(spec.scale)) == ("channel", 0, channels)
        expected = dequantize(quantize(w.numpy(), spec), spec)
        assert np.array_equal(made(w).detach().numpy().view(np.int32), expected.view(np.int32))


def test_the_clip_of_narrow_activations_changes_no_code() -> None:
    for bits, signed in GRIDS:
        made = quantizer(bits, signed, 0.1)
        spec = made.spec()
        assert (spec.clip is None) == (bits == 8)
        bare = QuantSpec(bits, spec.scale, signed=signed)
        x = values(4, 65, scale=0.1).numpy()
        assert np.array_equal(quantize(x, spec), quantize(x, bare))


def test_spec_survives_json_and_gives_the_step_back() -> None:
    made = quantizer(5, True, 0.1)
    spec = QuantSpec.from_json(made.spec().to_json())
    again = quantizer(5, True, spec.scale[0])
    assert torch.equal(again.step, made.step)
    assert spec.source == "qat:lsq"


def test_quantising_twice_changes_nothing() -> None:
    made = quantizer(4, True, 0.1)
    once = made(values(3, 65, scale=0.1))
    assert torch.equal(made(once), once)


def test_gradients_are_those_of_the_paper() -> None:
    made = quantizer(3, True, 0.5)  # codes -3 .. 3
    x = torch.tensor([[0.6, -0.2, 9.0, -9.0, 1.5]], requires_grad=True)  # r = 1.2, -0.4, 18, -18, 3 (the edge)
    weights = torch.tensor([[1.0, 2.0, 3.0, 5.0, 7.0]])
    (made(x) * weights).sum().backward()
    assert torch.equal(x.grad, torch.tensor([[1.0, 2.0, 0.0, 0.0, 0.0]]))
    by_step = (1 - 1.2) * 1 + (0 + 0.4) * 2 + 3 * 3 - 3 * 5 + 3 * 7
    assert made.step.grad.item() == pytest.approx(by_step / (5 * 3) ** 0.5, rel=1e-5)


def test_each_channel_has_its_own_gradient() -> None:
    made = LsqQuantizer(4, channels=3)
    made.set_step([0.1, 0.2, 0.3])
    w = values(3, 5, scale=0.1)
    single = []
    for channel in range(3):
        one = LsqQuantizer(4, channels=1)
        one.set_step([0.1 * (channel + 1)])
        one(w[channel : channel + 1]).sum().backward()
        single.append(one.step.grad)
    made(w).sum().backward()
    assert torch.allclose(made.step.grad, torch.cat(single))


def test_a_step_that_crossed_zero_stays_positive() -> None:
    made = quantizer(8, True, -0.1)
    assert made(torch.tensor([0.25])).item() == pytest.approx(0.2)
    assert quantizer(8, True, 0.0).spec().scale[0] > 0


def test_training_the_step_lowers_the_error() -> None:
    made = quantizer(3, True, 1.5)
    x = torch.randn(64, 65, generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.SGD(made.parameters(), lr=0.01)
    errors = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = ((made(x) - x) ** 2).mean(dim=0).sum()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert errors[-1] < 0.5 * errors[0]


def test_without_a_step_nothing_passes_quietly() -> None:
    made = LsqQuantizer(8)
    assert made(torch.ones(3)).isnan().all()
    with pytest.raises(ValueError, match="finite and > 0"):
        made.spec()


def test_a_copy_is_independent() -> None:
    made = quantizer(8, True, 0.1)
    other = copy.deepcopy(made)
    other.set_step(0.2)
    assert made.step.item() == pytest.approx(0.1)


@pytest.mark.parametrize("bits", [0, 1, 9])
def test_widths_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match="bits is 2 to 8"):
        LsqQuantizer(bits)


def test_eight_unsigned_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="take 7, or signed"):
        LsqQuantizer(8, signed=False)


def test_a_channel_whose_weights_die_keeps_a_step_that_its_bias_fits() -> None:
    quantizer = LsqQuantizer(8, channels=3)
    quantizer.set_step([1e-9, -0.004, 0.002])
    assert quantizer.scale.tolist() == pytest.approx([0.004 / 1024, 0.004, 0.002])
    quantizer(torch.randn(3, 5)).sum().backward()
    assert quantizer.step.grad is not None and quantizer.step.grad[0] == 0
