"""What is compared: each arm runs one graph in one library, or says in one line why it does not here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekit.bundle import Bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.session import Session

# Graphs that TensorRT gets, and those that ONNX Runtime's providers get.
ENGINES = ("trt10", "trt8", "fp16", "fp32")
PROVIDERS = (("tensorrt", "trt10"), ("tensorrt", "fp16"), ("cuda", "fp16"), ("cuda", "fp32"))
REFERENCE = "onnxruntime-cpu fp32"


@dataclass
class Arm:
    """One thing that is timed.

    Attributes:
        name: library and graph.
        lowering: the graph.
        run: one image (1, 3, H, W) float32 to the outputs, float32; returns when they are there.
        gpu_ms: GPU time of the last run, None where the library does not tell.
        close: frees it.
        facts: backend and what it was built with.
        session: of the library, None for torch.
    """

    name: str
    lowering: str
    run: Callable[[np.ndarray], list[np.ndarray]]
    gpu_ms: Callable[[], float | None]
    close: Callable[[], None]
    facts: dict[str, Any] = field(default_factory=dict)
    session: Session | None = None


@dataclass(frozen=True)
class Absent:
    """An arm that does not run here, and why."""

    name: str
    lowering: str
    reason: str


Opened = Arm | Absent


def open_arms(bundle: Bundle, rebuild: bool) -> list[Opened]:
    """All arms of a bundle, the processor's reference first; engines are built before torch is imported."""
    found = [attempt(REFERENCE, "fp32", lambda: reference_arm(bundle))]
    for lowering in ENGINES:
        found.append(attempt(f"edgekit {lowering}", lowering, lambda name=lowering: engine_arm(bundle, name, rebuild)))
    for provider, lowering in PROVIDERS:
        name = f"onnxruntime-{provider} {lowering}"
        found.append(attempt(name, lowering, lambda p=provider, g=lowering: provider_arm(bundle, p, g)))
    return found


def attempt(name: str, lowering: str, open_arm: Callable[[], Arm]) -> Opened:
    """The arm, or the one line that says why it is not there."""
    try:
        return open_arm()
    except (EdgekitError, ImportError) as error:
        return Absent(name, lowering, " ".join(str(error).split()))


def reference_arm(bundle: Bundle) -> Arm:
    """ONNX Runtime on the processor, the float32 graph: what every other arm's outputs are compared with."""
    session = open_graph(bundle, "fp32", "cpu")
    return arm_of_session(REFERENCE, "fp32", session, {"backend": session.backend})


def provider_arm(bundle: Bundle, provider: str, lowering: str) -> Arm:
    """ONNX Runtime on the GPU; a provider that falls back to the processor is refused by the session."""
    session = open_graph(bundle, lowering, provider)
    return arm_of_session(f"onnxruntime-{provider} {lowering}", lowering, session, {"backend": session.backend})


def engine_arm(bundle: Bundle, lowering: str, rebuild: bool) -> Arm:
    """An engine that edgekit builds and runs."""
    from edgekit.builders import BuildOptions, engine_from_bundle
    from edgekit.runtime.session import open_session

    engine = engine_from_bundle(bundle, BuildOptions(lowering=lowering, rebuild=rebuild))
    session = open_session(engine.path)
    facts = {"backend": session.backend, "cuda_graph": session.cuda_graph, "engine": engine.to_json()}
    return arm_of_session(f"edgekit {lowering}", lowering, session, facts)


def open_graph(bundle: Bundle, lowering: str, provider: str) -> Session:
    """A graph of the bundle in ONNX Runtime.

    Raises:
        BundleError: the bundle does not have it.
        BackendError: the provider does not run here.
    """
    from edgekit.runtime.session import open_session

    return open_session(bundle.materialise(lowering), provider=provider)


def arm_of_session(name: str, lowering: str, session: Session, facts: dict[str, Any]) -> Arm:
    """A session as an arm."""
    feed = session.inputs[0].name

    def run(x: np.ndarray) -> list[np.ndarray]:
        return session.run({feed: x})

    def gpu_ms() -> float | None:
        return session.last_times.compute_ms if session.last_times is not None else None

    return Arm(name, lowering, run, gpu_ms, session.close, facts, session)
