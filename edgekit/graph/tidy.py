"""Exact rewrites that make a detector faster on every backend, before anything is quantised.

Each keeps the outputs and the names of layers and of their outputs, so a plan made before it remains valid.
"""

import onnx_ir as ir

from edgekit.graph.cascade_pools import cascade_pools
from edgekit.graph.channels_last_head import channels_last_head
from edgekit.graph.fold_focus import fold_focus


def tidy(model: ir.Model) -> bool:
    """Rewrite a canonical graph in place; return whether anything changed."""
    changed = [rewrite(model) for rewrite in (fold_focus, cascade_pools, channels_last_head)]
    return any(changed)
