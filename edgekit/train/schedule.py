"""Learning rate as a pure function of the step: linear warm-up, then half a cosine."""

from __future__ import annotations

import math


def learning_rate(step: int, total: int, *, peak: float, warmup: int, min_ratio: float) -> float:
    """Learning rate of `step` (0-based) out of `total`; ends at `peak * min_ratio`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - 1 - warmup))
    return peak * (min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * progress)))
