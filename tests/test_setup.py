import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILES = (
    "setup.py",
    "MANIFEST.in",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "edgekit/__init__.py",
    "edgekit/profiles.py",
)
PROFILES = sorted(name for name in os.listdir(os.path.join(ROOT, "engines", "profiles")) if name.endswith(".toml"))


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A function that builds a distribution of a small copy of the checkout, and gives its path."""
    setuptools = pytest.importorskip("setuptools", reason="the wheel is built by setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("setuptools {} cannot read our pyproject.toml, it takes 77".format(setuptools.__version__))

    def run(kind, source=None, plat_name=None):
        folder = tmp_path_factory.mktemp(kind)
        if source is None:
            source = _checkout(str(folder / "checkout"))
        asked = ["--plat-name", plat_name] if plat_name else []
        code = "import setuptools.build_meta as b; b.build_{}({!r}, {!r})".format(
            kind, str(folder), {"--build-option": asked}
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")
        built = [name for name in os.listdir(str(folder)) if name.endswith((".whl", ".tar.gz"))]
        assert len(built) == 1
        return str(folder / built[0])

    return run


def _checkout(folder):
    """A small copy of the checkout at `folder`, which is given back."""
    shutil.copytree(os.path.join(ROOT, "engines", "profiles"), os.path.join(folder, "engines", "profiles"))
    os.mkdir(os.path.join(folder, "edgekit"))
    for name in FILES:
        shutil.copy(os.path.join(ROOT, name), os.path.join(folder, name))
    return folder


def _carried(wheel, folder="_profiles"):
    with zipfile.ZipFile(wheel) as archive:
        return sorted(name for name in archive.namelist() if name.startswith("edgekit/{}/".format(folder)))


def test_the_wheel_carries_every_profile(build):
    assert PROFILES
    assert _carried(build("wheel")) == ["edgekit/_profiles/" + name for name in PROFILES]


def test_so_does_the_wheel_of_the_source_archive(build, tmp_path):
    with tarfile.open(build("sdist")) as archive:
        archive.extractall(str(tmp_path), filter="data")
    (unpacked,) = os.listdir(str(tmp_path))
    assert len(_carried(build("wheel", str(tmp_path / unpacked)))) == len(PROFILES)


def test_an_editable_installation_reads_them_where_they_are(build):
    assert _carried(build("editable")) == []


def test_a_checkout_without_them_builds_nothing(build, tmp_path):
    os.mkdir(str(tmp_path / "edgekit"))
    for name in FILES:
        shutil.copy(os.path.join(ROOT, name), str(tmp_path / name))
    with pytest.raises(AssertionError, match="holds no profiles; build from a whole checkout"):
        build("wheel", str(tmp_path))


def test_without_the_native_library_the_wheel_is_for_any_machine(build):
    wheel = build("wheel")
    assert wheel.endswith("-py3-none-any.whl")
    assert _carried(wheel, "_native") == []


def test_with_it_the_wheel_is_for_any_python_of_this_platform(build, tmp_path):
    source = _checkout(str(tmp_path / "checkout"))
    os.makedirs(os.path.join(source, "build", "native"))
    with open(os.path.join(source, "build", "native", "libedgekit.so"), "wb") as stream:
        stream.write(b"a library")
    wheel = build("wheel", source)
    assert "-py3-none-linux_" in wheel
    assert _carried(wheel, "_native") == ["edgekit/_native/libedgekit.so"]
    assert len(_carried(wheel)) == len(PROFILES)
    with zipfile.ZipFile(wheel) as archive:
        assert "edgekit/__init__.py" in archive.namelist()
        assert "Root-Is-Purelib: false" in archive.read("edgekit-0.1.0.dist-info/WHEEL").decode()


def test_a_library_for_another_platform(build, tmp_path, monkeypatch):
    library = tmp_path / "libedgekit.so"
    library.write_bytes(b"for a Jetson")
    monkeypatch.setenv("EDGEKIT_WHEEL_LIBRARY", str(library))
    wheel = build("wheel", plat_name="manylinux_2_28_aarch64")
    assert wheel.endswith("-py3-none-manylinux_2_28_aarch64.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("edgekit/_native/libedgekit.so") == b"for a Jetson"


def _newest_glibc(data, tmp_path, most):
    path = tmp_path / "some.so"
    path.write_bytes(data)
    script = os.path.join(ROOT, "native", "newest_glibc.py")
    command = [sys.executable, script, str(path), most]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def test_the_newest_symbol_of_the_c_library(tmp_path):
    names = b"\x7fELF\0libc.so.6\0GLIBC_2.2.5\0GLIBC_2.17\0memcpy\0GLIBC_2.4\0"
    done = _newest_glibc(names, tmp_path, "2.28")
    assert done.returncode == 0 and b"newest glibc symbol 2.17" in done.stdout
    done = _newest_glibc(names + b"GLIBC_2.34\0", tmp_path, "2.28")
    assert done.returncode == 1 and b"asks for glibc 2.34, at most 2.28 was wanted" in done.stdout
    assert b"symbol none" in _newest_glibc(b"\x7fELF", tmp_path, "2.28").stdout
