"""Weights of many precisions: the torch form against the NumPy oracle, its gradients, and what a slice is worth."""

import numpy as np
import pytest
import torch

from edgekit.precision import container_codes, midrise_step, midrise_width
from edgekit.quant import LsqQuantizer
from edgekit.quant.vertical import VerticalQuantizer, container

BITS = (8, 7, 6, 5, 4, 3, 2, 1)


def quantizer(steps: torch.Tensor, bits: int = 8) -> VerticalQuantizer:
    made = VerticalQuantizer(len(steps))
    made.set_step(steps)
    made.bits = bits
    return made


def weights(shape: tuple[int, ...] = (5, 3, 3, 3), seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("count", [1, 63, 64, 65])
def test_the_oracle_has_the_same_codes_and_values(bits: int, count: int) -> None:
    weight = weights((3, count))
    ours = quantizer(torch.tensor([0.01, 0.02, 0.04]), bits)
    master = ours.master(weight).numpy()
    scale = ours.scale.detach().numpy()[:, None]
    assert np.array_equal(master, np.clip(np.rint(weight.numpy() / scale), -127, 127))
    assert np.array_equal(container(torch.from_numpy(master).float(), bits).numpy(), container_codes(master, bits))
    gain = torch.tensor([1.0, 0.75, 1.3])
    expected = container_codes(master, bits).astype(np.float32) * (scale * gain.numpy()[:, None])
    assert np.array_equal(ours(weight, gain).detach().numpy(), expected)


@pytest.mark.parametrize("bits", BITS)
def test_an_ordinary_quantizer_of_one_more_bit_has_the_same_values(bits: int) -> None:
    weight, ours = weights(), quantizer(torch.full((5,), 0.02), bits)
    values = ours(weight)
    twin = LsqQuantizer(midrise_width(bits), channels=5)
    twin.set_step(ours.scale.detach() * midrise_step(bits))
    assert torch.equal(twin(values), values)


def test_gradients_are_those_of_the_head_of_the_file() -> None:
    weight = torch.tensor([[0.3, -0.11, 5.0, -5.0]], requires_grad=True)
    gain = torch.tensor([0.5], requires_grad=True)
    ours = quantizer(torch.tensor([0.02]), 2)
    incoming = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    (ours(weight, gain) * incoming).sum().backward()
    # r = 15, -5.5, beyond, beyond; q >> 6 = 0, -1, 1, -2; c = 32, -32, 96, -96
    assert weight.grad is not None and weight.grad.tolist() == [[0.5, 1.0, 0.0, 0.0]]
    by_step = 0.5 * (1 * (32 - 15) + 2 * (-32 + 5.5) + 3 * 96 - 4 * 96) / np.sqrt(4 * 127)
    assert ours.step.grad is not None
    assert ours.step.grad.item() == pytest.approx(by_step / 16, rel=1e-4)
    assert gain.grad is not None
    assert gain.grad.item() == pytest.approx(0.02 * (32 - 2 * 32 + 3 * 96 - 4 * 96), rel=1e-5)


def test_the_best_gain_of_one_bit_is_the_mean_magnitude() -> None:
    weight, ours = weights((4, 64)), quantizer(torch.full((4,), 0.02), 1)
    values = ours(weight, ours.best_gain(weight, 1))
    assert torch.allclose(values.abs(), weight.abs().mean(dim=1, keepdim=True).expand_as(values), rtol=1e-5)


def snr_db(values: np.ndarray, others: np.ndarray) -> float:
    return float(10 * np.log10((values**2).sum() / ((values - others) ** 2).sum()))


@pytest.mark.parametrize(
    ("bits", "dropped", "middle"),
    [(8, 28.90, 28.90), (6, 25.25, 27.02), (5, 20.26, 24.01), (4, 14.37, 19.37), (3, 8.29, 13.86), (2, 2.22, 8.03)],
)
def test_signal_to_noise_of_slices_of_a_normal_distribution(bits: int, dropped: float, middle: float) -> None:
    """N(0, 1) at the 8-bit step that suits 4 bits: bits dropped alone, and the middle of the cell instead."""
    values = np.random.default_rng(0).standard_normal(400_000)
    step = 2.70 / 128
    master = np.clip(np.rint(values / step), -128, 127)
    cell = 2 ** (8 - bits)
    low = np.floor(master / cell) * cell
    assert snr_db(values, low * step) == pytest.approx(dropped, abs=0.1)
    assert snr_db(values, (low + (cell - 1) / 2) * step) == pytest.approx(middle, abs=0.1)
    # ours stop at -127, and what integers can hold is half a master step beside the middle
    ours = container_codes(np.maximum(master, -127).astype(np.int8), bits) * step
    assert snr_db(values, ours) == pytest.approx(middle, abs=0.3)
