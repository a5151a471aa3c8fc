import io
from importlib import import_module

from rich.console import Console

from edgekit.runtime import doctor
from tests import sysfs

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


def test_says_what_does_the_work_of_the_native_library(monkeypatch):
    monkeypatch.setenv("EDGEKIT_NATIVE", "/nowhere/libedgekit.so")
    console = Console(width=200, file=io.StringIO())
    console.print(import_module("edgekit.cli.doctor")._draw(doctor.examine()))
    assert "none, NumPy and OpenCV do its work: cannot use /nowhere/libedgekit.so" in console.file.getvalue()


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


def test_a_jetson_draws_with_what_is_in_the_way(tmp_path, monkeypatch):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", mode="25W", says="40W")
    monkeypatch.setattr(doctor, "find_tensorrt", lambda root: None)
    console = Console(width=200, file=io.StringIO())
    console.print(import_module("edgekit.cli.doctor")._draw(doctor.examine(root)))
    drawn = console.file.getvalue()
    for part in (
        "NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super, p3767-0000",
        "JetPack 6.2 (L4T 36.4.3)",
        "orin-nx: Jetson Orin NX 16GB, sm_87, INT8",
        "nvpmodel says 40W, but the GPU is capped at 408 MHz",
        "GPU 408 MHz of at most 408, 8 multiprocessors",
        "trt10, then trt8, then fp16 (with TensorRT 10.3)",
        "cure: sudo reboot",
    ):
        assert part in drawn


def test_what_a_board_does_not_show_is_said(tmp_path, monkeypatch):
    root = sysfs.make_tree(str(tmp_path), "orin-nx", without=("gpu", "debug", "nvpmodel"))
    monkeypatch.setattr(doctor, "find_tensorrt", lambda root: None)
    console = Console(width=200, file=io.StringIO())
    console.print(import_module("edgekit.cli.doctor")._draw(doctor.examine(root)))
    assert "GPU not shown, memory clock for root only" in console.file.getvalue()
    assert "nvpmodel says nothing; no clock of the GPU is shown" in console.file.getvalue()


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
