import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import delta  # noqa: E402

from tests.delta.twins import small_tensors, write_small  # noqa: E402


def test_a_pair_is_measured_and_applied(tmp_path):
    old, new = (Path(write_small(tmp_path / name, step)) for step, name in enumerate(("old.ekb", "new.ekb")))
    row = delta.measured("small", old, new, tmp_path)
    assert row["bytes"]["whole"] == new.stat().st_size > row["bytes"]["update"] > 0
    assert 0.01 < row["changed_codes"] < 0.1
    assert len(row["apply"]["seconds"]) == delta.ROUNDS
    assert row["apply"]["peak_mib"] >= row["apply"]["of_which_imports_mib"] > 10


def test_bundles_with_other_tensors_have_no_share_of_changed_codes(tmp_path):
    old, new = (
        Path(write_small(tmp_path / "old.ekb")),
        Path(write_small(tmp_path / "new.ekb", tensors=small_tensors()[:2])),
    )
    assert delta.changed_codes(old, new) is None
