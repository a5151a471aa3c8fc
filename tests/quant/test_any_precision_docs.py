"""The page about networks of many precisions: its training code runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "any_precision.md"


def test_the_code_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    compile(blocks[0], str(PAGE), "exec")  # needs a bundle; the detector's tests switch precisions
    names: dict[str, object] = {}
    exec(compile(blocks[1], str(PAGE), "exec"), names)
    assert "four" in names
