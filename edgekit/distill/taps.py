"""Features out of a model's middle: hooks that live for one forward pass and leave nothing behind."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from edgekit.errors import ModelError


class Taps:
    """The outputs of chosen submodules, while the block lasts.

    A path that gave nothing by the end of the block is an error, not an empty list: a distillation loss that is always
    0 looks like one that works.

    Attributes:
        features: path -> outputs in the order of the calls; a module may run twice.
    """

    def __init__(self, model: nn.Module, paths: Sequence[str], role: str = "model"):
        """Look the paths up.

        Args:
            model: not wrapped by DistributedDataParallel: hand over what is inside.
            paths: names as `named_modules` gives them.
            role: what to call the model in errors.

        Raises:
            ModelError: there is no such submodule.
        """
        known = dict(model.named_modules())
        for path in paths:
            if path not in known or not path:
                close = difflib.get_close_matches(path, [name for name in known if name], n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ModelError(f"the {role} has no module {path!r} to tap{hint}")
        self.features: dict[str, list[Tensor]] = {path: [] for path in paths}
        self._modules = {path: known[path] for path in paths}
        self._role = role
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Taps:
        """Hook in; features of an earlier block are forgotten."""
        for path, module in self._modules.items():
            self.features[path] = []
            self._handles.append(module.register_forward_hook(self._keep(path)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hook out, whatever happened.

        Raises:
            ModelError: a module did not run.
        """
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        silent = [path for path, seen in self.features.items() if not seen]
        if silent and error is None:
            raise ModelError(f"module {silent[0]!r} of the {self._role} did not run in this pass; tap another")

    def _keep(self, path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if not isinstance(output, Tensor):
                kind = type(output).__name__
                raise ModelError(
                    f"module {path!r} of the {self._role} gives a {kind}, expected a tensor; tap a part of it"
                )
            self.features[path].append(output)

        return hook
