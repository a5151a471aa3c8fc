import logging
import os
import shutil
import subprocess
import sys

import pytest

from edgekit.errors import BackendError
from edgekit.ops import library as module
from edgekit.ops.library import ABI, NO_MEMORY, OK, library, native, open_library, refuse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEADER = os.path.join(ROOT, "native", "include", "edgekit.h")


@pytest.fixture
def places(monkeypatch):
    """A function that names the only places where the library is looked for; forgotten again after the test."""
    monkeypatch.delenv("EDGEKIT_NATIVE", raising=False)
    monkeypatch.delenv("EDGEKIT_KERNELS", raising=False)
    module._found.cache_clear()
    yield lambda *paths: monkeypatch.setattr(module, "PLACES", paths)
    module._found.cache_clear()


def _compiled(folder, source):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    text, path = folder / "other.c", folder / "libother.so"
    text.write_text(source)
    subprocess.check_call([compiler, "-shared", "-fPIC", "-o", str(path), str(text)])
    return str(path)


def test_the_version_is_that_of_the_header():
    with open(HEADER, encoding="utf-8") as stream:
        assert "#define EDGEKIT_ABI {}\n".format(ABI) in stream.read()


def test_finds_it_and_says_which(opened):
    found = native()
    assert os.path.samefile(found.path, os.environ.get("EDGEKIT_NATIVE") or found.path)
    assert found.kernels in ("reference", "avx2", "avx512", "amx", "neon")
    assert library() is library()


def test_off_is_off(monkeypatch):
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    assert library() is None
    assert native() == (None, None, "EDGEKIT_NATIVE=off")


def test_a_path_that_is_asked_for_must_work(monkeypatch, tmp_path):
    path = str(tmp_path / "none.so")
    monkeypatch.setenv("EDGEKIT_NATIVE", path)
    with pytest.raises(BackendError, match="cannot use .*none.so: .*make native"):
        library()
    assert "none.so" in native().problem


def test_refuses_what_is_no_library(tmp_path):
    path = tmp_path / "text.so"
    path.write_text("not a library")
    with pytest.raises(BackendError, match="cannot use .*text.so"):
        open_library(str(path))


def test_refuses_a_library_of_another_kind(tmp_path):
    with pytest.raises(BackendError, match="cannot use .*libother.so.*edgekit_abi"):
        open_library(_compiled(tmp_path, "int another(void) { return 1; }\n"))


def test_refuses_another_version(tmp_path):
    path = _compiled(tmp_path, "int edgekit_abi(void) { return 99; }\n")
    with pytest.raises(BackendError, match="speaks version 99 of the native interface, this edgekit {}".format(ABI)):
        open_library(path)


def test_one_that_does_not_fit_is_passed_over_with_a_warning(places, tmp_path, caplog):
    places(_compiled(tmp_path, "int edgekit_abi(void) { return 98; }\n"))
    with caplog.at_level(logging.WARNING):
        assert library() is None
    assert "speaks version 98" in caplog.text
    assert "speaks version 98" in native().problem


def test_without_one_it_says_how_to_build_it(places, tmp_path):
    places(str(tmp_path / "nothing.so"))
    assert native() == (None, None, "not built; in a checkout: make native")


@pytest.mark.parametrize(("asked", "problem"), [("reference", "None"), ("avx9", "EDGEKIT_KERNELS=avx9 does not run")])
def test_kernels_are_chosen_by_the_environment(opened, asked, problem):
    code = "from edgekit.ops.library import native; print(native().kernels, native().problem)"
    environment = dict(os.environ, EDGEKIT_KERNELS=asked)
    told = subprocess.check_output([sys.executable, "-c", code], env=environment, cwd=ROOT).decode()
    assert problem in told
    assert (told.split()[0] == asked) == (problem == "None")


def test_codes_become_errors(opened):
    refuse(opened, OK)
    with pytest.raises(MemoryError, match="no memory"):
        refuse(opened, NO_MEMORY)
    with pytest.raises(ValueError, match="refuses: a size is negative"):
        refuse(opened, -2)
