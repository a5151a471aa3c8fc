"""A bundle, ready to detect.

import edgekit

with edgekit.open("student.ekb") as detector:
    detections = detector(frame_bgr)
    print(detections.to_rows(detector.classes), detector.stages.total_ms)
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Tuple

import numpy as np

from edgekit.bundle import Bundle, open_bundle
from edgekit.detections import Detections
from edgekit.errors import BackendError
from edgekit.files import PathLike
from edgekit.process import DecodeSpec, Preprocess, postprocess, prepare
from edgekit.runtime.device import ORT_LOWERINGS, Device, ort_lowering, parse_device
from edgekit.runtime.lowering import choose_lowering
from edgekit.runtime.session import Session, open_session

if TYPE_CHECKING:
    from edgekit.engine import Engine


@dataclass(frozen=True)
class Stages:
    """What one detection took.

    Attributes:
        preprocess_ms: resize, pad, normalise.
        infer_ms: the network.
        postprocess_ms: decode, suppression, boxes back to the frame.
    """

    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    postprocess_ms: float = 0.0

    @property
    def total_ms(self) -> float:
        """All three."""
        return self.preprocess_ms + self.infer_ms + self.postprocess_ms


class Detector:
    """A network with what comes before and after it; one thread uses it at a time.

    Attributes:
        session: the network.
        classes: class names by class id.
        preprocess: what comes before.
        decode: what comes after; its `conf`, `iou` and `max_det` are the defaults of a call.
        name: the model's name.
        lowering: which graph of the bundle runs.
        stages: times of the last call.
    """

    def __init__(
        self,
        session: Session,
        classes: Sequence[str],
        preprocess: Preprocess,
        decode: DecodeSpec,
        name: str = "",
        lowering: str = "",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        shape = (1, 3, preprocess.height, preprocess.width)
        taken = [(tensor.shape, tensor.dtype) for tensor in session.inputs]
        if taken != [(shape, "float32")]:
            raise BackendError(
                "the network takes {}, its preprocessing gives one float32 {}; export it again".format(taken, shape)
            )
        self.session = session
        self.classes: Tuple[str, ...] = tuple(classes)
        self.preprocess = preprocess
        self.decode = decode
        self.name = name
        self.lowering = lowering
        self.stages = Stages()
        self._clock = clock
        name_in = session.inputs[0].name
        own = session.input_array(name_in)
        self._input = np.zeros(shape, dtype=np.float32) if own is None else own
        self._feeds = {name_in: self._input}

    def __call__(
        self,
        image_hwc: np.ndarray,
        conf: Optional[float] = None,
        iou: Optional[float] = None,
        max_det: Optional[int] = None,
    ) -> Detections:
        """Detect in one frame.

        Args:
            image_hwc: (H, W, 3) uint8, BGR.
            conf, iou, max_det: lowest score, overlap and count; those of `decode` where None.

        Returns:
            Boxes in pixels of `image_hwc`, best first.

        Raises:
            BackendError: the inference library failed.
        """
        if image_hwc.ndim != 3 or image_hwc.shape[2] != 3 or image_hwc.dtype != np.uint8:
            raise ValueError("an image is (H, W, 3) uint8 BGR, got {} {}".format(image_hwc.shape, image_hwc.dtype))
        start = self._clock()
        _, letterbox = prepare(image_hwc, self.preprocess, out=self._input)
        prepared = self._clock()
        outputs = self.session.run(self._feeds)
        inferred = self._clock()
        detections = postprocess(outputs, self.decode, letterbox, self.preprocess, conf, iou, max_det)
        done = self._clock()
        self.stages = Stages((prepared - start) * 1e3, (inferred - prepared) * 1e3, (done - inferred) * 1e3)
        return detections

    def close(self) -> None:
        """Free the network."""
        self._input = self._input.copy()  # it may be the session's memory, and a call after this must not write there
        self.session.close()

    def __enter__(self) -> "Detector":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


def open_detector(
    bundle: PathLike,
    lowering: Optional[str] = None,
    threads: Optional[int] = None,
    profile: bool = False,
    cache_dir: Optional[str] = None,
    verify: bool = True,
    device: str = "auto",
) -> Detector:
    """Open a bundle for inference on this machine.

    On a GPU the engine comes from the cache where everything that it depends on is the same, and is built first where
    not, which takes minutes on a small board: `edgekit build` does that ahead, and finds whether INT8 pays.

    Args:
        bundle: the `.ekb` file.
        lowering: which of its graphs; the best for this device where None. On a processor a name given here is not
            questioned.
        threads: worker threads; the physical cores that this process may use where None.
        profile: record the time of every layer, see `Session.layer_times`.
        cache_dir: where unpacked graphs and engines are kept; see `Bundle.materialise`.
        verify: check the hash of every entry first.
        device: where to run, see `edgekit.runtime.device.parse_device`.

    Raises:
        BundleError: the file is not a whole bundle, or lacks the lowering.
        BackendError: no inference library here runs any of its lowerings.
        ConfigError: there is no such device.
        StorageError: the cache cannot be written.
    """
    opened = open_bundle(bundle, verify=verify)
    place = parse_device(device)
    if place.kind == "tensorrt":
        from edgekit.builders import BuildOptions, engine_to_fly  # a third of the start-up, for GPUs alone

        options = BuildOptions(lowering=lowering, dla_core=place.dla_core, cache_dir=cache_dir)
        return detector_of_engine(opened, engine_to_fly(opened, options, place.index), profile, place.index)
    name = lowering or _ort_lowering(opened, place)
    session = open_session(
        opened.materialise(name, cache_dir),
        threads=threads,
        profile=profile,
        keep_optimized=place.kind == "cpu",
        provider=place.provider,
    )
    return _detector(opened, session, name)


def detector_of_engine(bundle: Bundle, engine: "Engine", profile: bool = False, gpu: int = 0) -> Detector:
    """A bundle with one of its engines.

    Args:
        bundle: opened.
        engine: built from it.
        profile: record the time of every layer, see `Session.layer_times`.
        gpu: which GPU.

    Raises:
        BackendError: the engine does not fit this machine, or cannot be loaded.
    """
    return _detector(bundle, open_session(engine.path, profile=profile, gpu=gpu), engine.key.lowering)


def _ort_lowering(bundle: Bundle, place: Device) -> str:
    if place.kind == "cpu":
        records = bundle.manifest["lowerings"]
        return choose_lowering(bundle.lowerings, {name: records[name].get("requires", {}) for name in records})
    name = ort_lowering(place.provider, bundle.lowerings)
    if name is None:
        raise BackendError(
            "{} has {}; --device {} runs {}. Export it again with --lowering fp16".format(
                bundle.path, ", ".join(bundle.lowerings), place.kind, ", ".join(ORT_LOWERINGS[place.provider])
            )
        )
    return name


def _detector(bundle: Bundle, session: Session, lowering: str) -> Detector:
    return Detector(
        session,
        bundle.classes,
        Preprocess.from_json(bundle.manifest["preprocess"]),
        DecodeSpec.from_json(bundle.manifest["decode"]),
        name=bundle.name,
        lowering=lowering,
    )
