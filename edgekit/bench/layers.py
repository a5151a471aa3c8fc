"""Where the network spends its time, in the shapes that trtexec writes (`--exportProfile`, `--exportTimes`)."""

from typing import Any, Dict, List, Sequence

from edgekit.bench.timing import summary
from edgekit.runtime.session import LayerTime, RunTimes

ProfileRows = List[Dict[str, Any]]


def profile_rows(layers: Sequence[LayerTime]) -> ProfileRows:
    """`[{"count": runs}, {"name", "timeMs", "averageMs", "medianMs", "percentage"}, …]`, slowest first.

    `op` is added to trtexec's fields.
    """
    total = sum(layer.total_ms for layer in layers)
    rows: ProfileRows = [{"count": max((layer.calls for layer in layers), default=0)}]
    for layer in sorted(layers, key=lambda one: -one.total_ms):
        rows.append(
            {
                "name": layer.name,
                "op": layer.op,
                "timeMs": round(layer.total_ms, 4),
                "averageMs": round(layer.total_ms / max(layer.calls, 1), 6),
                "medianMs": round(layer.median_ms, 6),
                "percentage": round(100 * layer.total_ms / total, 3) if total else 0.0,
            }
        )
    return rows


def by_operator(rows: ProfileRows) -> List[Dict[str, Any]]:
    """Time of each operator type: `{"op", "layers", "timeMs", "percentage"}`, slowest first."""
    groups: Dict[str, Dict[str, Any]] = {}
    for row in rows[1:]:
        group = groups.setdefault(row["op"], {"op": row["op"], "layers": 0, "timeMs": 0.0, "percentage": 0.0})
        group["layers"] += 1
        group["timeMs"] += row["timeMs"]
        group["percentage"] += row["percentage"]
    rounded = [
        dict(group, timeMs=round(group["timeMs"], 4), percentage=round(group["percentage"], 3))
        for group in groups.values()
    ]
    return sorted(rounded, key=lambda group: -float(group["timeMs"]))


def trace_rows(
    start_s: Sequence[float], infer_ms: Sequence[float], latency_ms: Sequence[float], runs: Sequence[RunTimes] = ()
) -> ProfileRows:
    """trtexec's `--exportTimes`: with all of its fields where `runs` are given, else with those that a processor has.

    Args:
        start_s: (N,) begin of the network's run, seconds since the run began.
        infer_ms: (N,) its duration.
        latency_ms: (N,) capture to result.
        runs: (N,) its parts on a GPU. trtexec's latency is then copies and network alone, as in its own files.
    """
    if runs:
        return [_gpu_row(start * 1e3, run) for start, run in zip(start_s, runs)]
    return [
        {
            "startComputeMs": round(start * 1e3, 4),
            "endComputeMs": round(start * 1e3 + compute, 4),
            "computeMs": round(compute, 4),
            "latencyMs": round(latency, 4),
        }
        for start, compute, latency in zip(start_s, infer_ms, latency_ms)
    ]


def run_summaries(runs: Sequence[RunTimes]) -> Dict[str, Dict[str, float]]:
    """Percentiles of each part of the runs on a GPU, see `edgekit.bench.timing.summary`; empty for no runs."""
    parts = {} if not runs else run_lists(runs)
    return {name: summary(values) for name, values in parts.items()}


def run_lists(runs: Sequence[RunTimes]) -> Dict[str, List[float]]:
    """Part of a run on a GPU -> its times (N,), milliseconds."""
    return {
        "h2d_ms": [round(run.h2d_ms, 4) for run in runs],
        "compute_ms": [round(run.compute_ms, 4) for run in runs],
        "d2h_ms": [round(run.d2h_ms, 4) for run in runs],
        "enqueue_ms": [round(run.enqueue_ms, 4) for run in runs],
    }


def _gpu_row(start_ms: float, run: RunTimes) -> Dict[str, Any]:
    computing_ms = start_ms + run.h2d_ms
    computed_ms = computing_ms + run.compute_ms
    times = {
        "startEnqMs": start_ms,
        "endEnqMs": start_ms + run.enqueue_ms,
        "startH2dMs": start_ms,
        "endH2dMs": computing_ms,
        "startComputeMs": computing_ms,
        "endComputeMs": computed_ms,
        "startD2hMs": computed_ms,
        "endD2hMs": computed_ms + run.d2h_ms,
        "h2dMs": run.h2d_ms,
        "computeMs": run.compute_ms,
        "d2hMs": run.d2h_ms,
        "latencyMs": run.h2d_ms + run.compute_ms + run.d2h_ms,
    }
    return {name: round(value, 4) for name, value in times.items()}
