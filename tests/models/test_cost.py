"""The papers' figures, to the last digit that was published or recomputed from the published code."""

import functools
import itertools

import pytest
import torch
from torch import nn

from edgekit.models import build
from edgekit.models.blocks import ConvBnAct
from edgekit.models.cost import CostReport, count, quantised_convolutions, report
from edgekit.models.cost_trace import PICTURE, NetworkShape, trace
from edgekit.models.superyolo import SuperYolo, SuperYoloNumbers, superyolo
from edgekit.precision import QuantPlan, QuantSpec
from edgekit.quant import LayerBits, calibrate, plan_of, prepare

SIZE = (512, 512)
EIGHT = [8] * 59
# A result of GHOST's search, in the order in which its code registers the convolutions.
HYBRID = [8, 8, 8, 8, 8, 8, 7, 7, 8, 7, 8, 8, 7, 8, 7, 8, 7, 6, 7, 6, 7, 7, 6, 7, 6, 7, 6, 5, 6, 5, 5, 6, 6, 6, 4]
HYBRID += [6, 6, 6, 6, 7, 6, 7, 7, 7, 8, 8, 7, 6, 7, 7, 7, 7, 6, 5, 6, 6, 6, 6, 5]

FUSED = {
    "rgb": (4_825_639, 4_832_583, 16_606_412_800),
    "ir": (4_825_639, 4_832_583, 16_606_412_800),
    "concat": (4_825_927, 4_832_871, 16_681_910_272),
    "mf": (4_845_133, 4_852_045, 17_975_329_344),
}
# classes, modality, heads, bits, released MB and G, corrected MB and G
GHOST = [
    (8, "concat", 1, [], 19.276, 17023.8, 19.276, 17023.8),
    (8, "concat", 1, EIGHT, 4.834, 1201.1, 4.834, 1201.1),
    (8, "concat", 3, [], 30.745, 21421.8, 28.243, 20797.6),
    (8, "concat", 3, EIGHT, 9.667, 2120.2, 7.166, 1496.0),
    (8, "concat", 3, HYBRID, 7.485, 1731.9, 4.984, 1107.8),
    (10, "rgb", 3, EIGHT, 9.670, 2113.9, 7.187, 1499.4),
    (10, "rgb", 3, HYBRID, 7.488, 1725.6, 5.005, 1111.1),
    (15, "rgb", 3, EIGHT, 9.678, 2146.3, 7.241, 1556.1),
    (20, "rgb", 3, EIGHT, 9.686, 2178.8, 7.295, 1612.8),
]


def spec(bits: int) -> QuantSpec:
    return QuantSpec(bits, (1.0,))


@functools.lru_cache
def shape_of(classes: int, modality: str, heads: int) -> NetworkShape:
    return trace(SuperYolo(SuperYoloNumbers(classes, modality, heads=heads, act="relu")), SIZE)


@pytest.mark.parametrize("modality", FUSED)
def test_superyolo_has_the_published_counts(modality: str) -> None:
    found = report(superyolo(8, modality), QuantPlan(), SIZE)
    assert (found.parameters, found.parameters_trained, found.macs_with_bias) == FUSED[modality]


def test_three_heads_have_the_published_counts() -> None:
    found = count(shape_of(10, "rgb", 3), QuantPlan())
    assert (found.parameters, found.parameters_trained) == (7_075_591, 7_085_223)
    assert found.macs_with_bias == 20_319_486_976
    found = count(shape_of(8, "concat", 3), QuantPlan())
    assert (found.parameters, found.parameters_trained) == (7_070_485, 7_080_117)


@pytest.mark.parametrize("row", GHOST, ids=lambda row: f"{row[1]}-{row[2]}heads-{row[0]}classes-{sum(row[3])}")
def test_ghost_costs_what_its_counter_says_and_what_it_should(row: tuple) -> None:
    classes, modality, heads, bits, *expected = row
    shape = shape_of(classes, modality, heads)
    named = zip(quantised_convolutions(shape), bits, strict=False)
    found = count(shape, QuantPlan({layer.name: spec(width) for layer, width in named}))
    assert found.released is not None
    got = [found.released.megabytes, found.released.gbops, found.corrected.megabytes, found.corrected.gbops]
    assert [round(got[0], 3), round(got[1], 1), round(got[2], 3), round(got[3], 1)] == expected


def test_ghost_quantises_59_convolutions_and_keeps_3() -> None:
    shape = shape_of(8, "concat", 3)
    assert (len(shape.layers), len(quantised_convolutions(shape))) == (62, 59)
    assert [layer.name for layer in shape.last] == ["head.levels.0", "head.levels.1", "head.levels.2"]


def test_registered_order_is_not_the_order_of_running() -> None:
    shape = shape_of(8, "concat", 3)
    names = [layer.name for layer in quantised_convolutions(shape)]
    stage = [name.removeprefix("backbone.stage2.1.") for name in names if name.startswith("backbone.stage2.1")]
    assert stage == ["conv1.conv", "conv2.conv", "conv3.conv", "blocks.0.conv1.conv", "blocks.0.conv2.conv"]
    running = [layer.name for layer in shape.layers if layer not in shape.last]
    assert sorted(names) == sorted(running)
    assert names != running


class Small(nn.Module):
    """Two branches that are summed, and a prediction: small enough to count by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.left = ConvBnAct(3, 4, 3)
        self.right = ConvBnAct(4, 4, 1)
        self.predict = nn.Conv2d(4, 2, 1)
        self.training_only = nn.Conv2d(3, 100, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            return self.training_only(x)
        left = self.left(x)
        return self.predict(left + self.right(left))


def count_small(plan: dict[str, int]) -> CostReport:
    return report(Small(), QuantPlan({name: spec(bits) for name, bits in plan.items()}), (5, 7))


def test_deployed_counts_what_is_stored_and_really_read() -> None:
    found = count_small({"left.conv": 4, "right.conv": 2})
    # weights 108 at 4 bits, 16 at 2, 8 in float; scale and bias of 4 + 4 channels, 2 biases
    assert found.deployed.megabytes * 8e6 == pytest.approx(108 * 4 + 16 * 2 + 8 * 32 + 8 * 2 * 32 + 2 * 32)
    # the picture is 32 bits wide; the prediction stays in float
    assert found.deployed.gbops * 1e9 == pytest.approx(35 * (108 * 4 * 32 + 16 * 2 * 4 + 8 * 32 * 32))
    assert found.mean_bits == pytest.approx((108 * 4 + 16 * 2 + 8 * 32) / 132)


def test_a_sum_is_as_wide_as_its_widest_part() -> None:
    layers = {layer.name: layer for layer in trace(Small(), (5, 7)).layers}
    assert layers["predict"].producers == ("left.conv", "right.conv")
    assert layers["left.conv"].producers == (PICTURE,)
    found = count_small({"left.conv": 3, "right.conv": 5, "predict": 8})
    assert found.deployed.gbops * 1e9 == pytest.approx(35 * (108 * 3 * 32 + 16 * 5 * 3 + 8 * 8 * 5))


def test_a_plan_may_say_how_wide_inputs_are() -> None:
    plan = QuantPlan({"left.conv": spec(3), "right.conv": spec(5)}, {"left.conv": spec(8), "predict": spec(8)})
    found = report(Small(), plan, (5, 7))
    # the prediction stays in float, whatever its input could be
    assert found.deployed.gbops * 1e9 == pytest.approx(35 * (108 * 3 * 8 + 16 * 5 * 3 + 8 * 32 * 32))
    assert found.corrected.gbops * 1e9 == pytest.approx(35 * (108 * 3 * 32 + 16 * 5 * 3 + (8 + 2) * 32 * 32))


def test_a_plan_out_of_training_is_counted_on_the_float_network() -> None:
    model = SuperYolo(SuperYoloNumbers(3, channels=(8, 8, 16, 16, 32)))
    example = torch.rand(1, 3, 32, 32)
    quantised = prepare(model, example, lambda name, module: None if "head" in name else LayerBits(4, 6, signed=True))
    calibrate(quantised, [example])
    found = report(model, plan_of(quantised), (32, 32))
    shape = trace(model, (32, 32))
    (last,) = shape.last
    inside = sum(layer.macs for layer in shape.layers if layer is not last)
    assert found.deployed.gbops * 1e9 == pytest.approx(inside * 4 * 6 + last.macs * 32 * 32)


def test_conventions() -> None:
    found = count_small({})
    assert (found.macs, found.macs_with_bias) == (35 * 132, 35 * (132 + 4 + 4 + 2))
    assert (found.gmac, found.gflop) == (35 * 132 / 1e9, 2 * 35 * 132 / 1e9)
    # what training alone uses does not count; batch norms folded leave one bias a channel
    assert (found.parameters, found.parameters_trained) == (132 + 2 + 8, 132 + 2 + 16)


def test_deploying_changes_no_count() -> None:
    model = superyolo(8, "concat")
    plan = QuantPlan({"backbone.stage4.0.conv": spec(5)})
    before, after = (report(m, plan, (64, 64)) for m in (model, model.deploy()))
    assert (after.parameters, after.macs_with_bias) == (before.parameters, before.macs_with_bias)
    assert after.parameters_trained == after.parameters
    assert (after.corrected, after.deployed, after.released) == (before.corrected, before.deployed, before.released)


def test_the_model_is_left_as_it_was() -> None:
    model = superyolo(8).train()
    model.neck.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    report(model, QuantPlan(), (64, 64))
    assert (model.training, model.neck.training, model.backbone.training) == (True, False, True)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_other_networks_have_no_released_counter() -> None:
    model = build("fasterx_nano", 4)
    found = report(model, QuantPlan(), (64, 64))
    assert found.released is None
    assert found.parameters_trained == sum(p.numel() for p in model.parameters())
    assert found.parameters == sum(p.numel() for p in model.deploy().parameters())
    assert found.corrected.megabytes < found.deployed.megabytes


def test_mean_over_the_picture_counts_each_pixel_once() -> None:
    assert trace(superyolo(8, "mf"), SIZE).pooled == (512 * 512 + 1) * 64


def test_a_bias_under_a_batch_norm_is_folded_into_one() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    found = report(model, QuantPlan(), (5, 7))
    assert (found.parameters, found.parameters_trained) == (12 + 4, 12 + 4 + 8)


def test_a_batch_norm_away_from_a_convolution_stays() -> None:
    class Sum(Small):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            left = self.left(x)
            return self.predict(self.norm(left + self.right(left)))

    found = report(Sum(), QuantPlan(), (5, 7))
    assert (found.parameters, found.parameters_trained) == (132 + 2 + 8 + 8, 132 + 2 + 16 + 8)


def test_plan_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="names layers that the network does not have: nowhere"):
        count_small({"left.conv": 8, "nowhere": 8})


def test_computed_weights_are_refused() -> None:
    class Imitating(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv2d(x, self.weight.round(), self.bias)

    with pytest.raises(ValueError, match="are computed; count the float network and its plan"):
        trace(Imitating(3, 4, 1), (5, 7))


def test_a_layer_that_runs_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.conv(x))

    with pytest.raises(ValueError, match="layer conv runs more than once"):
        trace(Twice(), (5, 7))


def test_parts_of_a_value_come_from_where_it_comes_from() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(2, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one, other = self.first(x).chunk(2, dim=1)
            return self.second(one * other)

    assert trace(Parts(), (5, 7)).layers[1].producers == ("first",)


def test_fewer_bits_never_cost_more() -> None:
    shape = shape_of(8, "concat", 3)
    plans = [QuantPlan({layer.name: spec(bits) for layer in shape.layers}) for bits in range(8, 1, -1)]
    costs = [count(shape, plan).deployed for plan in plans]
    for more, fewer in itertools.pairwise(costs):
        assert more.megabytes > fewer.megabytes
        assert more.gbops > fewer.gbops
