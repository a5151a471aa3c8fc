import sys

import pytest

from edgekit.runtime import doctor
from tests import sysfs


@pytest.fixture
def bare(monkeypatch):
    """No TensorRT to be found, whatever this environment has."""
    monkeypatch.setattr(doctor, "find_tensorrt", lambda root: None)


@pytest.fixture
def with_tensorrt(monkeypatch):
    """A TensorRT that would run, of a given version."""

    def install(version, origin="system"):
        found = doctor.FoundTensorRT("tensorrt", version, "/usr/lib/python3.10/dist-packages/tensorrt", origin)
        monkeypatch.setattr(doctor, "find_tensorrt", lambda root: found)
        monkeypatch.setattr(doctor, "gpu_obstacle", lambda: None)
        libraries = dict(doctor.library_versions(), cuda="12.6")
        monkeypatch.setattr(doctor, "library_versions", lambda: libraries)
        monkeypatch.setattr(doctor.platform, "python_version_tuple", lambda: ("3", "10", "12"))

    return install


def _problems(value):
    return " | ".join(item["problem"] for item in value["advice"])


@pytest.mark.parametrize("board", sorted(sysfs.BOARDS))
def test_a_jetson_is_told_whole(tmp_path, bare, board):
    value = doctor.examine(sysfs.make_tree(str(tmp_path), board))
    assert value["profile"]["name"] == value["jetson"]["profile"]
    assert value["power_mode"]["agrees"] is True
    assert value["gpu"]["now_mhz"] > 0
    assert value["memory"]["total_mib"] == sysfs.BOARDS[board].memory_mib
    assert value["tensorrt"]["expected"] and value["tensorrt"]["lowerings"]


@pytest.mark.parametrize(
    ("board", "version", "lowerings", "why"),
    [
        ("jetson-nano", "8.2.1", ["fp16"], "Jetson Nano 4GB has no INT8"),
        ("xavier-nx", "8.5.2", ["trt8", "fp16"], "TensorRT 8 makes the layers without Q/DQ FP16"),
        ("orin-nx-l4t35", "8.5.2", ["trt8", "fp16"], "TensorRT 8 makes"),
        ("orin-nx", "10.3.0", ["trt10", "trt8", "fp16"], "TensorRT 10 and later read the types"),
    ],
)
def test_what_will_run_and_why(tmp_path, with_tensorrt, board, version, lowerings, why):
    with_tensorrt(version)
    value = doctor.examine(sysfs.make_tree(str(tmp_path), board))
    assert value["runs"]["backend"] == "tensorrt " + version
    assert value["runs"]["lowerings"] == lowerings
    assert why in value["runs"]["why"]
    assert value["runs_on_processor"]["backend"] == "onnxruntime"
    assert value["libraries"]["tensorrt"] == version


def test_a_board_in_order_needs_no_advice_but_opencv(tmp_path, with_tensorrt):
    with_tensorrt("10.3.0")
    value = doctor.examine(sysfs.make_tree(str(tmp_path), "orin-nx", mode="40W"))
    assert all("GStreamer" in item["problem"] for item in value["advice"])


def test_a_mode_that_waits_for_a_reboot_is_advice(tmp_path, with_tensorrt):
    with_tensorrt("10.3.0")
    value = doctor.examine(sysfs.make_tree(str(tmp_path), "orin-nx", mode="25W", says="40W"))
    cures = {item["problem"][:30]: item["cure"] for item in value["advice"]}
    assert cures["nvpmodel says 40W, but the GPU"] == "sudo reboot"
    assert "power mode 25W holds the GPU to 408 MHz and 8 multiprocessors, 35% of what MAXN_SUPER gives" in _problems(
        value
    )
    assert any(cure.startswith("sudo nvpmodel -m 0") for cure in cures.values())


def test_a_small_board_is_told_of_swap_and_desktop(tmp_path, bare):
    root = sysfs.make_tree(str(tmp_path), "orin-nano", swap=[("/dev/zram0", 2000000)])
    sysfs.write(root, "/proc/812/comm", "gnome-shell")
    value = doctor.examine(root)
    assert "no swap but zram: the kernel may kill the build" in _problems(value)
    assert "a desktop runs (gnome-shell)" in _problems(value)
    roomy = doctor.examine(sysfs.make_tree(str(tmp_path / "roomy"), "orin-nano", swap=[("/swapfile", 4194300)]))
    assert "swap" not in _problems(roomy)


def test_a_large_board_is_not(tmp_path, bare):
    root = sysfs.make_tree(str(tmp_path), "orin-nx")
    sysfs.write(root, "/proc/812/comm", "gnome-shell")
    assert "desktop" not in _problems(doctor.examine(root)) and "swap" not in _problems(doctor.examine(root))


@pytest.mark.parametrize(
    ("board", "cure"),
    [
        ("jetson-nano", "pip install 'pycuda<=2022.1'"),
        ("xavier-nx", "pip install pycuda"),
        ("orin-nx", "pip install 'cuda-python<13'"),
    ],
)
def test_a_missing_binding_comes_with_the_one_that_fits(tmp_path, with_tensorrt, monkeypatch, board, cure):
    with_tensorrt({"jetson-nano": "8.2.1", "xavier-nx": "8.5.2", "orin-nx": "10.3.0"}[board])
    libraries = dict(doctor.library_versions(), cuda=None, pycuda=None)
    monkeypatch.setattr(doctor, "library_versions", lambda: libraries)
    value = doctor.examine(sysfs.make_tree(str(tmp_path), board))
    assert cure in [item["cure"] for item in value["advice"]]


def test_a_board_without_its_driver(tmp_path, with_tensorrt, monkeypatch):
    with_tensorrt("10.3.0")
    monkeypatch.setattr(doctor, "gpu_obstacle", lambda: "there is no NVIDIA driver (libcuda.so.1 is not found)")
    value = doctor.examine(sysfs.make_tree(str(tmp_path), "orin-nx"))
    assert "TensorRT cannot run: there is no NVIDIA driver" in _problems(value)
    assert value["runs"]["backend"] == "onnxruntime"


def test_a_container_that_hides_the_board(tmp_path, bare):
    root = str(tmp_path)
    sysfs.write(root, "/sys/class/devfreq/17000000.gpu/cur_freq", 306000000)
    value = doctor.examine(root)
    assert "a Jetson whose name the container hides" in _problems(value)


def test_a_jetson_without_a_profile(tmp_path, bare):
    root = sysfs.make_tree(str(tmp_path), "orin-nx")
    sysfs.write(root, "/proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    sysfs.write(root, "/proc/device-tree/compatible", "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0")
    value = doctor.examine(root)
    assert (value["jetson"]["module"], value["profile"]) == ("p3701-0005", None)
    assert "no device profile fits NVIDIA Jetson AGX Orin Developer Kit" in _problems(value)
    assert "container hides" not in _problems(value)


def test_a_card_without_tensorrt(tmp_path, bare):
    sysfs.write(str(tmp_path), "/proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t NVIDIA GeForce RTX 4060")
    value = doctor.examine(str(tmp_path))
    assert value["power_mode"] is None and value["gpu"] is None
    assert "there is an NVIDIA GPU, but" in _problems(value)


def test_nothing_installed_is_the_first_advice(tmp_path, bare, monkeypatch):
    monkeypatch.setattr(doctor, "library_versions", lambda: {name: None for name, _ in doctor.LIBRARIES})
    value = doctor.examine(str(tmp_path))
    assert value["advice"][0]["cure"] == "pip install 'edgekit[ort]'"


def test_this_machine_is_examined_without_importing_a_library():
    before = set(sys.modules)
    assert doctor.examine()["machine"]["cores"] >= 1
    assert not {"tensorrt", "tensorrt_rtx", "onnxruntime", "pycuda"} & (set(sys.modules) - before)
