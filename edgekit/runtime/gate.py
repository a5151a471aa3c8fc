"""The small network of a wake-up cascade; `edgekit.runtime.wake` has the policy."""

import os
import time
from typing import Any, Callable, Optional

from edgekit.bundle import open_bundle
from edgekit.errors import ConfigError
from edgekit.files import PathLike
from edgekit.frames import Frame
from edgekit.runtime.detector import Detector, open_detector
from edgekit.runtime.wake import ASLEEP, SEEN, GateOptions, Look, Watch

_AS_USUAL = GateOptions()


class Gate:
    """A small detector that says whether a frame is worth the large one; one thread uses it at a time.

    Attributes:
        detector: the small one. Its classes need not be those of the large one.
        options: when the large one runs.
        conf: the score that counts.
    """

    def __init__(
        self,
        detector: Detector,
        options: GateOptions = _AS_USUAL,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.detector = detector
        self.options = options
        self.conf = detector.decode.conf if options.conf is None else options.conf
        self._clock = clock
        self._watch = Watch(options)

    def look(self, frame: Frame) -> Look:
        """Decide about the next frame; where the verdict is not ASLEEP, the caller runs the large detector on it.

        Args:
            frame: its index is above that of the last one, or the source began again.

        Raises:
            BackendError: the inference library failed.
        """
        reason = self._watch.reason(frame.index)
        if reason is not None:
            self._watch.ran(frame.index)
            return Look(reason)
        start = self._clock()
        seen = len(self.detector(frame.image_hwc, conf=self.conf, max_det=1, infrared_hw=frame.infrared)) > 0
        ms = (self._clock() - start) * 1e3
        if not seen:
            return Look(ASLEEP, ms)
        self._watch.ran(frame.index)
        self._watch.saw(frame.index)
        return Look(SEEN, ms)

    def found(self, frame: Frame) -> None:
        """The large detector found something in `frame`: it stays awake for `hold` frames."""
        self._watch.saw(frame.index)

    def close(self) -> None:
        """Free the small network."""
        self.detector.close()

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


def open_gate(
    bundle: PathLike, options: GateOptions = _AS_USUAL, threads: int = 1, cache_dir: Optional[str] = None
) -> Gate:
    """Open a bundle as a gate: on the processor, even where the large detector has a GPU.

    Args:
        bundle: the `.ekb` file of any detector; a small one at a low resolution.
        options: when the large detector runs.
        threads: worker threads. One by default: the work is a millisecond, and the rest of the processor is others'.
        cache_dir: see `edgekit.bundle.Bundle.materialise`.

    Raises:
        BundleError, BackendError, StorageError: see `open_detector`.
        ConfigError: the bundle is no detector.
    """
    task = open_bundle(bundle, verify=False).manifest["model"].get("task", "detect")
    if task != "detect":
        raise ConfigError(
            "{} is made for the task {!r} and cannot be a gate; take the bundle of a small detector".format(
                os.fspath(bundle), task
            )
        )
    return Gate(open_detector(bundle, threads=threads, cache_dir=cache_dir, device="cpu"), options)
