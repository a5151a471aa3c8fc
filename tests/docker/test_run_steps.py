"""The Python steps of Dockerfile.jetson, executed under the Python of each JetPack."""

import subprocess

import pytest

from tests.docker import run_steps
from tests.docker.dockerfile import JETPACKS, Instruction


@pytest.mark.slow
@pytest.mark.parametrize("jetpack", JETPACKS)
def test_the_steps_of_a_jetpack(jetpack):
    version = run_steps.STAND_INS[jetpack][0]
    if run_steps.find_python(version) is None:
        pytest.skip(f"Python {version} is not on this machine")
    said = []

    try:
        run_steps.run_steps(jetpack, said.append)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the stand-ins cannot be had: {error}")

    text = "\n".join(said)
    assert "no native library in this version" in text or "100%" in text
    assert f'"python": "{version}.' in text
    assert '"tensorrt"' in text


def image(tmp_path):
    return run_steps.Image(tmp_path / "root", {"PATH": "/usr/bin:/bin"}, "/opt/build")


@pytest.fixture
def builder(tmp_path):
    return run_steps.Builder(4, tmp_path, lambda text: None)


def test_a_failing_step_ends_the_build_and_names_its_line(builder, tmp_path):
    target = image(tmp_path)
    target.path("").mkdir(parents=True)

    with pytest.raises(run_steps.StepError, match=r"(?s)Dockerfile.jetson:12 failed:.*no such thing"):
        builder.step(Instruction("RUN", "echo no such thing && false", 12), target)


def test_steps_of_the_system_are_not_executed(builder, tmp_path):
    target = image(tmp_path)

    builder.step(Instruction("RUN", "apt-get update && touch here", 1), target)

    assert not target.path("here").exists()


def test_paths_of_the_image_stay_below_its_root(builder, tmp_path):
    target = image(tmp_path)

    builder.step(Instruction("ENV", "EDGEKIT_HOME=/opt/edgekit LD_PRELOAD=/usr/lib/a.so", 1), target)
    builder.step(Instruction("ENV", "PATH=$EDGEKIT_HOME/bin:$PATH", 2), target)
    builder.step(Instruction("WORKDIR", "/opt/build", 3), target)

    assert target.env["PATH"] == f"{tmp_path}/root/opt/edgekit/bin:/usr/bin:/bin"
    assert "LD_PRELOAD" not in target.env
    assert (tmp_path / "root/opt/build").is_dir()


def test_the_context_is_what_dockerignore_lets_through(builder):
    context = builder.context()

    assert (context / "edgekit" / "__init__.py").exists()
    assert not (context / "tests").exists()
    assert not list(context.rglob("__pycache__"))
