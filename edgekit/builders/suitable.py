"""Which graph of a bundle a device with a given TensorRT runs best; and, where none, which layers stand in the way."""

from typing import List, Optional, Sequence, Tuple

from edgekit.bundle import Bundle
from edgekit.errors import BackendError
from edgekit.precision import QuantPlan, QuantSpec
from edgekit.profiles import Profile

_NAMED = 3
# Graphs with Q/DQ for TensorRT, by the first major version that reads each.
_INT8 = (("trt10", 10), ("trt8", 8))


def lowerings_for(profile: Optional[Profile], generation: int, dla: bool = False) -> Tuple[str, ...]:
    """The lowerings that a device runs, best first.

    Args:
        profile: of the device; None for a GPU without one, which is taken to have INT8.
        generation: TensorRT's major version, such as 10.
        dla: for the DLA, which takes no Q/DQ before TensorRT 11.
    """
    int8 = (profile is None or profile.chip.int8) and not dla
    quantised = tuple(name for name, first in _INT8 if generation >= first) if int8 else ()
    # From 11 on nothing makes the rest of an untyped graph FP16.
    return tuple(name for name in quantised if generation < 11 or name != "trt8") + ("fp16",)


def suitable_lowering(
    bundle: Bundle, profile: Optional[Profile], generation: int, wanted: Optional[str] = None, dla: bool = False
) -> str:
    """The lowering to build: `wanted` if the device can run it, else the best that the bundle has.

    Args:
        bundle: opened.
        profile, generation, dla: see `lowerings_for`.
        wanted: a name, which is only checked; None to choose.

    Raises:
        BackendError: the bundle has none that this device runs, the wanted one is none of them, or TensorRT cannot
            compute the bundle's plan; the message names layers.
    """
    runs = lowerings_for(profile, generation, dla)
    title = profile.title if profile is not None else "this GPU"
    if wanted is not None:
        chosen: Optional[str] = wanted if wanted in runs or wanted == "fp32" else None
    else:
        chosen = next((name for name in runs if name in bundle.lowerings), None)
    if chosen is None:
        raise BackendError(_no_lowering(bundle, title, runs, generation, wanted))
    if chosen in dict(_INT8):
        _check_plan(bundle)
    return chosen


def int8_layers(bundle: Bundle) -> List[str]:
    """Names of the layers whose weights the plan quantises."""
    return list(bundle.plan.weights) if bundle.plan is not None else []


def _no_lowering(bundle: Bundle, title: str, runs: Sequence[str], generation: int, wanted: Optional[str]) -> str:
    layers = int8_layers(bundle)
    names = wanted or ", ".join(bundle.lowerings)
    if runs == ("fp16",) and layers:
        return "{} runs no INT8 with TensorRT, and {} of {} has INT8 layers: {}; export it with --lowering fp16".format(
            title, names, bundle.path, _listed(layers)
        )
    return "{} with TensorRT {} runs {}, {} has {}; export it with --lowering {}".format(
        title, generation, ", ".join(runs), bundle.path, names, runs[0]
    )


def _check_plan(bundle: Bundle) -> None:
    """Refuse what an INT8 engine would compute otherwise: TensorRT's grid is signed, symmetric, of at most 8 bits."""
    plan = bundle.plan or QuantPlan()
    unsigned = [name for name, spec in plan.activations.items() if not spec.signed and spec.bits == 8]
    if unsigned:
        raise BackendError(
            "TensorRT has signed int8 alone, and the plan of {} has unsigned 8-bit activations: {}; export with "
            "signed ones, or build --lowering fp16".format(bundle.path, _listed(unsigned))
        )
    odd = [name for name, spec in plan.weights.items() if not _is_axis_of_outputs(spec)]
    if odd:
        raise BackendError(
            "TensorRT takes weight scales per output channel, and the plan of {} has another axis in: {}; export "
            "it again, or build --lowering fp16".format(bundle.path, _listed(odd))
        )


def _is_axis_of_outputs(spec: QuantSpec) -> bool:
    return spec.granularity == "tensor" or spec.axis in (0, 1)  # 1: transposed convolutions


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:_NAMED])
    return text if len(names) <= _NAMED else "{} … ({} in all)".format(text, len(names))
