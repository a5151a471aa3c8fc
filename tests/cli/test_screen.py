import json
import math

import numpy as np
import pytest

from edgekit.cli import screen


def test_json_is_one_line_of_plain_values(capsys):
    value = {"AP": float("nan"), "worst": math.inf, "p50": np.float32(1.5), "ids": np.arange(3), "shape": (1, 3)}
    screen.show(value, lambda: pytest.fail("drew a table"), as_json=True)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"AP": None, "worst": None, "p50": 1.5, "ids": [0, 1, 2], "shape": [1, 3]}


def test_brackets_in_a_name_are_not_markup(capsys):
    screen.show({}, lambda: screen.facts([("class", "[bold]car[/bold]")]), as_json=False)
    assert "[bold]car[/bold]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (34100, "34.1 kB"), (999999, "1.00 MB"), (3.66e6, "3.66 MB"),
     (2.5e9, "2.50 GB"), (3e12, "3000 GB")],
)  # fmt: skip
def test_sizes_read_well(count, text):
    assert screen.size(count) == text


def test_progress_off_a_terminal_is_plain_lines(capsys):
    with screen.progress("calibrate") as step:
        for done in range(1, 101):
            step(done, 100, "images")
        step(1, 1, "weights")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["images: 1/100", "images: 100/100", "weights: 1/1"]


def test_progress_of_long_work_speaks_now_and_then(capsys):
    now = [0.0]
    lines = screen.Lines("train", clock=lambda: now[0])
    for done in range(1, 32):
        lines(done, 1000, "epoch 1")
        now[0] += 1.0
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == [
        "1/1000", "11/1000", "21/1000", "31/1000",
    ]  # fmt: skip
