from pathlib import Path

import pytest

from edgekit.errors import ConfigError
from edgekit.search.journal import open_journal


def test_an_item_is_made_once(tmp_path: Path) -> None:
    made = []
    for resume in (False, True):
        journal = open_journal(tmp_path, {"a": 1}, resume)
        assert journal.once("x", lambda: made.append(1) or {"value": (1, 2)}) == {"value": [1, 2]}
    assert made == [1] and "x" in journal and "y" not in journal
    assert journal.seconds["x"] >= 0


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, {}, False)
    journal.once("x", lambda: 1)
    journal.once("y", lambda: 23)
    whole = journal.path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        journal.path.write_bytes(whole[:-cut])
        again = open_journal(tmp_path, {}, True)
        assert "x" in again and "y" not in again
        assert again.once("y", lambda: 24) == 24
        assert open_journal(tmp_path, {}, True).once("y", lambda: 25) == 24


def test_damage_that_no_cut_explains(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, {}, False)
    journal.once("x", lambda: 1)
    journal.path.write_bytes(b"{" + journal.path.read_bytes())
    with pytest.raises(ConfigError, match=r"journal.jsonl is damaged at line 1; delete it and search anew"):
        open_journal(tmp_path, {}, True)


def test_a_folder_that_holds_a_search(tmp_path: Path) -> None:
    open_journal(tmp_path, {"budget": 1, "images": 2}, False)
    with pytest.raises(ConfigError, match="holds a search already; go on with --resume"):
        open_journal(tmp_path, {"budget": 1, "images": 2}, False)
    with pytest.raises(ConfigError, match=r"the search of another recipe \(images differ\); choose another `out`"):
        open_journal(tmp_path, {"budget": 1, "images": 3}, True)
