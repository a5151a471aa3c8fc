import sys

import pytest


@pytest.mark.skipif(sys.version_info >= (3, 10), reason="this Python has the workstation's side")
@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "recipe.toml"],
        ["quantize", "MODEL", "--calib", "pictures"],
        ["export", "MODEL", "--fp32"],
        ["val", "BUNDLE", "--images", "IMAGES", "--annotations", "LABELS"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_old_pythons_are_told_where_to_go(edgekit, float_bundle, tiny_model, pictures, arguments):
    names = {"MODEL": tiny_model, "BUNDLE": float_bundle, "IMAGES": pictures[0], "LABELS": pictures[1]}
    done = edgekit(*[names.get(argument, argument) for argument in arguments])
    assert done.status == 2
    assert "Python 3.10 or later" in done.err and "workstation" in done.err and done.err.count("\n") == 1


def test_a_missing_library_comes_with_the_line_that_brings_it(edgekit, tiny_model, tmp_path):
    """An onnx that cannot be imported stands for one that is not there."""
    if sys.version_info < (3, 10):
        pytest.skip("the interpreter itself is too old, and says so")
    import os
    import subprocess

    from tests.cli.conftest import ROOT

    code = (
        "import sys; sys.modules['onnx'] = None; sys.argv = ['edgekit', 'export', {!r}, '--fp32', '-o', 'x.ekb'];"
        "from edgekit.cli import main; main()"
    ).format(tiny_model)
    done = subprocess.Popen(
        [sys.executable, "-c", code], cwd=str(tmp_path), stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT)
    )
    err = done.communicate()[1].decode()
    assert done.returncode == 2
    assert err.startswith("error: cannot export here: ") and "pip install 'edgekit[export]'" in err
