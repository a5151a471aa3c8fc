"""The NEON kernels, compiled by a cross compiler and run by an emulator: bit-exact on the same odd shapes."""

import os
import shutil
import subprocess

import pytest

NATIVE = os.path.join(os.path.dirname(__file__), "..", "..", "native")
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
SOURCES = (
    "tests/binary_conv.cpp",
    "src/abi.cpp",
    "src/cpu.cpp",
    "src/binary_conv.cpp",
    "src/binary_reference.cpp",
    "src/binary_neon.cpp",
)


@pytest.mark.slow
def test_neon_equals_the_direct_convolution(tmp_path):
    for tool in (COMPILER, EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip("{} is not here; Debian: apt-get install g++-aarch64-linux-gnu qemu-user".format(tool))
    program = str(tmp_path / "binary_conv")
    flags = ["-std=c++17", "-O2", "-static", "-ffp-contract=off", "-Iinclude", "-Isrc"]
    subprocess.run([COMPILER] + flags + list(SOURCES) + ["-o", program], cwd=NATIVE, check=True)
    done = subprocess.run([EMULATOR, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode()
    assert done.returncode == 0, text
    assert "290 cases" in text, text  # the reference and NEON, 145 each
