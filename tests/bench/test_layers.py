import pytest

from edgekit.bench.layers import by_operator, profile_rows, trace_rows
from edgekit.runtime.session import LayerTime

LAYERS = [
    LayerTime("relu_1", "Relu", 10, 5.0, 0.5),
    LayerTime("conv_1", "Conv", 10, 30.0, 2.9),
    LayerTime("conv_2", "Conv", 10, 15.0, 1.5),
]


def test_rows_have_trtexec_s_shape_slowest_first():
    rows = profile_rows(LAYERS)
    assert rows[0] == {"count": 10}
    assert [row["name"] for row in rows[1:]] == ["conv_1", "conv_2", "relu_1"]
    assert rows[1]["timeMs"] == 30.0
    assert rows[1]["averageMs"] == 3.0
    assert rows[1]["percentage"] == 60.0
    assert sum(row["percentage"] for row in rows[1:]) == pytest.approx(100)


def test_no_layers():
    assert profile_rows([]) == [{"count": 0}]
    assert by_operator([]) == []


def test_operators_add_up():
    assert by_operator(profile_rows(LAYERS)) == [
        {"op": "Conv", "layers": 2, "timeMs": 45.0, "percentage": 90.0},
        {"op": "Relu", "layers": 1, "timeMs": 5.0, "percentage": 10.0},
    ]


def test_trace_rows_are_in_milliseconds():
    assert trace_rows([0.0, 0.5], [20.0, 21.0], [30.0, 31.5])[1] == {
        "startComputeMs": 500.0,
        "endComputeMs": 521.0,
        "computeMs": 21.0,
        "latencyMs": 31.5,
    }
