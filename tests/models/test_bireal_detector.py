import copy
from fnmatch import fnmatchcase

import pytest
import torch
from torch import nn

from edgekit.models import build
from edgekit.models.bireal_detector import BODY, Beside, BiRealConv


def test_the_student_is_rewired_with_the_same_weights() -> None:
    plain, wired = build("fasterx_student", 3), build("fasterx_student_bireal", 3)
    assert {n: v.shape for n, v in plain.state_dict().items()} == {n: v.shape for n, v in wired.state_dict().items()}
    names = [name for name, module in wired.named_modules() if isinstance(module, nn.Conv2d)]
    body = [name for name in names if any(fnmatchcase(name, pattern) for pattern in BODY)]
    assert len(body) == sum(isinstance(module, BiRealConv) for module in wired.modules()) > 30
    assert all(name.startswith(("backbone.stem", "head")) for name in names if name not in body)


def test_every_binary_convolution_sees_both_signs() -> None:
    torch.manual_seed(0)
    model = build("fasterx_student_bireal", 3).train()
    seen: list[torch.Tensor] = []
    for module in model.modules():
        if isinstance(module, BiRealConv):
            module.register_forward_pre_hook(lambda m, x: seen.append(x[0].detach()))
    model(torch.rand(2, 3, 64, 64))
    assert len(seen) > 30 and all(0.02 < (x < 0).float().mean() < 0.98 for x in seen)


def test_deployed_is_the_same_function() -> None:
    torch.manual_seed(0)
    model = build("fasterx_student_bireal", 3).train()
    model(torch.rand(2, 3, 64, 64))
    model.eval()
    x = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model.deploy()(x), copy.deepcopy(model)(x), rtol=1e-4, atol=1e-4)


def test_shortcuts_by_hand() -> None:
    x = torch.arange(16.0).reshape(1, 4, 2, 2)
    assert Beside(4, 4, 1)(x) is x
    assert Beside(4, 2, 1)(x)[0, 0].tolist() == [[4, 5], [6, 7]]  # mean of channels 0 and 2
    assert Beside(4, 8, 2)(x)[0, :, 0, 0].tolist() == [1.5, 5.5, 9.5, 13.5] * 2
    with pytest.raises(ValueError, match="4 and 6 channels do not divide"):
        Beside(4, 6, 1)
