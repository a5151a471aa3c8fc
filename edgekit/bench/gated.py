"""The gate's part in a bench result: what the detector's sleep saved, in time and, where power is known, in energy."""

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from edgekit.runtime.wake import ASLEEP, GateOptions, Look, WakeAccount

_DETECTION = ("preprocess", "infer", "postprocess", "track")


def gate_summary(
    looks: Sequence[Look],
    stages: Dict[str, List[float]],
    objects: Sequence[int],
    artifact: Dict[str, Any],
    options: GateOptions,
    conf: float,
) -> Dict[str, Any]:
    """A run with a gate, as docs/bench.md specifies it under `gate`.

    Args:
        looks: (N,) what the gate decided about each counted frame.
        stages: stage -> (N,) milliseconds.
        objects: (N,) boxes found.
        artifact: the gate's bundle, as that of the detector is described.
        options: when the detector ran.
        conf: the gate's score in use.
    """
    account = WakeAccount()
    for number, look in enumerate(looks):
        account.add(look, sum(stages[stage][number] for stage in _DETECTION), objects[number])
    summary = account.summary()
    value: Dict[str, Any] = {} if summary is None else summary.to_json()
    value.update(artifact=artifact, conf=conf, hold=options.hold, every=options.every)
    return value


def gate_energy(looks: Sequence[Look], frame_energy_j: Sequence[float]) -> Optional[Dict[str, float]]:
    """Mean energy of a frame awake and of one asleep, and what the sleep saved a frame; all in joules.

    Without the gate every frame would have taken what those awake do, which hold a little of the gate's own. Readings
    are farther apart than frames, so that this is good where a sleep lasts for many of them.

    Args:
        looks: (N,) what the gate decided.
        frame_energy_j: (N,) energy of each frame; empty where it is not known.

    Returns:
        `awake_j`, `asleep_j`, `saved_j`; None where the energy is not known or one of the two kinds is missing.
    """
    asleep = np.array([look.verdict == ASLEEP for look in looks], dtype=bool)
    if len(frame_energy_j) != len(asleep) or not asleep.any() or asleep.all():
        return None
    energy = np.asarray(frame_energy_j, np.float64)
    awake_j, asleep_j = float(energy[~asleep].mean()), float(energy[asleep].mean())
    return {"awake_j": awake_j, "asleep_j": asleep_j, "saved_j": awake_j - float(energy.mean())}
