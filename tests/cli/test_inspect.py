def test_inspect_prints_one_json_object(edgekit, float_bundle):
    done = edgekit("inspect", float_bundle, "--json")
    assert done.status == 0, done.err
    value = done.json
    assert value["classes"] == ["cold", "warm"]
    assert [lowering["name"] for lowering in value["lowerings"]] == ["fp32"]
    assert len(value["sha256"]) == 64 and value["totals"]["parameters"] == 0


def test_inspect_draws(edgekit, float_bundle):
    done = edgekit("inspect", float_bundle, "--layers")
    assert done.status == 0, done.err
    assert "yolox, strides 8 16" in done.out and "letterbox topleft" in done.out
    assert "nobody looked whether it holds this network" in done.out


def test_a_missing_bundle_says_how_to_make_one(edgekit, tmp_path):
    done = edgekit("inspect", tmp_path / "absent.ekb")
    assert done.status == 2 and "edgekit export" in done.err
    assert not done.out


def test_a_closed_pipe_is_quiet(float_bundle):
    import subprocess
    import sys

    from tests.cli.conftest import ROOT

    command = "{} -m edgekit inspect {} --json | true".format(sys.executable, float_bundle)
    done = subprocess.Popen(command, shell=True, cwd=ROOT, stderr=subprocess.PIPE)
    assert done.communicate()[1] == b""
