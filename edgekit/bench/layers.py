"""Where the network spends its time, in the shapes that trtexec writes (`--exportProfile`, `--exportTimes`)."""

from typing import Any, Dict, List, Sequence

from edgekit.runtime.session import LayerTime

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


def trace_rows(start_s: Sequence[float], infer_ms: Sequence[float], latency_ms: Sequence[float]) -> ProfileRows:
    """trtexec's `--exportTimes`, with the fields that a processor has: no copies, no enqueue of its own.

    Args:
        start_s: (N,) begin of the network's run, seconds since the run began.
        infer_ms: (N,) its duration.
        latency_ms: (N,) capture to result.
    """
    return [
        {
            "startComputeMs": round(start * 1e3, 4),
            "endComputeMs": round(start * 1e3 + compute, 4),
            "computeMs": round(compute, 4),
            "latencyMs": round(latency, 4),
        }
        for start, compute, latency in zip(start_s, infer_ms, latency_ms)
    ]
