import pytest

from edgekit.graph.load import load_canonical
from edgekit.graph.plan import last_layers, weighted_layers
from edgekit.graph.sensitivity import choose_float_layers
from edgekit.precision import QuantPlan
from tests.graph import tiny


class Judge:
    """Gives each layer in float a worth of its own."""

    def __init__(self, start: float, worth: dict[str, float]) -> None:
        self.start, self.worth, self.calls = start, worth, 0

    def score(self, plan: QuantPlan) -> float:
        self.calls += 1
        return self.start + sum(self.worth.get(name, 0.0) for name in plan.excluded)


def choose(judge: Judge, **arguments):
    model = load_canonical(tiny.yolox())
    return model, choose_float_layers(model, lambda keep: QuantPlan(excluded=dict(keep)), judge, **arguments)


def test_nothing_stays_in_float_where_int8_is_good_enough():
    judge = Judge(0.95, {"stem_node": 0.04})
    _, choice = choose(judge)
    assert choice.keep_float == {}
    assert judge.calls == 1


def test_the_stem_stays_where_it_pays_and_the_head_where_not_goes():
    _, choice = choose(Judge(0.5, {"stem_node": 0.3}), single_layers=False)
    assert list(choice.keep_float) == ["stem_node"]
    assert "agreement 0.500 -> 0.800 with stem in float" in choice.keep_float["stem_node"]
    assert (choice.agreement_all_int8, choice.agreement) == (0.5, pytest.approx(0.8))
    assert choice.rows[0].label == "stem"


def test_groups_are_taken_best_first_until_the_target():
    model, choice = choose(Judge(0.5, {"stem_node": 0.1, "reg0_node": 0.45}), single_layers=False)
    assert list(choice.keep_float) == last_layers(model)


def test_single_layers_follow_in_the_order_of_their_gain():
    judge = Judge(0.3, {"down8_node": 0.1, "down16_node": 0.2, "down32_node": 0.004})
    model, choice = choose(judge)
    assert list(choice.keep_float) == ["down16_node", "down8_node"]
    assert choice.agreement == pytest.approx(0.6)
    assert {row.label for row in choice.rows} == {"stem", "head", *(n.name for n in weighted_layers(model))}


def test_progress_never_passes_its_end():
    states = []
    choose(Judge(0.3, {}), progress=lambda *state: states.append(state))
    assert all(done <= total for done, total, _ in states)
    assert states[-1][0] == states[-1][1]
