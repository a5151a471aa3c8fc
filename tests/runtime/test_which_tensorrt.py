import sys

import pytest

from edgekit.profiles import read_profile
from edgekit.runtime import which_tensorrt
from edgekit.runtime.which_tensorrt import FoundTensorRT, dla_note, find_tensorrt, system_version, tensorrt_advice
from tests import sysfs

SYSTEM = "/usr/lib/python3.10/dist-packages"


def _module(root, folder, monkeypatch, text, name="tensorrt"):
    """A module that an import would find, below a fake root; nothing else of that name is found."""
    sysfs.write(root, "{}/{}/__init__.py".format(folder, name), text)
    monkeypatch.setattr(sys, "path", [root + folder])
    for library in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.setattr(which_tensorrt, "first_version", lambda distributions: None)


def test_jetpacks_module_is_told_from_pips(tmp_path, monkeypatch):
    root = str(tmp_path)
    _module(root, SYSTEM, monkeypatch, 'raise ImportError("never imported")\n__version__ = "10.3.0"\n')
    assert find_tensorrt(root) == FoundTensorRT("tensorrt", "10.3.0", root + SYSTEM + "/tensorrt", "system")


def test_pips_module_goes_by_its_package_record(tmp_path, monkeypatch):
    root, folder = str(tmp_path), "/home/me/.local/lib/python3.10/site-packages"
    _module(root, folder, monkeypatch, "from tensorrt_bindings import *\n")
    monkeypatch.setattr(which_tensorrt, "first_version", lambda names: "10.7.0" if "tensorrt-cu12" in names else None)
    found = find_tensorrt(root)
    assert (found.version, found.origin, found.generation) == ("10.7.0", "pip", 10)


def test_a_module_that_does_not_say_goes_by_the_systems_library(tmp_path, monkeypatch):
    root = str(tmp_path)
    _module(root, SYSTEM, monkeypatch, "from .tensorrt import *\n")
    assert find_tensorrt(root).version is None and find_tensorrt(root).generation is None
    for version in ("8.5.2", "10.3.0"):
        sysfs.write(root, "/usr/lib/aarch64-linux-gnu/libnvinfer.so." + version, "")
    assert system_version(root) == "10.3.0"
    assert find_tensorrt(root).version == "10.3.0"


def test_tensorrt_rtx_counts_as_the_typed_generation(tmp_path, monkeypatch):
    root = str(tmp_path)
    _module(root, "/venv/site-packages", monkeypatch, '__version__ = "1.7.1.116"\n', name="tensorrt_rtx")
    found = find_tensorrt(root)
    assert (found.library, found.generation) == ("tensorrt_rtx", 11)


def test_none_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for library in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    assert find_tensorrt(str(tmp_path)) is None
    assert system_version(str(tmp_path)) is None


def _advice(name, l4t, python="3.10", version=None, origin="pip", root="/absent"):
    found = None if version is None else FoundTensorRT("tensorrt", version, "/somewhere/tensorrt", origin)
    return tensorrt_advice(found, read_profile(name), l4t, python, root)


@pytest.mark.parametrize(
    ("name", "l4t", "version"), [("orin-nx", "36.4.3", "10.7.0"), ("jetson-nano", "32.7.6", "8.6.1")]
)
def test_the_build_for_arm_servers_is_the_trap(name, l4t, version):
    advice = _advice(name, l4t, version=version)
    assert "pip's build for ARM servers, without kernels for sm_" in advice.problem and version in advice.problem
    assert advice.cure.startswith("pip uninstall tensorrt")


def test_since_10_16_pips_build_has_orin_but_must_be_jetpacks_version():
    assert _advice("orin-nano", "39.1.0", "3.12", version="10.16.2") is None
    advice = _advice("orin-nano", "36.4.3", version="10.16.1")
    assert "is not the 10.3 of JetPack 6.1-6.2.2" in advice.problem
    assert advice.cure.startswith("pip uninstall")


@pytest.mark.parametrize(
    ("name", "l4t", "version"),
    [("orin-nx", "36.4.3", "10.3.0"), ("orin-nx", "36.3.0", "8.6.2"), ("xavier-nx", "35.5.0", "8.5.2.2")],
)
def test_jetpacks_own_is_right(name, l4t, version):
    assert _advice(name, l4t, version=version, origin="system") is None


def test_another_version_of_the_system_is_said():
    advice = _advice("xavier-nx", "35.5.0", version="8.4.1", origin="system")
    assert "is not the 8.5.2 of JetPack 5.1" in advice.problem and "apt-get" in advice.cure


@pytest.mark.parametrize(
    ("name", "l4t", "python", "wanted"),
    [
        ("jetson-nano", "32.7.6", "3.8", "3.6"),
        ("orin-nx", "36.4.3", "3.12", "3.10"),
        ("xavier-nx", "35.5.0", "3.9", "3.8"),
    ],
)
def test_the_wrong_python_is_named(name, l4t, python, wanted):
    advice = _advice(name, l4t, python)
    assert "by Python {} alone, and this is {}".format(wanted, python) in advice.problem
    assert advice.cure.endswith("python" + wanted)


def test_a_virtual_environment_that_does_not_look_at_the_system(tmp_path):
    sysfs.write(str(tmp_path), SYSTEM + "/tensorrt/__init__.py", "")
    advice = _advice("orin-nx", "36.4.3", root=str(tmp_path))
    assert SYSTEM in advice.problem and "--system-site-packages" in advice.cure


def test_nowhere_on_the_board():
    assert _advice("orin-nx", "36.4.3").cure == "sudo apt-get install tensorrt python3-libnvinfer"
    assert _advice("orin-nx", None).problem == "TensorRT is not installed"


@pytest.mark.parametrize(
    ("name", "version", "note"),
    [
        ("jetson-nano", "8.2.1", "none"),
        ("orin-nx", "10.3.0", "2 of NVDLA 2.0, in FP16"),
        ("orin-nx", "10.16.2", "which TensorRT 10.16.2 does not drive (10.7 is the last that does)"),
        ("orin-nx-8gb", None, "1 of NVDLA 2.0; TensorRT 10.7 is the last"),
        ("xavier-nx", "8.5.2", "2 of NVDLA 1.0, in FP16"),
    ],
)
def test_what_the_dla_is_worth(name, version, note):
    assert note in dla_note(read_profile(name), version)
