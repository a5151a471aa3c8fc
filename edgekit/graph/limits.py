"""What each TensorRT's ONNX importer reads: operators by the release that brought them, and opsets.

Source: docs/operators.md and docs/Changelog.md of onnx/onnx-tensorrt, whose branches are NVIDIA's importer of each
release (8.2, 8.4, 8.5, 8.6, 9.2, 10.0 to 10.6, 10.15). 9.x was never on a Jetson: what it brought counts as 10.0.
Operators that are not named here are read by 8.0 and all later ones. The importer reads the IR version and the opset
without refusing any: an opset beyond its range means that operators are read by an older definition.
"""

from collections.abc import Iterable, Iterator

import onnx_ir as ir

Release = tuple[int, int]

OLDEST: Release = (8, 0)

FIRST: dict[str, Release] = {
    **dict.fromkeys(["Einsum", "GatherND", "IsNaN", "Round", "ScatterElements", "ScatterND", "Sign"], (8, 2)),
    **dict.fromkeys(["Shrink", "Xor"], (8, 4)),
    # NonMaxSuppression was there before, but padded its output to a fixed size
    **dict.fromkeys(["GridSample", "HardSwish", "MeanVarianceNormalization", "Mod", "NonMaxSuppression"], (8, 5)),
    **dict.fromkeys(["NonZero", "OneHot", "RandomNormal", "RandomNormalLike", "Reciprocal", "RoiAlign"], (8, 5)),
    "Trilu": (8, 5),
    **dict.fromkeys(["GroupNormalization", "IsInf", "LayerNormalization"], (8, 6)),
    # Gelu and Mish are in no list up to that of 9.2, and in that of 10.15; the opsets that brought them are 10.0's
    **dict.fromkeys(["CastLike", "Gelu", "Hardmax", "Mish"], (10, 0)),
    "DeformConv": (10, 1),
    **dict.fromkeys(["BlackmanWindow", "HammingWindow", "HannWindow"], (10, 4)),
    "STFT": (10, 5),
    **dict.fromkeys(["Attention", "RMSNormalization", "RotaryEmbedding"], (10, 15)),
}

NEVER = frozenset(
    ["AffineGrid", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CenterCropPad"]
    + ["Col2Im", "Compress", "ConcatFromSequence", "ConvInteger", "Det", "DFT", "DynamicQuantizeLinear"]
    + ["ImageDecoder", "MatMulInteger", "MaxRoiPool", "MaxUnpool", "MelWeightMatrix", "Multinomial"]
    + ["NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement", "QLinearConv"]
    + ["QLinearMatMul", "RegexFullMatch", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase"]
    + ["SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss", "SplitToSequence"]
    + ["StringNormalizer", "TfIdfVectorizer", "Unique"]
)
"""Not imported by any release up to 10.15."""

OPSETS: tuple[tuple[Release, tuple[int, int]], ...] = (
    ((8, 0), (7, 13)),
    ((8, 4), (7, 17)),
    ((10, 0), (9, 20)),
    ((10, 15), (9, 24)),
)
"""(release, (lowest, highest opset)) from which on; the latest that is not newer than a release holds for it."""


def opset_range(release: Release) -> tuple[int, int]:
    """Lowest and highest opset that a release documents; those of 8.0 for anything older."""
    return next((opsets for first, opsets in reversed(OPSETS) if first <= release), OPSETS[0][1])


def release_of_opset(opset: int) -> Release:
    """The first release whose range reaches `opset`; the newest known for one beyond all."""
    return next((first for first, (_, highest) in OPSETS if opset <= highest), OPSETS[-1][0])


def too_new(nodes: Iterable[ir.Node], release: Release) -> Iterator[tuple[ir.Node, Release | None]]:
    """Nodes that `release` does not import, and the first release that does: None where none does."""
    for node in nodes:
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type in NEVER:
            yield node, None
        elif FIRST.get(node.op_type, OLDEST) > release:
            yield node, FIRST[node.op_type]


def needed_release(model: ir.Model) -> Release:
    """The oldest TensorRT that reads every operator of `model` and its opset."""
    operators = [FIRST.get(node.op_type, OLDEST) for node in model.graph]
    return max([release_of_opset(model.graph.opset_imports.get("", 1)), *operators])


def text(release: Release) -> str:
    """As people write it: "8.5"."""
    return f"{release[0]}.{release[1]}"
