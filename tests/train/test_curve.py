import json
from pathlib import Path

import cv2
import pytest

from edgekit.errors import DataError
from edgekit.train.curve import plot_curve


def test_draws_a_picture(tmp_path: Path) -> None:
    rows = [{"epoch": k, "loss": 9.0 / k, "box": 3.0 / k, "obj": 5.0 / k, "cls": 1.0 / k} for k in (1, 2, 3, 4)]
    for row in rows[1::2]:
        row |= {"AP": 0.1, "AP50": 0.3, "AP_small": 0.05}
    (tmp_path / "metrics.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    plot_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png", "toy")
    image = cv2.imread(str(tmp_path / "curve.png"))
    assert image.shape[1] > image.shape[0] > 300
    assert image.std() > 5


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read .*give the metrics.jsonl of a run"):
        plot_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no epoch"):
        plot_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png")
