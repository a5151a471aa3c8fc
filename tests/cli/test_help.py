import os
import subprocess
import sys

import pytest

from edgekit.cli import VERBS
from tests.cli.conftest import ROOT

HEAVY = ("torch", "onnx", "onnx_ir", "onnxruntime", "tensorrt", "cv2", "matplotlib", "scipy", "lightning_fabric")


def _help(*verb):
    code = (
        "import sys; sys.modules.update(dict.fromkeys({!r})); sys.argv = ['edgekit'] + {!r} + ['--help'];"
        "from edgekit.cli import main; main()"
    ).format(HEAVY, list(verb))
    environment = dict(os.environ, COLUMNS="110")
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("verb", [()] + [(name,) for name, _, _ in VERBS], ids=lambda verb: " ".join(verb) or "root")
def test_help_needs_no_heavy_library(verb):
    running = _help(*verb)
    out, err = running.communicate()
    assert running.returncode == 0, err.decode()
    assert len(out) > 200


def test_verbs_stand_in_the_order_of_use():
    out = _help().communicate()[0].decode()
    known = {name for name, _, _ in VERBS}
    firsts = [line.strip(" │").split(" ")[0] for line in out.splitlines() if line.startswith("│")]
    assert [word for word in firsts if word in known] == [name for name, _, _ in VERBS]


def test_an_unknown_verb_is_a_usage_error(edgekit):
    done = edgekit("inspec")
    assert done.status == 2
    assert "inspec" in done.err and not done.out


def test_the_version(edgekit):
    import edgekit as package

    assert edgekit("--version").out.strip() == package.__version__
