"""The pieces together: what narrow codes lost comes back by training, alone and with the float twin's help."""

import copy

import pytest
import torch
from torch import nn

from edgekit.distill import Ghost, GhostConfig, Step, start, views_of
from edgekit.graph.lower import lower
from edgekit.quant import calibrate, float_twin, freeze_norms, plan_for_graph, prepare, uniform_bits
from edgekit.quant.swap import quant_layers
from tests.quant.nets import Block, Forked, graph_of, images, trained


def off(model: nn.Module, target: torch.Tensor) -> float:
    """Mean squared error of the deployed function over held-out images, in shares of the target's variance."""
    with torch.no_grad():
        error = (copy.deepcopy(model).eval()(images(8, seed=9)) - target) ** 2
    return (error.mean() / target.var()).item()


@pytest.mark.parametrize("distilled", [False, True])
def test_training_gets_back_what_three_bits_lost(distilled: bool) -> None:
    torch.manual_seed(0)
    teacher = trained(Forked())
    with torch.no_grad():
        target, held_out = teacher(images(16)), teacher(images(8, seed=9))
    student = prepare(teacher, images(), uniform_bits(3, 4))
    calibrate(student, [images(4)])
    lost = off(student, held_out)
    freeze_norms(student.train())
    method = Ghost(GhostConfig(("stem", "left", "right.1"), weight=10.0, width=8))
    stage, models = method.stages[0], {"student": student, "teacher": teacher}
    parameters = start(method, stage, models, {"image": images(4)}) if distilled else list(student.parameters())
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    for step in range(24):
        picked = slice(step % 4 * 4, step % 4 * 4 + 4)
        views = views_of(method, stage, models, {"image": images(16)[picked]})
        loss = ((views["student"].out["out"] - target[picked]) ** 2).mean()
        if distilled:
            loss = loss + sum(method(Step(views)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert off(student, held_out) < 0.75 * lost
    graph = graph_of(float_twin(student))
    assert not lower("trt8", graph, plan_for_graph(graph, student)).kept_float


def test_uniform_bits_leave_what_tensorrt_runs_in_float() -> None:
    model = nn.Sequential(Block(3, 17), Block(17, 17), nn.Conv2d(17, 17, 3, groups=17))
    layers = quant_layers(prepare(trained(model), images(), uniform_bits(5, 6, signed=False)))
    reads = {name: layer.input_quantizer for name, layer in layers.items()}
    assert reads["0.conv"] is None and reads["2"] is None
    assert (reads["1.conv"].bits, reads["1.conv"].signed) == (6, False)
    assert {layer.weight_quantizer.bits for layer in layers.values()} == {5}
