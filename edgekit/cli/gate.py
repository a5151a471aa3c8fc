"""What `--gate` and its options mean, and how its account is told; shared by run and bench."""

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    from edgekit.runtime.wake import GateOptions


def gate_options(
    gate: Optional[str], conf: Optional[float], hold: Optional[int], every: Optional[int]
) -> "GateOptions":
    """The options that were given, with the defaults of the rest.

    Raises:
        ConfigError: there are such without a gate, or one is out of its range.
    """
    from edgekit.errors import ConfigError
    from edgekit.runtime.wake import GateOptions

    given: Dict[str, Any] = {"conf": conf, "hold": hold, "every": every}
    given = {name: value for name, value in given.items() if value is not None}
    if gate is None and given:
        raise ConfigError("--gate-{} says nothing without a gate; name its bundle: --gate tiny.ekb".format(min(given)))
    return GateOptions(**given)


def gate_facts(wake: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Name and words of each thing to tell about a run with a gate.

    Args:
        wake: `WakeSummary.to_json`, or what a bench result has under `gate`.
    """
    verdicts = wake["verdicts"]
    facts = [
        (
            "awake",
            "{:.1f} % of {} frames ({seen} seen, {hold} held, {due} due), {asleep} slept through".format(
                100 * wake["share_awake"], wake["frames"], **verdicts
            ),
        ),
        (
            "gate",
            "{}, the detector {:.2f} ms: {:+.2f} ms saved a frame".format(
                "not asked" if wake["gate_ms"] is None else "{:.2f} ms a look".format(wake["gate_ms"]),
                wake["detector_ms"],
                wake["saved_ms"],
            ),
        ),
        ("heartbeats", "{heartbeats}, of which {overlooked} found something".format(**wake)),
    ]
    energy = wake.get("energy")
    if energy:
        facts.append(
            (
                "energy",
                "{awake_j:.4g} J a frame awake, {asleep_j:.4g} J asleep: {saved_j:+.4g} J saved a frame".format(
                    **energy
                ),
            )
        )
    if wake.get("vs_mean_ms") is not None:
        facts.append(
            ("mean", "{mean_ms:.2f} ms a frame, the other bundle {vs_mean_ms:.2f} ms without a gate".format(**wake))
        )
    return facts
