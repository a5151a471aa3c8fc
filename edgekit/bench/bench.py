"""The verb: fly a source through one bundle, or through two in turns, and account for every frame."""

import contextlib
import os
import time
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from edgekit.bench.account import BoardLog
from edgekit.bench.flights import playable
from edgekit.bench.gated import gate_summary
from edgekit.bench.layers import ProfileRows, profile_rows
from edgekit.bench.locks import LockedClocks, restore_clocks
from edgekit.bench.measure import Progress, Runner, measure
from edgekit.bench.memory import MemoryLog, forget_peak, read_memory_mb
from edgekit.bench.power import check_power
from edgekit.bench.record import (
    BenchResult,
    Lane,
    library_versions,
    load_average,
    machine_record,
    utc_now,
)
from edgekit.bundle import open_bundle
from edgekit.errors import ConfigError, EdgekitError
from edgekit.files import PathLike
from edgekit.jetson import this_profile
from edgekit.process import Preprocess
from edgekit.runtime.detector import Detector, open_detector
from edgekit.runtime.gate import open_gate
from edgekit.runtime.session import Session
from edgekit.runtime.sources import Stream, open_source
from edgekit.runtime.tracking import open_tracker
from edgekit.runtime.wake import GateOptions

DEFAULT_SOURCE = "synth://?seed=7&size=1280x720&frames=60"
_PROFILE_FRAMES = 30
_GATE_AS_USUAL = GateOptions()


@dataclass(frozen=True)
class BenchConfig:
    """How a bundle is measured.

    Attributes:
        source: where frames come from, as for `edgekit run`; what ends starts again. A rendered flight is written to a
            video first, so that rendering is not timed.
        frames: how many are counted.
        seconds: stop after this time, if it comes first.
        warmup: frames before the first that counts.
        policy: "every" or "latest"; what suits the source where None.
        tracker: a name in TRACKERS, or None for none.
        conf: lowest score of a box; where None the bundle's, and at most 0.1 with a tracker.
        lowering, threads, device: see `open_detector`.
        precision: of the first bundle; the other one is at its highest.
        first_s: how long the "first seconds" are.
        seed: of the order in which two bundles take a frame.
        layers: measure each layer too, in a pass of its own, since recording slows the network.
        layer_info: ask the library what the layers became.
        lock_clocks: hold the clocks at the power mode's highest meanwhile, see `edgekit.bench.locks`.
        need_power: fail at once where the board's power is not known.
        idle_s: how long power is read before the bundle is opened; not at all where it is not known.
        sensor_period_s: between two readings of power and clocks.
        gate: a bundle that decides which frames the first bundle sees, or None; a second one sees all.
        gate_options: when it does.
        pairs: frames come with their infrared image; `bench` sets it where a bundle takes colour and infrared.
    """

    source: str = DEFAULT_SOURCE
    frames: int = 300
    seconds: Optional[float] = None
    warmup: int = 20
    policy: Optional[str] = None
    tracker: Optional[str] = "bytetrack-flow"
    conf: Optional[float] = None
    lowering: Optional[str] = None
    threads: Optional[int] = None
    device: str = "auto"
    precision: Optional[int] = None
    first_s: float = 3.0
    seed: int = 0
    layers: bool = True
    layer_info: bool = False
    lock_clocks: bool = False
    need_power: bool = False
    idle_s: float = 2.0
    sensor_period_s: float = 0.05
    gate: Optional[PathLike] = None
    gate_options: GateOptions = _GATE_AS_USUAL
    pairs: bool = False

    def __post_init__(self) -> None:
        if self.frames < 1 or self.warmup < 0:
            raise ConfigError(
                "a bench has 1 or more frames and a warm-up of 0 or more, got {} and {}".format(
                    self.frames, self.warmup
                )
            )
        if self.sensor_period_s <= 0 or self.idle_s < 0:
            raise ValueError(
                "sensor_period_s is above 0 and idle_s 0 or more, got {} and {}".format(
                    self.sensor_period_s, self.idle_s
                )
            )


def bench(
    bundle: PathLike,
    vs: Optional[PathLike] = None,
    config: BenchConfig = BenchConfig(),
    progress: Optional[Progress] = None,
    root: str = "/",
) -> BenchResult:
    """Measure a bundle on this machine.

    Args:
        bundle: the `.ekb` file.
        vs: another one, run on the same frames in turns with the first.
        config: source, frames, warm-up and so on.
        progress: called with (done, total, text).
        root: of the file system that the machine's sensors are read from.

    Raises:
        BundleError, BackendError: a bundle cannot be opened here, or the library does not tell its layers.
        SourceError: the source fails, or is empty.
        ConfigError: two bundles on a source that does not wait; clocks that cannot be locked; power that is needed
            and not known.
    """
    bundles = [bundle] if vs is None else [bundle, vs]
    # a wrong name is told before anything is rendered
    opened = [open_bundle(path, False, each.precision) for path, each in _each(bundles, config)]
    if config.gate is not None:
        opened.append(open_bundle(config.gate, verify=False))
    pairs = any(Preprocess.from_json(one.manifest["preprocess"]).pairs for one in opened)
    method = _method(config)
    restore_clocks(root)
    profile = this_profile(root)
    if config.need_power:
        check_power(profile, root)
    config = replace(config, source=playable(config.source, progress, pairs=pairs), pairs=pairs)
    with contextlib.ExitStack() as stack:
        if config.lock_clocks:
            method["locked"] = list(stack.enter_context(LockedClocks(profile, root)).locked)
        board = BoardLog(profile, root, config.sensor_period_s)
        return _measured(bundles, config, progress, method, board, root)


def _measured(
    bundles: Sequence[PathLike],
    config: BenchConfig,
    progress: Optional[Progress],
    method: Dict[str, Any],
    board: BoardLog,
    root: str,
) -> BenchResult:
    alone = len(bundles) == 1
    forget_peak()
    memory = {"start": read_memory_mb().get("rss", 0.0)}
    log = MemoryLog()
    opened: List[_Opened] = []
    board.start()
    try:
        board.wait_idle(config.idle_s)
        for path, each in _each(bundles, config):
            opened.append(_open(path, each, gated=not opened))
        memory["loaded"] = read_memory_mb().get("rss", 0.0)
        board.begin()
        with _first_stream(config, method, alone) as first:
            streams = iter([first])
            span = measure(
                lambda: next(streams, None) or open_source(config.source, config.policy, pairs=config.pairs),
                [lane.runner for lane in opened],
                config.frames,
                config.warmup,
                seconds=config.seconds,
                seed=config.seed,
                memory=log,
                progress=progress,
            )
        board.stop()
        memory.update(_after(memory, read_memory_mb()))
        memory.update(_device_memory(opened))
        method.update(_timed(opened[0].runner.detector.session))
        method["load_average"].append(load_average())
        lanes = [lane.result(span.seconds, alone) for lane in opened]
    finally:
        board.stop()
        for lane in opened:
            lane.close()
    if config.layers:
        lanes = [_with_layers(lane, path, each, progress) for lane, (path, each) in zip(lanes, _each(bundles, config))]
    return BenchResult(
        lane=lanes[0],
        other=None if alone else lanes[1],
        machine=machine_record(root),
        libraries=library_versions(lanes[0].artifact["backend"]),
        method=method,
        dropped=span.dropped,
        memory=memory,
        memory_points=log.points,
        account=board.account(span.edges_s(lanes[0].samples), alone, on_gpu=bool(lanes[0].samples.runs)),
    )


def _each(bundles: Sequence[PathLike], config: BenchConfig) -> List[Tuple[PathLike, BenchConfig]]:
    """Each bundle with what it is opened by."""
    return list(zip(bundles, [config, replace(config, precision=None)]))


@dataclass(frozen=True)
class _Opened:
    runner: Runner
    artifact: Dict[str, Any]
    open_ms: float
    layer_info: List[Dict[str, Any]]
    gate_artifact: Optional[Dict[str, Any]] = None

    def result(self, seconds: float, alone: bool) -> Lane:
        """What it took; in turns with another its rate follows from its own time."""
        samples = self.runner.samples
        busy_s = seconds if alone else sum(samples.stages["end_to_end"]) / 1e3
        fps = len(samples.t_s) / busy_s if busy_s > 0 else 0.0
        return Lane(self.artifact, samples, self.open_ms, fps, layer_info=self.layer_info, gate=self._gate())

    def _gate(self) -> Optional[Dict[str, Any]]:
        gate, samples = self.runner.gate, self.runner.samples
        if gate is None or self.gate_artifact is None:
            return None
        return gate_summary(samples.looks, samples.stages, samples.objects, self.gate_artifact, gate.options, gate.conf)

    def close(self) -> None:
        """Free the networks."""
        self.runner.detector.close()
        if self.runner.gate is not None:
            self.runner.gate.close()


def _open(path: PathLike, config: BenchConfig, gated: bool) -> _Opened:
    start = time.monotonic()
    detector = open_detector(path, config.lowering, config.threads, device=config.device, precision=config.precision)
    open_ms = (time.monotonic() - start) * 1e3
    tracker = open_tracker(config.tracker) if config.tracker else None
    try:
        layer_info = detector.session.layer_info() if config.layer_info else []
        gate = open_gate(config.gate, config.gate_options) if gated and config.gate is not None else None
    except EdgekitError:
        detector.close()
        raise
    runner = Runner(detector, tracker, config.conf, gate=gate)
    gate_artifact = None if gate is None or config.gate is None else _artifact(config.gate, gate.detector)
    return _Opened(runner, _artifact(path, detector), open_ms, layer_info, gate_artifact)


def _artifact(path: PathLike, detector: Detector) -> Dict[str, Any]:
    height, width = detector.preprocess.height, detector.preprocess.width
    return {
        "file": os.path.basename(os.fspath(path)),
        "name": detector.name,
        "sha256": open_bundle(path, False, detector.precision).sha256,
        "bytes": os.path.getsize(os.fspath(path)),
        "lowering": detector.lowering,
        "precision": detector.precision,
        "input": "{}x{}".format(width, height),
        "backend": detector.session.backend,
        "threads": detector.session.threads,
    }


def _method(config: BenchConfig) -> Dict[str, Any]:
    return {
        "source": os.path.basename(config.source) if os.path.exists(config.source) else config.source,
        "policy": config.policy,
        "tracker": config.tracker,
        "warmup": config.warmup,
        "first_s": config.first_s,
        "seed": config.seed,
        "clocks_locked": config.lock_clocks,
        "clock": "time.monotonic",
        "started": utc_now(),
        "load_average": [load_average()],
    }


def _timed(session: Session) -> Dict[str, Any]:
    """What the time of a run holds: trtexec 10 and 11 differ in all three, so each result says it."""
    if session.last_times is None:
        return {"data_transfers": None, "spin_wait": None, "cuda_graph": None}
    return {"data_transfers": True, "spin_wait": False, "cuda_graph": session.cuda_graph}


def _device_memory(opened: Sequence[_Opened]) -> Dict[str, float]:
    """Memory of the GPU that the sessions hold, where they tell."""
    held = [lane.runner.detector.session.device_memory_mb for lane in opened]
    told = [value for value in held if value is not None]
    return {"device": round(sum(told), 3)} if told else {}


def _first_stream(config: BenchConfig, method: Dict[str, Any], alone: bool) -> Stream:
    stream = open_source(config.source, config.policy, pairs=config.pairs)
    method["policy"] = stream.policy
    if not alone and stream.policy != "every":
        stream.close()
        raise ConfigError(
            "two bundles take turns on each frame, but {} does not wait; compare them on a file or a "
            "synth:// flight".format(config.source)
        )
    return stream


def _after(before: Dict[str, float], now: Dict[str, float]) -> Dict[str, float]:
    """The last readings. The kernel counts the peak in batches of pages: it may lag behind a reading of ours."""
    names = {"rss": "end", "peak": "peak", "pss": "pss"}
    after = {names[key]: value for key, value in now.items()}
    if "peak" in after:
        after["peak"] = max([after["peak"], after["end"]] + list(before.values()))
    return after


def _with_layers(lane: Lane, path: PathLike, config: BenchConfig, progress: Optional[Progress]) -> Lane:
    detector = open_detector(
        path, config.lowering, config.threads, profile=True, device=config.device, precision=config.precision
    )
    try:
        rows = _layers(detector, config, progress)
    finally:
        detector.close()
    return replace(lane, layers=rows)


def _layers(detector: Detector, config: BenchConfig, progress: Optional[Progress]) -> ProfileRows:
    done = 0
    policy = "every" if config.policy is None else config.policy
    with open_source(config.source, policy, pairs=config.pairs) as stream:
        for frame in stream:
            detector(frame.image_hwc, infrared_hw=frame.infrared)
            done += 1
            if progress is not None:
                progress(done, _PROFILE_FRAMES, "layers")
            if done == _PROFILE_FRAMES:
                break
    return profile_rows(detector.session.layer_times())
