import pytest
import torch
from torch import nn
from torch.nn import functional

from edgekit.models import MODELS, build
from edgekit.models.fold import strided_from_unshuffled


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch norms that do something, as after training."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    return model.eval()


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolution_of_unshuffled_is_a_strided_convolution(kernel: int) -> None:
    conv = nn.Conv2d(12, 5, kernel, padding=kernel // 2, dtype=torch.float64)
    x = torch.randn(2, 3, 14, 10, dtype=torch.float64)
    strided = strided_from_unshuffled(conv).double()
    assert strided.kernel_size == (2 * kernel, 2 * kernel)
    assert strided.stride == (2, 2)
    expected = conv(functional.pixel_unshuffle(x, 2))
    # the folded weights are stored as float32
    assert torch.allclose(strided(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_deploy_keeps_the_output(name: str) -> None:
    torch.manual_seed(0)
    model = with_statistics(build(name, 3))
    deployed = model.deploy()
    x = torch.rand(1, model.in_channels, 64, 128)
    with torch.inference_mode():
        assert torch.allclose(deployed(x), model(x), atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())


def test_deploy_leaves_the_model_alone() -> None:
    model = build("fasterx_nano", 3).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.deploy()
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
