"""One step of a network of every precision: each learns from the labels and from the next higher one.

The loss of precision b is the detection loss plus, below the highest, `recursive` times the distance of its raw maps to
those of the next higher precision, which are given (as H. Yu et al. teach, "Any-Precision Deep Neural Networks", AAAI
2021). Gradients of the shared weights are added up ("sum"), or combined as the shortest vector that their convex
combinations have ("mgda": J.-A. Désidéri 2012; O. Sener and V. Koltun, NeurIPS 2018), whose weights come from the
gradients of the neck, the last block that all outputs share.

Differs from the papers: Any-Precision teaches by class scores alone and gives labels to the highest precision alone;
detection maps are taught here, and labels to all, because where objects are is not in the scores of one cell. MGDA's
weights add up to 1 there and to the number of precisions here, so that both ways take steps of one length.
Vertical layering (arXiv 2212.05326) optimises all precisions at once too; how is not in its abstract.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.quant.layered import precisions_of, set_precision
from edgekit.train.criterion import Criterion, total_of
from edgekit.train.loader import Batch

COMBINATIONS = ("sum", "mgda")
_ITERATIONS = 200


def backward_once(
    model: nn.Module,
    batch: Batch,
    criterion: Criterion,
    *,
    full: bool,
    recursive: float,
    combine: str,
) -> dict[str, float]:
    """Leave the combined gradients of all precisions in `model`, whose gradients were empty.

    Args:
        model: layered, with a YOLOX head, in training mode; its precision afterwards is the highest.
        batch: what it sees.
        criterion: of its maps.
        full: whether these are the full frames of the last epochs.
        recursive: weight of the distance to the next higher precision.
        combine: one of `COMBINATIONS`.

    Returns:
        `loss`, the mean over the precisions; `loss/b`, the detection loss of precision b, and
        `taught/b`, its distance to the next higher one; with "mgda" `share/b`, its weight.
    """
    named: dict[str, float] = {}
    gradients: list[list[Tensor | None]] = []
    higher: list[Tensor] | None = None
    parameters, precisions = list(model.parameters()), precisions_of(model)
    for bits in precisions:
        set_precision(model, bits)
        maps: list[Tensor] = model(batch.x_nchw)
        total, parts = total_of(criterion(maps, batch, full), 1, torch.clone)
        named[f"loss/{bits}"] = parts["loss"]
        if higher is not None and recursive:
            taught = distance(maps, higher)
            total, named[f"taught/{bits}"] = total + recursive * taught, taught.item()
        total.backward()
        named["loss"] = named.get("loss", 0.0) + total.item() / len(precisions)
        higher = [level.detach() for level in maps]
        if combine == "mgda":
            gradients.append([parameter.grad for parameter in parameters])
            model.zero_grad(set_to_none=True)
    set_precision(model, precisions[0])
    if combine == "mgda":
        shares = _combine(model, parameters, gradients)
        named |= {f"share/{bits}": share for bits, share in zip(precisions, shares, strict=True)}
    return named


def distance(maps: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """How far raw maps are from a teacher's, per object that the teacher sees; 0 where they are the same.

    Objectness and classes: cross-entropy of the probabilities minus the teacher's entropy. Boxes: L1 of the raw
    outputs. Classes and boxes count in so far as the teacher sees an object in the cell.

    Args:
        maps: per level (B, 5 + C, H, W).
        teacher: likewise, without gradient.
    """
    ours, theirs = (torch.cat([level.flatten(2) for level in side], dim=2) for side in (maps, teacher))
    seen = theirs[:, 4:5].sigmoid()
    apart = _divergence(ours[:, 4:5], theirs[:, 4:5]).sum()
    apart = apart + (seen * _divergence(ours[:, 5:], theirs[:, 5:])).sum()
    apart = apart + (seen * (ours[:, :4] - theirs[:, :4]).abs()).sum()
    return apart / seen.sum().clamp(min=1.0)


def min_norm_shares(gram: Tensor) -> Tensor:
    """The convex combination (T,) of vectors that is shortest, from their products (T, T).

    Two in closed form; more by Frank-Wolfe with exact line search (Sener and Koltun, algorithm 2).
    """
    count = len(gram)
    shares = torch.full((count,), 1.0 / count, dtype=gram.dtype)
    if count == 2:
        first = _between(gram[0, 0], gram[0, 1], gram[1, 1])
        return torch.stack((first, 1 - first))
    for _ in range(_ITERATIONS):
        products = gram @ shares
        vertex = int(products.argmin())
        step = _between(gram[vertex, vertex], products[vertex], shares @ products)
        shares = (1 - step) * shares
        shares[vertex] += step
    return shares


def _between(aa: Tensor, ab: Tensor, bb: Tensor) -> Tensor:
    """The share of a in the shortest point between vectors a and b, from their products."""
    apart = aa - 2 * ab + bb
    return ((bb - ab) / apart.clamp(min=1e-30)).clamp(0.0, 1.0)


def _divergence(logit: Tensor, teacher: Tensor) -> Tensor:
    wanted = teacher.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    return cross - functional.binary_cross_entropy_with_logits(teacher, wanted, reduction="none")


def _combine(
    model: nn.Module, parameters: Sequence[nn.Parameter], gradients: Sequence[Sequence[Tensor | None]]
) -> list[float]:
    """Put the shortest combination into the parameters; the share of each precision, of 1."""
    neck = model.get_submodule("neck")
    shared = {id(module.weight) for module in neck.modules() if isinstance(module, nn.Conv2d)}
    places = [index for index, parameter in enumerate(parameters) if id(parameter) in shared]
    rows = [torch.cat([_flat(each[index], parameters[index]) for index in places]) for each in gradients]
    stacked = torch.stack(rows).double()
    shares = min_norm_shares(stacked @ stacked.T)
    for index, parameter in enumerate(parameters):
        total: Tensor | None = None
        for share, each in zip(shares.tolist(), gradients, strict=True):
            part = each[index]
            if part is not None:
                part = part * (share * len(gradients))
                total = part if total is None else total + part
        parameter.grad = total
    return [float(share) for share in shares]


def _flat(gradient: Tensor | None, parameter: nn.Parameter) -> Tensor:
    return torch.zeros(parameter.numel()) if gradient is None else gradient.reshape(-1)
