"""What a bench run found, with every raw sample and how it was got. docs/bench.md is the specification of the JSON."""

import json
import os
import platform
import re
import time
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

import edgekit
from edgekit.bench.account import Account
from edgekit.bench.clocks import cpu_governor
from edgekit.bench.compare import Ratio, ratio_of_medians
from edgekit.bench.gated import gate_energy
from edgekit.bench.layers import ProfileRows, run_lists, run_summaries, trace_rows
from edgekit.bench.memory import growth_mb_per_1000_frames
from edgekit.bench.timing import summary
from edgekit.devices import this_machine
from edgekit.errors import ConfigError, DataError, GateError
from edgekit.files import PathLike, atomic_write
from edgekit.jetson import this_profile
from edgekit.nvpmodel import power_mode
from edgekit.runtime.session import RunTimes
from edgekit.runtime.wake import Look

FORMAT = "edgekit-bench"
VERSION = 1
STAGES = ("capture", "preprocess", "infer", "postprocess", "track", "end_to_end")


@dataclass
class Samples:
    """What one bundle took on each frame after the warm-up; lists of equal length.

    Attributes:
        t_s: when the frame was taken up, seconds since the first one.
        stages: stage -> milliseconds.
        frame_age_ms: capture to result as the clock has it; under "every" a frame is captured when it is taken up.
        objects: boxes found.
        warmup_ms: end to end of the frames before.
        runs: the parts of the network's run on a GPU; empty on a processor.
        looks: what a gate decided about each frame; empty without one.
    """

    t_s: List[float] = field(default_factory=list)
    stages: Dict[str, List[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    frame_age_ms: List[float] = field(default_factory=list)
    objects: List[int] = field(default_factory=list)
    warmup_ms: List[float] = field(default_factory=list)
    runs: List[RunTimes] = field(default_factory=list)
    looks: List[Look] = field(default_factory=list)

    @property
    def process_ms(self) -> List[float]:
        """End to end without the capture: what the bundle itself is answerable for."""
        return [whole - capture for whole, capture in zip(self.stages["end_to_end"], self.stages["capture"])]

    def to_json(self) -> Dict[str, Any]:
        """A plain dict, to a tenth of a microsecond."""
        return {
            "t_s": [round(value, 5) for value in self.t_s],
            "stages": {stage: [round(value, 4) for value in taken] for stage, taken in self.stages.items()},
            "frame_age_ms": [round(value, 4) for value in self.frame_age_ms],
            "objects": list(self.objects),
            "warmup_ms": [round(value, 4) for value in self.warmup_ms],
            "gpu": run_lists(self.runs) if self.runs else {},
            "gate": [[look.verdict, None if look.ms is None else round(look.ms, 4)] for look in self.looks],
        }


@dataclass(frozen=True)
class Lane:
    """One bundle's part in a run.

    Attributes:
        artifact: file, name, sha256, bytes, lowering, backend, threads.
        samples: its frames.
        open_ms: from the call that opens the bundle to the session being ready.
        fps: frames a second.
        layers: time of each layer, see `edgekit.bench.layers.profile_rows`; empty when not asked for.
        layer_info: what the layers became, see `Session.layer_info`; empty when not asked for.
        gate: what a gate did, see `edgekit.bench.gated.gate_summary`; None without one.
    """

    artifact: Dict[str, Any]
    samples: Samples
    open_ms: float
    fps: float
    layers: ProfileRows = field(default_factory=list)
    layer_info: ProfileRows = field(default_factory=list)
    gate: Optional[Dict[str, Any]] = None

    def to_json(self, first_s: float, raw: bool) -> Dict[str, Any]:
        """Numbers first, raw samples last and only if asked for."""
        samples = self.samples
        value: Dict[str, Any] = {
            "artifact": self.artifact,
            "stages": {stage: summary(taken) for stage, taken in samples.stages.items()},
            "frame_age_ms": summary(samples.frame_age_ms),
            "fps": round(self.fps, 3),
            "frames": len(samples.t_s),
            "objects": round(float(np.mean(samples.objects)), 2) if samples.objects else 0.0,
            "gpu": run_summaries(samples.runs),
            "start": {
                "open_ms": round(self.open_ms, 2),
                "first_frame_ms": round((samples.warmup_ms + samples.stages["end_to_end"])[0], 3),
            },
            "steady": _steady(samples, first_s),
            "layers": self.layers,
        }
        if raw:
            value["samples"] = samples.to_json()
        return value


@dataclass(frozen=True)
class BenchResult:
    """One run of `edgekit bench`.

    Attributes:
        lane: the bundle.
        other: the bundle it was compared with, frame by frame, or None.
        machine: `Machine.to_json`, with governor and operating system.
        libraries: name -> version.
        method: source, policy, warmup, tracker, seed, first_s, load_average, started.
        dropped: frames that the source produced and nobody processed.
        memory: readings in MB: start, loaded, end, peak, pss.
        memory_points: (frame, rss in MB) over the run.
        account: power, clocks, heat and the whole memory.
    """

    lane: Lane
    other: Optional[Lane]
    machine: Dict[str, Any]
    libraries: Dict[str, str]
    method: Dict[str, Any]
    dropped: int
    memory: Dict[str, float]
    memory_points: List[Tuple[int, float]]
    account: Account = field(default_factory=Account)

    def to_json(self, raw: bool = True) -> Dict[str, Any]:
        """The whole result as plain values.

        Args:
            raw: with all samples; without them it is short enough to read.
        """
        first_s = float(self.method["first_s"])
        value: Dict[str, Any] = {"format": FORMAT, "version": VERSION}
        value.update(self.lane.to_json(first_s, raw))
        value["dropped"] = self.dropped
        growth = growth_mb_per_1000_frames(self.memory_points)
        value["memory_mb"] = dict(self.memory, growth_per_1000_frames=growth, total=self.account.memory)
        value["power"] = self.account.power
        value["clocks"] = self.account.clocks
        value["thermal"] = self.account.thermal
        value["machine"] = self.machine
        value["libraries"] = self.libraries
        value["method"] = dict(self.method, sampler=self.account.sampler)
        value["gate"] = self._gate()
        value["warnings"] = self._warnings()
        value["vs"] = None
        if raw:
            value["samples"].update(self.account.samples)
            value["samples"]["memory_mb"] = [list(point) for point in self.memory_points]
        if self.other is not None:
            value["vs"] = self.other.to_json(first_s, raw)
            value["vs"]["speedup"] = {name: ratio.to_json() for name, ratio in self.speedups().items()}
            value["vs"]["verdict"] = self.speedups()["process"].verdict()
        return value

    def _warnings(self) -> List[str]:
        """What makes this result doubtful by itself, a phrase each."""
        mode = self.machine.get("power_mode")
        wrong = [] if mode is None or mode["agrees"] else [mode["message"]]
        gate = self.lane.gate
        return wrong + list(self.account.warnings) + ([] if gate is None else list(gate["doubts"]))

    def _gate(self) -> Optional[Dict[str, Any]]:
        """What the gate did; in turns with another bundle beside what that one took without it."""
        gate = self.lane.gate
        if gate is None:
            return None
        mean_ms = [
            None if lane is None else round(float(np.mean(lane.samples.process_ms)), 4)
            for lane in (self.lane, self.other)
        ]
        energy = gate_energy(self.lane.samples.looks, self.account.samples.get("frame_energy_j", []))
        return dict(gate, mean_ms=mean_ms[0], vs_mean_ms=mean_ms[1], energy=energy)

    def speedups(self) -> Dict[str, Ratio]:
        """How many times as fast as the other bundle this one is: stage -> ratio; "process" is all but the capture."""
        if self.other is None:
            return {}
        ours, theirs = self.lane.samples, self.other.samples
        ratios = {
            stage: ratio_of_medians(theirs.stages[stage], ours.stages[stage])
            for stage in STAGES[1:-1]
            if np.median(ours.stages[stage]) > 0 and not ours.looks  # a stage slept through has no ratio
        }
        ratios["process"] = ratio_of_medians(theirs.process_ms, ours.process_ms)
        return ratios

    def rows(self) -> List[List[str]]:
        """A table for the terminal: stage, p50, p90, p99, max, share of the mean; milliseconds."""
        stages = {stage: summary(taken) for stage, taken in self.lane.samples.stages.items()}
        whole = stages["end_to_end"]["mean"]
        rows = []
        for stage in STAGES:
            found = stages[stage]
            cells = ["{:.2f}".format(found[key]) for key in ("p50", "p90", "p99", "max")]
            share = "" if stage == "end_to_end" or not whole else "{:.0f} %".format(100 * found["mean"] / whole)
            rows.append([LABELS[stage]] + cells + [share])
        return rows

    def check_gate(
        self, max_p99_ms: Optional[float], max_watts: Optional[float] = None, max_joules: Optional[float] = None
    ) -> None:
        """Compare with what is allowed; None is no gate.

        Args:
            max_p99_ms: of p99 end to end.
            max_watts: of the board's mean power.
            max_joules: of the board's energy for a frame.

        Raises:
            GateError: one of them is above its gate.
            ConfigError: power or energy has a gate and is not known.
        """
        p99 = summary(self.lane.samples.stages["end_to_end"])["p99"]
        if max_p99_ms is not None and p99 > max_p99_ms:
            raise GateError(
                "end-to-end p99 is {:.2f} ms, the gate is {:g} ms; see the report for the stage that takes it".format(
                    p99, max_p99_ms
                )
            )
        self._check_power("mean_w", "mean power", "W", max_watts)
        self._check_power("j_per_frame", "energy for a frame", "J", max_joules)

    def _check_power(self, key: str, words: str, unit: str, gate: Optional[float]) -> None:
        if gate is None:
            return
        power = self.account.power
        if power.get(key) is None:
            why = power.get("missing", "two bundles ran in turns, and the sensor cannot tell them apart")
            raise ConfigError("the gate on {} cannot be checked: {}".format(words, why))
        if power[key] > gate:
            raise GateError("{} is {:.4g} {}, the gate is {:g} {}".format(words, power[key], unit, gate, unit))

    def trace(self) -> ProfileRows:
        """The run as trtexec's `--exportTimes` array; frames that a gate slept through are not in it."""
        samples = self.lane.samples
        ran = [not samples.looks or samples.looks[number].awake for number in range(len(samples.t_s))]
        names = ("preprocess", "infer", "end_to_end")
        before_ms, infer_ms, whole_ms = (list(compress(samples.stages[name], ran)) for name in names)
        start_s = [taken + before / 1e3 for taken, before in zip(compress(samples.t_s, ran), before_ms)]
        return trace_rows(start_s, infer_ms, whole_ms, samples.runs)

    def write(self, path: PathLike) -> None:
        """Write the whole result as JSON.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        with atomic_write(path, "w") as stream:
            json.dump(self.to_json(), stream, indent=1)
            stream.write("\n")


LABELS = {
    "capture": "capture + queue",
    "preprocess": "preprocess",
    "infer": "infer",
    "postprocess": "postprocess",
    "track": "track",
    "end_to_end": "end to end",
}


def read_result(path: PathLike) -> Dict[str, Any]:
    """Read a result that `BenchResult.write` wrote.

    Raises:
        DataError: the file is missing or is no bench result of this version.
    """
    try:
        with open(os.fspath(path), encoding="utf-8") as stream:
            value = json.load(stream)
    except (OSError, ValueError) as error:
        raise DataError("{} is not a bench result ({}); write one with edgekit bench -o".format(path, error)) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DataError("{} is not a bench result; write one with edgekit bench -o".format(path))
    if value.get("version") != VERSION:
        raise DataError("{} has version {}, this edgekit reads {}".format(path, value.get("version"), VERSION))
    return value


def machine_record(root: str = "/") -> Dict[str, Any]:
    """`this_machine`, the profile that fits it, and the state of it that moves clocks."""
    record = dict(this_machine().to_json(), governor=cpu_governor(root), platform=platform.platform())
    profile = this_profile(root)
    record["profile"] = None if profile is None else profile.name
    record["power_mode"] = dict(power_mode(profile, root).__dict__) if profile is not None and profile.jetson else None
    return record


def machine_name(machine: Dict[str, Any]) -> str:
    """A folder's name for a machine, such as "intel-xeon-2c" or "nvidia-orin-nano-6c"."""
    text = str(machine["board"] or machine["cpu"]).lower()
    text = re.sub(r"\((r|tm)\)|\bprocessor\b|\bcpu\b|@.*$", " ", text)
    words = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
    return "{}-{}c".format(words, machine["cores"])


def library_versions(backend: str) -> Dict[str, str]:
    """What the numbers depend on besides the machine; `backend` is "name version"."""
    import cv2

    name, _, version = backend.partition(" ")
    return {"edgekit": edgekit.__version__, "numpy": np.__version__, "opencv": cv2.__version__, name: version}


def load_average() -> List[float]:
    """Load over 1, 5 and 15 minutes; empty where the system has none."""
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except OSError:
        return []


def utc_now() -> str:
    """The time, as in 2026-11-22T09:30:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _steady(samples: Samples, first_s: float) -> Dict[str, Any]:
    """The first seconds beside the rest: a device that heats up or a clock that ramps shows here."""
    whole = samples.stages["end_to_end"]
    first = [value for t_s, value in zip(samples.t_s, whole) if t_s < first_s]
    rest = whole[len(first) :]
    value: Dict[str, Any] = {"first_s": first_s, "first": summary(first), "rest": summary(rest)}
    value["drift"] = round(value["rest"]["p50"] / value["first"]["p50"], 4) if first and rest else None
    return value
