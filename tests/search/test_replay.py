import copy

import pytest

pytest.importorskip("torch")

import torch

from edgekit.models import build
from edgekit.search.replay import Replay


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build("fasterx_student", 2).eval()


def changed(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    other = copy.deepcopy(model)
    for name, weight in weights.items():
        other.get_submodule(name).weight.data = weight
    return other


def test_every_layer_gives_what_the_whole_network_gives(model: torch.nn.Module) -> None:
    replay, x = Replay(model, torch.zeros(1, 3, 64, 128)), torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        assert torch.allclose(replay.see(x), model(x), atol=1e-5)
    convolutions = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert sorted(replay.layers) == sorted(convolutions) and replay.layers[0] == "backbone.stem.conv.conv"
    for name in convolutions:
        weights = {name: -model.get_submodule(name).weight.detach()}
        with torch.no_grad():
            expected = changed(model, weights)(x)
        assert torch.allclose(replay.changed(weights), expected, atol=1e-5), name
        assert not torch.equal(replay.changed(weights), replay.see(x)), name


def test_only_what_depends_on_a_layer_is_computed(model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay(model, torch.zeros(1, 3, 64, 64))
    replay.see(torch.rand(1, 3, 64, 64))
    calls = []
    run = replay._run
    monkeypatch.setattr(replay, "_run", lambda node, values: calls.append(node) or run(node, values))
    counts = []
    for name in ("backbone.stem.conv.conv", "head.levels.2.predict.obj"):
        calls.clear()
        replay.changed({name: model.get_submodule(name).weight.detach()})
        counts.append(len(calls))
    assert counts[1] < 10 < counts[0]


def test_several_layers_and_a_picture_that_is_not_kept(model: torch.nn.Module) -> None:
    replay = Replay(model, torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="no picture has been seen"):
        replay.changed({})
    names = replay.layers[3:6]
    weights = {name: 0.5 * model.get_submodule(name).weight.detach() for name in names}
    first, second = torch.rand(2, 1, 3, 64, 64)
    kept = replay.see(first)
    with torch.no_grad():
        expected = changed(model, weights)(second)
    assert torch.allclose(replay.run(second, weights), expected, atol=1e-5)
    assert torch.equal(replay.changed({}), kept)
