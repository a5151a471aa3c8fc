"""The page about quantisation in training: its code runs, top to bottom."""

import re
import warnings
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "qat.md"


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    assert names["graph_plan"].weights.keys() and (tmp_path / "student4.onnx").exists()
    assert len(set(names["widths"].values())) > 1
    assert names["losses"]["ost"].isfinite()
