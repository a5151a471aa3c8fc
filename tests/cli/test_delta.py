import shutil

import pytest

from tests.delta.twins import read_bytes, write_small


@pytest.fixture(scope="module")
def step(tmp_path_factory):
    """Old and new bundle, in a folder of their own."""
    folder = tmp_path_factory.mktemp("step")
    return write_small(str(folder / "old.ekb")), write_small(str(folder / "new.ekb"), step=1)


def test_delta_inspect_apply(edgekit, step, tmp_path):
    update, base = tmp_path / "u.ekd", tmp_path / "base.ekb"
    shutil.copy(step[0], str(base))
    done = edgekit("delta", step[0], step[1], "-o", update, "--json")
    assert done.status == 0, done.err
    assert done.json["bytes"] == update.stat().st_size and done.out.count("\n") == 1
    looked = edgekit("inspect", update, "--json")
    assert looked.status == 0 and looked.json == done.json
    applied = edgekit("apply", base, update, "--json")
    assert applied.status == 0, applied.err
    assert applied.json["sha256"] == done.json["target"]["identity"] and not applied.json["already"]
    assert read_bytes(str(base)) == read_bytes(step[1])


def test_what_they_draw(edgekit, step, tmp_path):
    update, made = tmp_path / "u.ekd", tmp_path / "made.ekb"
    drawn = edgekit("delta", step[0], step[1], "-o", update).out
    assert "times smaller than the new bundle" in drawn and "edgekit apply" in drawn
    looked = edgekit("inspect", update, "--layers").out
    assert "codes (scale)" in looked and "Changed tensors and scales: 5" in looked
    assert "every piece and the whole file have the right hash" in edgekit("apply", step[0], update, "-o", made).out
    assert "nothing: the update had been applied before" in edgekit("apply", made, update).out


def test_mistakes_are_one_line(edgekit, step, tmp_path):
    update = tmp_path / "u.ekd"
    assert edgekit("delta", step[0], step[1], "-o", update).status == 0
    other = write_small(str(tmp_path / "other.ekb"), step=3)
    cut = tmp_path / "cut.ekd"
    cut.write_bytes(update.read_bytes()[:300])
    for arguments, told in (
        (("apply", other, update), "is for the bundle with identity"),
        (("apply", step[0], cut), "is not a whole .ekd update"),
        (("inspect", cut), "is not a whole .ekd update"),
        (("apply", step[0], tmp_path / "absent.ekd"), "edgekit delta OLD NEW"),
        (("delta", step[0], step[0], "-o", cut), "are the same bundle"),
    ):
        done = edgekit(*arguments)
        assert done.status == 2
        assert told in done.err and done.err.count("error:") == 1 and "Traceback" not in done.err
    assert read_bytes(step[0]) != read_bytes(step[1])
