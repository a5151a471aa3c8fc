"""What the machine itself did over a run: power, clocks, heat, memory; one log for all, on the clock of the frames."""

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from edgekit.bench.clocks import clock_points, clock_probes, clock_summary
from edgekit.bench.memory import FOOTPRINT, FootprintProbe, footprint_summary, memory_points
from edgekit.bench.power import (
    frame_energy_j,
    mean_total_w,
    power_channels,
    power_points,
    power_probes,
    power_problem,
    power_summary,
)
from edgekit.bench.sensors import Log, Sampler
from edgekit.bench.thermal import thermal_probes, thermal_summary
from edgekit.bench.timing import Clock
from edgekit.profiles import Profile

_NOT_READ = "was not read"


@dataclass(frozen=True)
class Account:
    """The machine's part of a result, as plain values; docs/bench.md specifies each.

    Attributes:
        power: `j_per_frame`, `mean_w`, …; or why it is not known under `missing`.
        clocks: clock -> min, mean, max.
        thermal: temperatures, throttling, over-current events.
        memory: the footprint, see `edgekit.bench.memory.FootprintProbe`.
        sampler: how often it was read and what reading took.
        warnings: what makes this result doubtful by itself, a phrase each.
        samples: raw readings: `power_w`, `frame_energy_j`, `clocks_mhz`, `footprint_mb`.
    """

    power: Dict[str, Any] = field(default_factory=lambda: {"missing": _NOT_READ})
    clocks: Dict[str, Any] = field(default_factory=dict)
    thermal: Dict[str, Any] = field(default_factory=lambda: {"missing": _NOT_READ})
    memory: Dict[str, Any] = field(default_factory=lambda: {"missing": _NOT_READ})
    sampler: Dict[str, Any] = field(default_factory=dict)
    warnings: Tuple[str, ...] = ()
    samples: Dict[str, Any] = field(default_factory=dict)


class BoardLog:
    """Reads the machine from a thread of its own, from before a bundle is opened until its last frame.

    Args:
        profile: the board's, or None for a machine that none fits: its power is not known then.
        root: of the file system.
        period_s: between two readings of power and clocks; heat and memory are read every tenth time.
        clock: seconds, the one that stamps the frames.
    """

    def __init__(
        self, profile: Optional[Profile], root: str = "/", period_s: float = 0.05, clock: Clock = time.monotonic
    ) -> None:
        self._profile = profile
        self._root = root
        self._clock = clock
        self._channels = () if profile is None else tuple(power_channels(profile.sensors, root))
        self._problem = power_problem(profile, self._channels)
        self._footprint = FootprintProbe(profile is not None and profile.memory.shared, root)
        fast = power_probes(self._channels)
        fast.update(clock_probes(profile, root))
        slow = thermal_probes(profile, root)
        slow[FOOTPRINT] = self._footprint
        self.sampler = Sampler(Log(fast), Log(slow), period_s, clock=clock)
        self._started_s = clock()
        self._idle_w: Optional[float] = None

    def start(self) -> None:
        """Begin to read."""
        self._started_s = self._clock()
        self.sampler.start()

    def stop(self) -> None:
        """End the thread; a second call does nothing."""
        self.sampler.stop()

    def wait_idle(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait that long, so that the power without the bundle is known; not at all where no power is."""
        if self._problem is None and seconds > 0:
            begin_s = self.sampler.take()
            sleep(seconds)
            self._idle_w = mean_total_w(self.sampler.fast, self._channels, (begin_s, self.sampler.take()))

    def begin(self) -> None:
        """The bundles are open: forget power and clocks until now, of which an engine build may have left very many."""
        self.sampler.restart()

    def account(self, edges_s: Sequence[float], alone: bool = True, on_gpu: bool = False) -> Account:
        """What happened, after `stop`.

        Args:
            edges_s: (N + 1,) begin of each counted frame and the end of the last, on the clock.
            alone: whether one bundle ran, or two in turns.
            on_gpu: whether the network ran on the GPU.
        """
        fast, slow = self.sampler.fast, self.sampler.slow
        power: Dict[str, Any] = {"missing": self._problem}
        samples: Dict[str, Any] = {
            "clocks_mhz": clock_points(fast, edges_s),
            "footprint_mb": memory_points(slow, edges_s),
        }
        if self._problem is None:
            power = power_summary(fast, self._channels, edges_s, self._idle_w, alone)
            samples["power_w"] = power_points(fast, self._channels, edges_s)
            samples["frame_energy_j"] = frame_energy_j(fast, self._channels, edges_s) if alone else []
        thermal = thermal_summary(slow, edges_s)
        memory = footprint_summary(slow, self._footprint, self._started_s, edges_s[-1])
        return Account(
            power=power,
            clocks=clock_summary(fast, self._profile, edges_s, self._root),
            thermal=thermal,
            memory=memory,
            sampler=self._cost(),
            warnings=tuple(_warnings(thermal, memory, on_gpu)),
            samples=samples,
        )

    def _cost(self) -> Dict[str, Any]:
        """What the readings took, so that their share of a run can be seen."""
        sampler = self.sampler
        return {
            "period_s": sampler.period_s,
            "readings": sampler.readings,
            "mean_ms": round(1e3 * sampler.busy_s / max(sampler.readings, 1), 3),
        }


def _warnings(thermal: Dict[str, Any], memory: Dict[str, Any], on_gpu: bool) -> List[str]:
    found = []
    if thermal["throttle"].get("active"):
        found.append("throttled while measuring: {}".format(", ".join(thermal["throttle"]["devices"])))
    if thermal["over_current"].get("events"):
        found.append("over-current events while measuring: {}".format(thermal["over_current"]["events"]))
    if on_gpu and memory.get("gpu") == 0:
        # A container has process ids of its own, and nvmap lists those of the host.
        found.append("the memory lacks the GPU's: nvmap lists none of this process (in a container: --pid host)")
    return found
