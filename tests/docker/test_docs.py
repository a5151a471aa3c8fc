"""docs/jetson.md against the Dockerfile, the command line and the package that it talks about."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.docker.dockerfile import CHECKOUT, JETPACKS, environment, lineage
from tests.docker.test_dockerfile import STAGES, all_requirements, forbidden, pip_words, requirements

PAGE = (CHECKOUT / "docs" / "jetson.md").read_text()


def commands(page):
    """Every command of the page's bash blocks: continued lines joined, comments dropped, $pins filled in."""
    blocks = "".join(re.findall(r"```bash\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    pins = re.search(r'^pins="(.*)"$', blocks, re.MULTILINE)
    blocks = blocks.replace("$pins", pins.group(1) if pins else "")
    return [" ".join(line.split("  #")[0].split()) for line in blocks.splitlines() if line.strip()]


COMMANDS = commands(PAGE)


def starting(word):
    found = [command for command in COMMANDS if word in command]
    assert found, f"the page has no {word}"
    return found


def verbs():
    """What follows the program's or the image's name in the commands of the page."""
    ours = [command.split()[1] for command in COMMANDS if command.startswith("edgekit ")]
    return ours + [re.search(r"edgekit:jp\d (\w+)", command).group(1) for command in starting("docker run")]


def test_there_is_a_build_line_for_every_jetpack():
    built = [re.search(r"JETPACK=(\d) -t edgekit:jp(\d)", command).groups() for command in starting("docker build ")]

    assert built == [(str(number), str(number)) for number in JETPACKS]


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_the_table_says_what_the_dockerfile_does(jetpack):
    env = environment(lineage(STAGES, "device", jetpack))
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {jetpack}."))
    image = STAGES[f"base-jp{jetpack}"].base.removeprefix("${BASE_IMAGE:-").removesuffix("}")

    assert f", {env['PYTHON']} |" in row
    assert image.removeprefix("nvcr.io/nvidia/") in row
    cuda, tensorrt = re.search(r"\| (\d+\.\d), ([\d.]+) \| (?:`l4t|`ubuntu)", row).groups()
    assert env["TENSORRT"].startswith(tensorrt)
    assert env["CUDA_TOOLKIT"] == "cuda-toolkit-" + cuda.replace(".", "-")


def test_every_run_line_has_the_gpu_and_keeps_engines():
    for command in starting("docker run"):
        assert "--runtime nvidia" in command
        assert "-v edgekit-cache:/var/cache/edgekit" in command
        assert "--privileged" not in command
    assert STAGES["device"].of("VOLUME")[0].text == '["/var/cache/edgekit"]'


def test_the_verbs_exist():
    done = subprocess.run([sys.executable, "-m", "edgekit", "--help"], stdout=subprocess.PIPE, text=True, check=True)
    known = re.findall(r"^\W*(\w+)\s", done.stdout, re.MULTILINE)
    if "build" not in known:
        pytest.skip("this version builds no engines")

    assert set(verbs()) <= set(known)
    assert {"doctor", "build", "run", "bench"} <= set(verbs())


def test_the_board_gets_from_pip_what_the_image_gets():
    here = [one for command in COMMANDS for words in pip_words(command) for one in requirements(words)]

    assert {str(one) for one in here} == {str(one) for one in all_requirements()}
    assert forbidden(one.name for one in here) == []


def test_edgekit_itself_goes_without_its_dependencies():
    installs = [shlex.split(command) for command in starting("edgekit-0.1.0")]

    assert all("--no-deps" in words for words in installs)
    assert 'version = "0.1.0"' in (CHECKOUT / "pyproject.toml").read_text()


def test_extras_and_links_lead_somewhere():
    extras = re.findall(r"edgekit\[(\w+)\]", PAGE)
    project = (CHECKOUT / "pyproject.toml").read_text()
    assert all(f"{extra} = [" in project for extra in extras)
    for link in re.findall(r"\]\(([\w.]+\.md)", PAGE):
        assert (CHECKOUT / "docs" / link).exists(), link
    for script in re.findall(r"tests/docker/\w+\.\w+", PAGE):
        assert (CHECKOUT / script).exists(), script


def test_a_command_ends_where_its_comment_begins():
    assert commands("```bash\na b \\\n  c   # why\n\nd\n```") == ["a b c", "d"]
