import pytest
import torch

from edgekit.distill import Ghost, GhostConfig, Step, View
from edgekit.distill.ghost import Gate, hard_switch, sample_noise, spatial_value
from edgekit.errors import ConfigError, DataError, ModelError
from tests.distill.toys import LAYERS, built, det, ghost, step_of, twins


def golden_pair() -> tuple[torch.Tensor, torch.Tensor]:
    return det(2, 4, 8, 8, w=0.37, p=0.1), det(2, 4, 8, 8, w=0.29, p=0.5)


def step_on(student: torch.Tensor, teacher: torch.Tensor) -> Step:
    image = torch.zeros(len(student), 3, 8, 8)
    return Step({"student": View(image, {"a": [student]}, {}), "teacher": View(image, {"a": [teacher]}, {})})


def test_loss_of_open_gates_is_the_attention_transfer_loss() -> None:
    distiller = Ghost(GhostConfig(("a",), gate="open"))
    student, teacher = golden_pair()
    assert distiller.losses(step_on(student, teacher))["ost"].item() == pytest.approx(4.097385356693e-03, rel=1e-5)
    assert distiller.losses(step_on(5 * student, teacher))["ost"].item() == pytest.approx(4.097385356693e-03, rel=1e-5)
    assert distiller.state() == {"open_rate/a": 1.0}


def test_layers_are_summed_and_images_averaged() -> None:
    student, teacher = (x.float() for x in golden_pair())
    image = torch.zeros(2, 3, 8, 8)
    views = [View(image, {"a": [x], "b": [2 * x]}, {}) for x in (student, teacher)]
    distiller = Ghost(GhostConfig(("a", "b"), gate="open"))
    both = distiller.losses(Step({"student": views[0], "teacher": views[1]}))["ost"].item()
    assert both == pytest.approx(2 * 4.097385356693e-03, rel=1e-5)
    twice = step_on(torch.cat([student] * 2), torch.cat([teacher] * 2))
    assert Ghost(GhostConfig(("a",), gate="open")).losses(twice)["ost"].item() == pytest.approx(both / 2, rel=1e-5)


def test_spatial_value_has_unit_norm_and_keeps_zeros() -> None:
    value = spatial_value(torch.cat([torch.randn(1, 5, 3, 7), torch.zeros(1, 5, 3, 7)]))
    assert value.shape == (2, 21)
    assert torch.allclose(value.norm(dim=1), torch.tensor([1.0, 0.0]))


def test_a_switch_is_exactly_zero_or_one_with_the_gradient_of_the_sigmoid() -> None:
    logit = torch.linspace(-9, 9, 65, requires_grad=True)
    gate = hard_switch(logit)
    assert set(gate.tolist()) == {0.0, 1.0}
    gate.sum().backward()
    soft = logit.detach().sigmoid()
    assert torch.allclose(logit.grad, soft * (1 - soft))


@pytest.mark.parametrize(
    ("noise", "logit", "rate"),
    [("gumbel", 0.0, 0.632), ("gumbel", 1.0, 0.934), ("gumbel", -2.0, 0.127)]
    + [("logistic", 0.0, 0.5), ("logistic", 1.0, 0.731), ("logistic", -2.0, 0.119)],
)
def test_noise_opens_as_often_as_its_distribution_says(noise: str, logit: float, rate: float) -> None:
    torch.manual_seed(0)
    logits = torch.full((100_000,), logit)
    opened = hard_switch(logits + sample_noise(logits, noise)).mean().item()
    assert opened == pytest.approx(rate, abs=0.006)


def test_a_gate_by_hand() -> None:
    gate = Gate(4, 16, "none").eval()
    student, teacher = torch.randn(3, 4, 5, 7), torch.randn(3, 4, 5, 7)
    key = (gate.key[0](student.mean(dim=(2, 3))) / (1 + 1e-5) ** 0.5).relu()
    query = gate.query[0](teacher.mean(dim=(2, 3))) / (1 + 1e-5) ** 0.5
    assert torch.equal(gate(student, teacher), ((key * query).sum(dim=1) > 0).float())


def closed(distiller: Ghost) -> Ghost:
    for gate in distiller.gates:
        gate.noise = "none"
        gate.key[1].bias.data.fill_(10.0)
        gate.query[1].bias.data.fill_(-10.0)
    return distiller


def test_closed_gates_teach_nothing() -> None:
    models, distiller = twins(0.3), ghost("random_fixed")
    built(distiller, models)
    loss = closed(distiller)(step_of(distiller, models))["ost"]
    assert loss.item() == 0
    assert set(distiller.state().values()) == {0.0}
    assert distiller.state().keys() == {f"open_rate/{layer}" for layer in LAYERS}


def test_random_fixed_gates_are_not_in_the_optimiser_and_learned_ones_are() -> None:
    for gate, held in (("random_fixed", False), ("learned", True)):
        models, distiller = twins(), ghost(gate)
        parameters = {id(p) for p in built(distiller, models)}
        weights = [g.key[0].weight for g in distiller.gates] + [g.query[0].weight for g in distiller.gates]
        assert len(weights) == 4
        assert all((id(w) in parameters) is held for w in weights)


def test_weight_scales_the_gradient() -> None:
    gradients = []
    for weight in (400.0, 800.0):
        models = twins(0.3)
        distiller = Ghost(GhostConfig(LAYERS, weight=weight, gate="open"))
        built(distiller, models)
        distiller(step_of(distiller, models))["ost"].backward()
        gradients.append(models["student"].body[0].conv.weight.grad)
    assert torch.allclose(2 * gradients[0], gradients[1])


def test_one_image_is_too_few_for_gates() -> None:
    models, distiller = twins(0.1), ghost()
    built(distiller, models)
    with pytest.raises(ConfigError, match="need 2 or more; raise the batch"):
        distiller(step_of(distiller, models, count=1))


def test_maps_of_different_shape_are_refused() -> None:
    distiller = Ghost(GhostConfig(("a",), gate="open"))
    with pytest.raises(ModelError, match=r"a is \(2, 4, 8, 8\) in the student and \(2, 4, 4, 4\) in the teacher"):
        distiller.losses(step_on(torch.ones(2, 4, 8, 8), torch.ones(2, 4, 4, 4)))


def test_a_loss_that_is_not_finite_is_named() -> None:
    distiller = Ghost(GhostConfig(("a",), gate="open"))
    with pytest.raises(DataError, match="loss 'ost' of Ghost became nan at step 0"):
        distiller(step_on(torch.full((2, 4, 8, 8), float("nan")), torch.ones(2, 4, 8, 8)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ()}, "name at least one module"),
        ({"gate": "shut"}, "ghost.gate 'shut' is unknown; choose one of learned, random_fixed, open"),
        ({"noise": "white"}, "ghost.noise 'white' is unknown; choose one of gumbel"),
    ],
)
def test_mistakes_in_the_configuration(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GhostConfig(**{"layers": ("a",), **changes})
