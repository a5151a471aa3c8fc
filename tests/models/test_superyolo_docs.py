"""docs/superyolo.md and docs/costs.md: their programs run, their figures are those that the tests assert."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.models.test_cost import FUSED, GHOST

DOCS = Path(__file__).parents[2] / "docs"


def run(page: str) -> dict[str, Any]:
    """Every name that the page's programs leave, run in one go."""
    names: dict[str, Any] = {}
    exec("".join(re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)), names)
    return names


def test_the_program_of_the_superyolo_page() -> None:
    names = run("superyolo.md")
    assert [tuple(each.shape) for each in names["maps"]] == [(1, 3, 16, 16, 13)]
    assert names["picture"].shape == (1, 4, 128, 128)
    assert names["boxes"].shape == (1, 768, 13)


@pytest.mark.slow
def test_the_programs_of_the_costs_page() -> None:
    names = run("costs.md")
    assert names["found"].parameters == 7_070_485
    assert len(names["distances"].bits(0.1)) == 59


def test_the_figures_of_both_pages() -> None:
    costs, superyolo = (DOCS / "costs.md").read_text(), (DOCS / "superyolo.md").read_text()
    for *_, size, work, true_size, true_work in GHOST:
        assert f"| {size:.3f} / {work:.1f} | {true_size:.3f} / {true_work:.1f} |" in costs
    for parameters, trained, macs in FUSED.values():
        assert f"| {parameters:,} | {trained:,} | {macs / 1e9:.3f} |" in superyolo
