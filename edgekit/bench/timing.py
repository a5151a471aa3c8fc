"""Time calls and say how they are spread. Every sample is kept; clocks are passed in, so that this has tests."""

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """All samples of one thing that was timed.

    Attributes:
        samples_ms: in the order they were taken, warm-up left out.
        warmup: calls before the first sample.
    """

    samples_ms: Tuple[float, ...]
    warmup: int = 0

    def summary(self) -> Dict[str, float]:
        """p50, p90, p99, max, mean and min in milliseconds; see `summary`."""
        return summary(self.samples_ms)


def summary(samples_ms: Sequence[float]) -> Dict[str, float]:
    """Percentiles (linear between samples), mean and extremes in milliseconds; empty for no samples."""
    if len(samples_ms) == 0:
        return {}
    values = np.asarray(samples_ms, np.float64)
    p50, p90, p99 = (float(value) for value in np.percentile(values, (50, 90, 99)))
    return {
        "p50": round(p50, 4),
        "p90": round(p90, 4),
        "p99": round(p99, 4),
        "max": round(float(values.max()), 4),
        "mean": round(float(values.mean()), 4),
        "min": round(float(values.min()), 4),
    }


def time_calls(call: Callable[[], Any], runs: int, warmup: int, clock: Clock = time.perf_counter) -> Timing:
    """Time `call`; it must return only when its work is done (synchronise inside it).

    Args:
        call: what is timed.
        runs: how many samples.
        warmup: calls before them.
        clock: seconds, monotonic.
    """
    for _ in range(warmup):
        call()
    samples = []
    for _ in range(runs):
        start = clock()
        call()
        samples.append((clock() - start) * 1e3)
    return Timing(tuple(samples), warmup)


def interleave(
    calls: Mapping[str, Callable[[], Any]], rounds: int, warmup: int, seed: int = 0, clock: Clock = time.perf_counter
) -> Dict[str, Timing]:
    """Time several calls in one run: each once a round, in an order shuffled for each round.

    What disturbs the machine for a while then disturbs all of them, and none is always the first.

    Args:
        calls: name -> what is timed.
        rounds: samples of each.
        warmup: rounds before them.
        seed: of the order.
        clock: seconds, monotonic.
    """
    samples: Dict[str, List[float]] = {name: [] for name in calls}
    for number, order in enumerate(shuffled_orders(list(calls), rounds + warmup, seed)):
        for name in order:
            start = clock()
            calls[name]()
            if number >= warmup:
                samples[name].append((clock() - start) * 1e3)
    return {name: Timing(tuple(taken), warmup) for name, taken in samples.items()}


def shuffled_orders(names: Sequence[str], rounds: int, seed: int) -> List[List[str]]:
    """One order of `names` a round; the same for the same seed."""
    rng = np.random.RandomState(seed)
    return [[names[index] for index in rng.permutation(len(names))] for _ in range(rounds)]
