"""The NEON kernels, compiled by a cross compiler and run by an emulator: bit-exact on the same odd shapes."""

import os
import shutil
import subprocess

import pytest

NATIVE = os.path.join(os.path.dirname(__file__), "..", "..", "native")
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
SOURCES = (
    "src/abi.cpp",
    "src/cpu.cpp",
    "src/binary_conv.cpp",
    "src/binary_create.cpp",
    "src/binary_write.cpp",
    "src/binary_tiles.cpp",
    "src/binary_reference.cpp",
    "src/binary_neon.cpp",
    "src/binary_codes.cpp",
    "src/binary_codes_reference.cpp",
    "src/binary_codes_neon.cpp",
)


def run_emulated(test, folder):
    """Exit status and text of a test program of the library, compiled for aarch64."""
    for tool in (COMPILER, EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip("{} is not here; Debian: apt-get install g++-aarch64-linux-gnu qemu-user".format(tool))
    program = str(folder / "program")
    flags = ["-std=c++17", "-O2", "-static", "-ffp-contract=off", "-Iinclude", "-Isrc", "tests/{}.cpp".format(test)]
    subprocess.run([COMPILER] + flags + list(SOURCES) + ["-o", program], cwd=NATIVE, check=True)
    done = subprocess.run([EMULATOR, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode()


@pytest.mark.slow
def test_neon_equals_the_direct_convolution(tmp_path):
    status, text = run_emulated("binary_conv", tmp_path)
    assert status == 0, text
    assert "300 cases" in text, text  # the reference and NEON, 150 each


@pytest.mark.slow
def test_neon_equals_the_formulas_of_codes(tmp_path):
    status, text = run_emulated("binary_codes", tmp_path)
    assert status == 0, text
    assert "2 sets of kernels" in text, text
