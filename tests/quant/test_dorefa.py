import pytest
import torch

from edgekit.quant.dorefa import DorefaActivation, DorefaWeight, dorefa_activation, dorefa_weight


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_have_at_most_two_to_the_bits_levels_and_no_zero(bits: int) -> None:
    w = torch.randn(63, 65, generator=torch.Generator().manual_seed(0)) * 0.1
    q = dorefa_weight(w, bits)
    assert len(q.unique()) <= 2**bits
    assert q.abs().max() == 1.0
    assert not (q == 0).any()
    steps = (q + 1) / 2 * (2**bits - 1)
    assert torch.allclose(steps, steps.round(), atol=1e-4)


def test_weights_by_hand() -> None:
    w = torch.tensor([0.0, 1.0, -1.0, 0.5])
    # tanh 0, .7616, -.7616, .4621: u = .5, 1, 0, .8034; times 3 and rounded half to even: 2, 3, 0, 2
    assert torch.allclose(dorefa_weight(w, 2), torch.tensor([1 / 3, 1.0, -1.0, 1 / 3]))


def test_one_bit_keeps_the_mean_magnitude() -> None:
    w = torch.tensor([0.3, -0.1, 0.0])
    mean = 0.4 / 3
    assert torch.allclose(dorefa_weight(w, 1), torch.tensor([mean, -mean, mean]))


def test_gradient_of_weights_reaches_every_element() -> None:
    w = torch.randn(65, requires_grad=True, generator=torch.Generator().manual_seed(0))
    dorefa_weight(w, 3).sum().backward()
    t = w.detach().tanh()
    assert torch.allclose(w.grad, (1 - t**2) / t.abs().max())


@pytest.mark.parametrize("bits", range(2, 9))
def test_activations_lie_on_their_levels(bits: int) -> None:
    a = torch.linspace(-1, 2, 65, requires_grad=True)
    q = dorefa_activation(a, bits)
    assert torch.equal(q, (a.detach().clamp(0, 1) * (2**bits - 1)).round() / (2**bits - 1))
    q.sum().backward()
    assert torch.equal(a.grad, ((a >= 0) & (a <= 1)).float())


def test_float_width_is_the_identity() -> None:
    x = torch.randn(5)
    assert DorefaWeight(32)(x) is x
    assert DorefaActivation(32)(x) is x


def test_weights_of_zero_stay_finite() -> None:
    assert dorefa_weight(torch.zeros(5), 4).isfinite().all()


@pytest.mark.parametrize("bits", [0, 9, 31])
def test_widths_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match="bits is 1 to 8, or 32"):
        DorefaWeight(bits)
    with pytest.raises(ValueError, match="bits is 2 to 8, or 32"):
        dorefa_activation(torch.zeros(1), bits)
