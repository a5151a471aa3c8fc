"""A build failed: what to give up so that the next one may not, in words that go into the report.

Order, from what costs nothing to what costs most: more workspace, once; the Q/DQ pairs of the layers that the log
names; FP32 for them. For want of memory: less workspace, then a lower level. Every step is bounded and recorded.
"""

import re
from dataclasses import dataclass, replace
from typing import FrozenSet, Iterable, List, Optional, Sequence, Tuple

from edgekit.engine import Concession
from edgekit.errors import BackendError

_NO_KERNEL = "could not find any implementation for node"
_NO_INT8 = ("hardware with int8 support", "without native int8")
_NO_MEMORY = ("out of memory", "outofmemory", "insufficient memory", "cudaerrormemoryallocation", "failed to allocate")
_LEAST_WORKSPACE_MIB = 32
_LINE = 300  # a myelin node's name may go on for pages


@dataclass(frozen=True)
class Attempt:
    """One try at a build.

    Attributes:
        workspace_mib, level: see `Settings`; level None is TensorRT's own.
        without_pairs: layers that read past their Q/DQ pairs.
        float32: layers pinned to FP32.
        raised: whether the workspace has been raised already.
        concessions: what was given up so far.
    """

    workspace_mib: int
    level: Optional[int]
    without_pairs: FrozenSet[str] = frozenset()
    float32: FrozenSet[str] = frozenset()
    raised: bool = False
    concessions: Tuple[Concession, ...] = ()


@dataclass(frozen=True)
class Failure:
    """How a try ended.

    Attributes:
        errors: lines of the log, in order.
        layers: names of the network's layers, in order.
        with_pairs: those of them that still read through a Q/DQ pair.
        can_pin: whether this TensorRT takes a precision for a layer.
        most_workspace_mib: how far the workspace may be raised.
    """

    errors: Sequence[str]
    layers: Sequence[str]
    with_pairs: Sequence[str]
    can_pin: bool
    most_workspace_mib: int


def next_attempt(attempt: Attempt, failure: Failure) -> Attempt:
    """What to try after `failure`.

    Raises:
        BackendError: nothing is left to give up, or it would not help; the message quotes TensorRT.
    """
    for error in failure.errors:
        lower = error.lower()
        if any(sign in lower for sign in _NO_INT8):
            raise BackendError("this GPU has no INT8; build the fp16 lowering: edgekit build BUNDLE --lowering fp16")
        if _NO_KERNEL in lower:
            return _without_kernel(attempt, failure, error)
        if any(sign in lower for sign in _NO_MEMORY):
            return _without_memory(attempt, error)
    raise BackendError(
        "TensorRT could not build the engine: {}; edgekit doctor --explain LOG knows many of these".format(
            _short(failure.errors[0]) if failure.errors else "it gave no reason"
        )
    )


def named_layers(error: str, layers: Sequence[str]) -> List[str]:
    """The layers that a line of the log names; "ForeignNode[a...b]" stands for all from a to b."""
    text = error[error.lower().find(_NO_KERNEL) + len(_NO_KERNEL) :].replace("...", " ... ")
    found = [name for name in layers if re.search(r"(?<![\w/.]){}(?![\w/])".format(re.escape(name)), text)]
    if "ForeignNode[" in text and len(found) >= 2:
        places = [layers.index(name) for name in found]
        found = list(layers[min(places) : max(places) + 1])
    return found


def _without_kernel(attempt: Attempt, failure: Failure, error: str) -> Attempt:
    raised = min(2 * attempt.workspace_mib, failure.most_workspace_mib)
    if not attempt.raised and raised > attempt.workspace_mib:
        note = Concession("", "workspace raised to {} MiB".format(raised), _short(error))
        return replace(attempt, workspace_mib=raised, raised=True, concessions=attempt.concessions + (note,))
    named = named_layers(error, failure.layers)
    pairs = [name for name in named if name in failure.with_pairs and name not in attempt.without_pairs]
    if pairs:
        notes = _notes(pairs, "runs without its Q/DQ", error)
        gone = attempt.without_pairs.union(pairs)
        return replace(attempt, without_pairs=gone, concessions=attempt.concessions + notes)
    unpinned = [name for name in named if name not in attempt.float32]
    if failure.can_pin and unpinned:
        notes = _notes(unpinned, "pinned to FP32", error)
        pinned = attempt.float32.union(unpinned)
        return replace(attempt, float32=pinned, concessions=attempt.concessions + notes)
    raise BackendError(
        "TensorRT has no kernel for {} here, in any precision that the graph allows: {}; keep that layer in float "
        "(edgekit export --keep-float LAYER) or build with more --workspace".format(
            ", ".join(named) or "a node", _short(error)
        )
    )


def _without_memory(attempt: Attempt, error: str) -> Attempt:
    half = attempt.workspace_mib // 2
    if half >= _LEAST_WORKSPACE_MIB:
        note = Concession("", "workspace lowered to {} MiB".format(half), _short(error))
        return replace(attempt, workspace_mib=half, raised=True, concessions=attempt.concessions + (note,))
    if attempt.level is None or attempt.level > 0:
        level = 1 if attempt.level is None or attempt.level > 1 else 0
        note = Concession("", "builder level lowered to {}".format(level), _short(error))
        return replace(attempt, level=level, raised=True, concessions=attempt.concessions + (note,))
    raise BackendError(
        "the build ran out of memory with the least settings: {}; close the desktop or add swap".format(_short(error))
    )


def _notes(names: Iterable[str], what: str, error: str) -> Tuple[Concession, ...]:
    return tuple(Concession(name, what, _short(error)) for name in names)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
