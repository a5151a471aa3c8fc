"""Measure: latency of every stage, power, clocks, heat, memory, layers; two bundles in turns; a report to read."""

from edgekit.bench.bench import DEFAULT_SOURCE, BenchConfig, bench
from edgekit.bench.compare import (
    Ratio,
    against,
    check_comparable,
    check_same_bundle,
    comparability_warnings,
    ratio_of_medians,
)
from edgekit.bench.locks import LockedClocks, restore_clocks
from edgekit.bench.record import BenchResult, Lane, Samples, read_result
from edgekit.bench.timing import Timing, interleave, summary, time_calls

__all__ = [
    "DEFAULT_SOURCE",
    "BenchConfig",
    "BenchResult",
    "Lane",
    "LockedClocks",
    "Ratio",
    "Samples",
    "Timing",
    "against",
    "bench",
    "check_comparable",
    "check_same_bundle",
    "comparability_warnings",
    "interleave",
    "ratio_of_medians",
    "read_result",
    "restore_clocks",
    "summary",
    "time_calls",
]
