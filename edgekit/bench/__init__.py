"""Measure: latency of every stage, memory, layers; two bundles against each other; a report to read."""

from edgekit.bench.bench import DEFAULT_SOURCE, BenchConfig, bench
from edgekit.bench.compare import Ratio, check_comparable, ratio_of_medians
from edgekit.bench.record import BenchResult, Lane, Samples, read_result
from edgekit.bench.timing import Timing, interleave, summary, time_calls

__all__ = [
    "DEFAULT_SOURCE",
    "BenchConfig",
    "BenchResult",
    "Lane",
    "Ratio",
    "Samples",
    "Timing",
    "bench",
    "check_comparable",
    "interleave",
    "ratio_of_medians",
    "read_result",
    "summary",
    "time_calls",
]
