import pytest

from edgekit.bench.layers import by_operator, profile_rows, run_summaries, trace_rows
from edgekit.runtime.session import LayerTime, RunTimes

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


def test_a_gpu_s_rows_have_all_of_trtexec_s_fields():
    row = trace_rows([0.5], [22.0], [30.0], [RunTimes(h2d_ms=1.0, compute_ms=20.0, d2h_ms=0.5, enqueue_ms=0.25)])[0]
    assert row == {
        "startEnqMs": 500.0,
        "endEnqMs": 500.25,
        "startH2dMs": 500.0,
        "endH2dMs": 501.0,
        "startComputeMs": 501.0,
        "endComputeMs": 521.0,
        "startD2hMs": 521.0,
        "endD2hMs": 521.5,
        "h2dMs": 1.0,
        "computeMs": 20.0,
        "d2hMs": 0.5,
        "latencyMs": 21.5,
    }


def test_parts_of_the_runs_on_a_gpu():
    runs = [RunTimes(1.0, 20.0 + number, 0.5, 0.25) for number in range(3)]
    parts = run_summaries(runs)
    assert set(parts) == {"h2d_ms", "compute_ms", "d2h_ms", "enqueue_ms"}
    assert parts["compute_ms"]["p50"] == 21.0
    assert run_summaries([]) == {}
