"""The perf guard: INT8 flies where it is faster here than its FP16 twin and finds the golden boxes, else FP16 does.

INT8 slower than FP16 is the oldest complaint about quantised engines: reformatting at the borders of the INT8 region,
layers without an INT8 kernel, small networks that only wait for launches. Nothing but timing both here can tell.
"""

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgekit.bench.compare import Ratio, ratio_of_medians
from edgekit.bench.timing import shuffled_orders, summary
from edgekit.builders import BuildOptions, engine_from_bundle
from edgekit.builders.choice import write_choice
from edgekit.builders.engine import key_for
from edgekit.builders.here import Target, this_target
from edgekit.bundle import Bundle
from edgekit.engine import Engine
from edgekit.errors import BackendError, GateError
from edgekit.nvidia.trt import open_tensorrt
from edgekit.runtime.detector import Detector, detector_of_engine
from edgekit.runtime.golden import GoldenReport, check_golden

TWIN = "fp16"
Progress = Callable[[int, int, str], None]
_FEEDS = 8


@dataclass(frozen=True)
class GuardOptions:
    """How two engines are compared.

    Attributes:
        rounds: timed runs of each, in turns.
        warmup: runs of each before.
        min_speedup: INT8 must be at least this many times as fast, with 95 % confidence.
        seed: of the order and of the inputs where the bundle has no golden images.
    """

    rounds: int = 200
    warmup: int = 30
    min_speedup: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Candidate:
    """One engine that could fly.

    Attributes:
        lowering: its graph.
        engine: what was built; None where that failed.
        golden: how it agrees with the golden images; None where there is no engine.
        compute_ms: time on the GPU, every sample.
        problem: why it is out of the race; "" if it is in.
    """

    lowering: str
    engine: Optional[Engine]
    golden: Optional[GoldenReport]
    compute_ms: Tuple[float, ...] = ()
    problem: str = ""

    def to_json(self) -> Dict[str, Any]:
        """Plain values, samples included."""
        return {
            "lowering": self.lowering,
            "engine": None if self.engine is None else self.engine.to_json(),
            "golden": None if self.golden is None else self.golden.to_json(),
            "compute_ms": summary(self.compute_ms),
            "samples_ms": [round(value, 4) for value in self.compute_ms],
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Verdict:
    """What flies.

    Attributes:
        lowering: the winner.
        engine: its engine.
        why: one sentence.
        candidates: all that were built.
        speedup: how many times as fast as FP16 INT8 is; None where there was nothing to compare.
    """

    lowering: str
    engine: Engine
    why: str
    candidates: Tuple[Candidate, ...]
    speedup: Optional[Ratio]

    def to_json(self) -> Dict[str, Any]:
        """Plain values."""
        return {
            "lowering": self.lowering,
            "engine": self.engine.path,
            "why": self.why,
            "speedup": None if self.speedup is None else self.speedup.to_json(),
            "candidates": [one.to_json() for one in self.candidates],
        }


def choose_engine(
    bundle: Bundle,
    options: Optional[BuildOptions] = None,
    guard: GuardOptions = GuardOptions(),
    index: int = 0,
    progress: Optional[Progress] = None,
) -> Verdict:
    """Build INT8 and its FP16 twin, prove both on the golden images, time them in turns, keep the better one.

    The choice is recorded in the cache; `open_detector` follows it.

    Args:
        bundle: opened.
        options: of both builds; a `lowering` there is built alone, proved and recorded.
        guard: how they are compared.
        index: which GPU.
        progress: called with (done, total, text).

    Raises:
        BackendError: no engine could be built.
        GateError: none of them finds the golden boxes.
        StorageError: the cache cannot be written.
    """
    options = options or BuildOptions()
    target = this_target(index)
    key = key_for(bundle, options, open_tensorrt(), target)
    names = [key.lowering]
    if options.lowering is None and key.lowering != TWIN and TWIN in bundle.lowerings:
        names.append(TWIN)
    candidates = [_candidate(bundle, replace(options, lowering=name), target, progress) for name in names]
    racing = [one for one in candidates if not one.problem]
    if len(racing) == 2:
        timed = dict(zip(names, race([_opened(bundle, one) for one in racing], _feeds(bundle, guard), guard, progress)))
        candidates = [replace(one, compute_ms=timed[one.lowering]) for one in candidates]
    verdict = decide(candidates, guard.min_speedup)
    evidence = {"candidates": [one.to_json() for one in candidates], "min_speedup": guard.min_speedup}
    write_choice(bundle, verdict.engine, verdict.why, evidence, options.cache_dir)
    return verdict


def decide(candidates: Sequence[Candidate], min_speedup: float = 1.0) -> Verdict:
    """Which of one or two candidates flies, INT8 first in the list.

    Raises:
        BackendError: no engine could be built.
        GateError: engines were built, but none finds the golden boxes.
    """
    racing = [one for one in candidates if not one.problem]
    if not racing:
        problems = "; ".join("{}: {}".format(one.lowering, one.problem) for one in candidates)
        if all(one.engine is None for one in candidates):
            raise BackendError("no engine could be built: {}".format(problems))
        raise GateError("no engine finds the golden boxes: {}".format(problems))
    if len(racing) == 1:
        others = ["{} is out: {}".format(one.lowering, one.problem) for one in candidates if one.problem]
        return _verdict(racing[0], "; ".join(others) or "the only graph that was asked for", candidates, None)
    int8, twin = racing
    speedup = ratio_of_medians(twin.compute_ms, int8.compute_ms)
    said = "INT8 takes {:.3f} ms, FP16 {:.3f} ms: {:.2f} times as fast (95 %: {:.2f} to {:.2f})".format(
        float(np.median(int8.compute_ms)), float(np.median(twin.compute_ms)), speedup.speedup, speedup.low, speedup.high
    )
    if speedup.low >= min_speedup and speedup.speedup > 1:
        return _verdict(int8, said, candidates, speedup)
    return _verdict(twin, said + ", not enough to fly INT8", candidates, speedup)


def race(
    detectors: Sequence[Detector],
    feeds: Sequence[np.ndarray],
    guard: GuardOptions,
    progress: Optional[Progress] = None,
) -> List[Tuple[float, ...]]:
    """Times of each network alone on the GPU, in turns on the same inputs; the detectors are closed.

    Args:
        detectors: opened from engines.
        feeds: (1, 3, H, W) float32 inputs, taken in rotation.
        guard: rounds and order.

    Returns:
        Milliseconds between events around the network, one tuple a detector.

    Raises:
        BackendError: a session gives no times.
    """
    taken: List[List[float]] = [[] for _ in detectors]
    orders = shuffled_orders([str(number) for number in range(len(detectors))], guard.rounds + guard.warmup, guard.seed)
    try:
        for number, order in enumerate(orders):
            for name in order:
                milliseconds = _run(detectors[int(name)], feeds[number % len(feeds)])
                if number >= guard.warmup:
                    taken[int(name)].append(milliseconds)
            if progress is not None:
                progress(number + 1, len(orders), "INT8 against FP16")
    finally:
        for detector in detectors:
            detector.close()
    return [tuple(samples) for samples in taken]


def _run(detector: Detector, feed: np.ndarray) -> float:
    session = detector.session
    session.run({session.inputs[0].name: feed})
    if session.last_times is None:
        raise BackendError("{} gives no times of its runs".format(session.backend))
    return session.last_times.compute_ms


def _candidate(bundle: Bundle, options: BuildOptions, target: Target, progress: Optional[Progress]) -> Candidate:
    lowering = options.lowering or ""
    try:
        engine = engine_from_bundle(bundle, options, target, progress)
        with detector_of_engine(bundle, engine) as detector:
            golden = check_golden(bundle, detector)
    except BackendError as error:
        return Candidate(lowering, None, None, problem=str(error))
    try:
        golden.gate()
    except GateError as error:
        return Candidate(lowering, engine, golden, problem=str(error))
    return Candidate(lowering, engine, golden)


def _opened(bundle: Bundle, candidate: Candidate) -> Detector:
    assert candidate.engine is not None
    return detector_of_engine(bundle, candidate.engine)


def _feeds(bundle: Bundle, guard: GuardOptions) -> List[np.ndarray]:
    """Inputs to time on: noise. What a convolution costs does not depend on its values."""
    shape = tuple(bundle.manifest["input"]["shape"])
    rng = np.random.RandomState(guard.seed)
    return [rng.rand(*shape).astype(np.float32) for _ in range(_FEEDS)]


def _verdict(winner: Candidate, why: str, candidates: Sequence[Candidate], speedup: Optional[Ratio]) -> Verdict:
    assert winner.engine is not None
    return Verdict(winner.lowering, winner.engine, why, tuple(candidates), speedup)
