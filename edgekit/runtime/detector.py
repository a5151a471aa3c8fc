"""A bundle, ready to detect.

import edgekit

with edgekit.open("student.ekb") as detector:
    detections = detector(frame_bgr)
    print(detections.to_rows(detector.classes), detector.stages.total_ms)
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from edgekit.bundle import Bundle, open_bundle
from edgekit.detections import Detections
from edgekit.errors import BackendError, ConfigError
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
        precision: bits of the weights, of a bundle of many precisions; None of all others.
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
        precisions: Optional[Mapping[int, Session]] = None,
    ) -> None:
        """Take over the sessions, which `close` frees.

        Args:
            session: of the network that runs first.
            classes, preprocess, decode, name, lowering: see the attributes.
            clock: seconds, for the stages.
            precisions: bits -> the network at that precision, `session` among them; None where there is but one.

        Raises:
            BackendError: a network takes other inputs than its preprocessing gives.
        """
        self._precisions: Dict[int, Session] = dict(precisions or {})
        for each in [session, *self._precisions.values()]:
            _check_input(each, preprocess)
        self.precision = next((bits for bits, each in self._precisions.items() if each is session), None)
        self.classes: Tuple[str, ...] = tuple(classes)
        self.preprocess = preprocess
        self.decode = decode
        self.name = name
        self.lowering = lowering
        self.stages = Stages()
        self._clock = clock
        self._ours = np.zeros(session.inputs[0].shape, dtype=np.float32)  # for sessions without memory of their own
        self._use(session)

    @property
    def precisions(self) -> Tuple[int, ...]:
        """The precisions that `set_precision` can choose from: those that are loaded."""
        return tuple(self._precisions)

    def set_precision(self, bits: int) -> None:
        """Detect with `bits` from the next call on; all networks are loaded, so that it costs next to nothing.

        Raises:
            ConfigError: that precision is not loaded.
        """
        if bits not in self._precisions:
            known = ", ".join(str(each) for each in self._precisions)
            raise ConfigError(
                "{} bits are not loaded; {}".format(
                    bits,
                    "there are {}: open the bundle with this one too".format(known)
                    if known
                    else "open a bundle of many precisions with precision=(8, …)",
                )
            )
        self._use(self._precisions[bits])
        self.precision = bits

    def _use(self, session: Session) -> None:
        self.session = session
        name_in = session.inputs[0].name
        own = session.input_array(name_in)
        self._input = self._ours if own is None else own
        self._feeds = {name_in: self._input}

    def __call__(
        self,
        image_hwc: np.ndarray,
        conf: Optional[float] = None,
        iou: Optional[float] = None,
        max_det: Optional[int] = None,
        infrared_hw: Optional[np.ndarray] = None,
    ) -> Detections:
        """Detect in one frame.

        Args:
            image_hwc: (H, W, 3) uint8, BGR.
            conf, iou, max_det: lowest score, overlap and count; those of `decode` where None.
            infrared_hw: (H, W) uint8, registered with the image; a network of colour and infrared needs it, and no
                other reads it.

        Returns:
            Boxes in pixels of `image_hwc`, best first.

        Raises:
            BackendError: the inference library failed.
            DataError: the network takes pairs, and there is no infrared image or it is of another size.
        """
        if image_hwc.ndim != 3 or image_hwc.shape[2] != 3 or image_hwc.dtype != np.uint8:
            raise ValueError("an image is (H, W, 3) uint8 BGR, got {} {}".format(image_hwc.shape, image_hwc.dtype))
        start = self._clock()
        _, letterbox = prepare(image_hwc, self.preprocess, self._input, infrared_hw)
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
        for session in self._precisions.values():
            if session is not self.session:
                session.close()
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
    precision: Union[int, Sequence[int], None] = None,
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
        precision: bits, of a bundle of many precisions, or several to switch between in flight
            (`Detector.set_precision`); the first one begins. The highest alone where None.

    Raises:
        BundleError: the file is not a whole bundle, or lacks the lowering or the precision.
        BackendError: no inference library here runs any of its lowerings.
        ConfigError: there is no such device.
        StorageError: the cache cannot be written.
    """
    place = parse_device(device)
    views = _views(bundle, precision, verify)
    sessions: Dict[Optional[int], Session] = {}
    chosen = ""
    try:
        for view in views:
            sessions[view.precision], name = _open(view, place, lowering, threads, profile, cache_dir)
            chosen = chosen or name
        return _detector(views[0], sessions, chosen)
    except Exception:
        for session in sessions.values():
            session.close()
        raise


def _views(bundle: PathLike, precision: Union[int, Sequence[int], None], verify: bool) -> Sequence[Bundle]:
    """The bundle at each precision, hashed once."""
    asked = [precision] if precision is None or isinstance(precision, int) else list(dict.fromkeys(precision))
    if not asked:
        raise ValueError("precision is a number of bits, or one or more of them, got none")
    return [open_bundle(bundle, verify and index == 0, bits) for index, bits in enumerate(asked)]


def _open(
    bundle: Bundle,
    place: Device,
    lowering: Optional[str],
    threads: Optional[int],
    profile: bool,
    cache_dir: Optional[str],
) -> Tuple[Session, str]:
    """A session of one view of a bundle, and the lowering that it runs."""
    if place.kind == "tensorrt":
        from edgekit.builders import BuildOptions, engine_to_fly  # a third of the start-up, for GPUs alone

        options = BuildOptions(lowering=lowering, dla_core=place.dla_core, cache_dir=cache_dir)
        engine = engine_to_fly(bundle, options, place.index)
        return open_session(engine.path, profile=profile, gpu=place.index), engine.key.lowering
    name = lowering or _ort_lowering(bundle, place)
    session = open_session(
        bundle.materialise(name, cache_dir),
        threads=threads,
        profile=profile,
        keep_optimized=place.kind == "cpu",
        provider=place.provider,
    )
    return session, name


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
    session = open_session(engine.path, profile=profile, gpu=gpu)
    return _detector(bundle, {bundle.precision: session}, engine.key.lowering)


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


def _detector(bundle: Bundle, sessions: Mapping[Optional[int], Session], lowering: str) -> Detector:
    return Detector(
        sessions[bundle.precision],
        bundle.classes,
        Preprocess.from_json(bundle.manifest["preprocess"]),
        DecodeSpec.from_json(bundle.manifest["decode"]),
        name=bundle.name,
        lowering=lowering,
        precisions={bits: session for bits, session in sessions.items() if bits is not None},
    )


def _check_input(session: Session, preprocess: Preprocess) -> None:
    shape = (1, preprocess.channels, preprocess.height, preprocess.width)
    taken = [(tensor.shape, tensor.dtype) for tensor in session.inputs]
    if taken != [(shape, "float32")]:
        raise BackendError(
            "the network takes {}, its preprocessing gives one float32 {}; export it again".format(taken, shape)
        )
