import pytest

from edgekit.runtime import doctor
from edgekit.runtime.failures import FAILURES, explain

LOG = """[I] Building engine
[E] 4: [standardEngineBuilder.cpp] Could not find any implementation for node {ForeignNode[conv_12]}.
[E] again: Could not find any implementation for node conv_13
kernel: Out of memory: Killed process 1234 (python3)
"""


def test_doctor_names_machine_libraries_and_lowerings(edgekit):
    value = edgekit("doctor", "--json").json
    assert value["machine"]["cores"] >= 1 and value["machine"]["memory_mib"] > 0
    assert value["libraries"]["numpy"]
    assert value["runs"]["lowerings"][-1] == "fp32"
    assert value["cache"]["writable"] is True
    assert {row["extra"] for row in value["extras"]} == {"ort", "export", "train"}


def test_doctor_draws(edgekit):
    done = edgekit("doctor")
    assert done.status == 0 and "What it can run" in done.out and not done.err


def test_a_missing_extra_comes_with_the_line_that_brings_it():
    libraries = {name: "1.0" for name, _ in doctor.LIBRARIES}
    libraries["torch"] = None
    rows = {row["extra"]: row for row in doctor.missing_extras(libraries)}
    assert rows["train"]["missing"] == ["torch"]
    assert rows["train"]["install"] == "pip install 'edgekit[train]'"
    assert rows["ort"]["install"] is None


def test_without_an_inference_library_nothing_runs():
    libraries = {name: None for name, _ in doctor.LIBRARIES}
    assert doctor.what_runs(libraries)["backend"] is None


def test_the_release_of_a_jetson_is_read(tmp_path):
    path = tmp_path / "nv_tegra_release"
    path.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n")
    assert doctor.l4t_release(str(path)) == "36.4.3"
    assert doctor.l4t_release(str(tmp_path / "absent")) is None


def test_explain_names_each_failure_once(tmp_path):
    log = tmp_path / "build.log"
    log.write_text(LOG)
    found = explain(str(log))
    assert [item.line for item in found] == [2, 4]
    assert "workspace" in found[0].failure.cure and "memory" in found[1].failure.cause


def test_explain_on_the_command_line(edgekit, tmp_path):
    log = tmp_path / "build.log"
    log.write_text(LOG)
    value = edgekit("doctor", "--explain", log, "--json").json
    assert [item["line"] for item in value["failures"]] == [2, 4]
    log.write_text("all is well\n")
    assert "no line" in edgekit("doctor", "--explain", log).out


def test_a_missing_log_is_a_users_mistake(edgekit, tmp_path):
    done = edgekit("doctor", "--explain", tmp_path / "absent.log")
    assert done.status == 2
    assert done.err.startswith("error: cannot read the log") and done.err.count("\n") == 1


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.signs[0])
def test_signs_are_lower_case_so_that_they_can_match(failure):
    assert all(sign == sign.lower() for sign in failure.signs)
