#!/usr/bin/env bash
# Wheels with the native library for any Python 3 on Linux with glibc 2.28 or later (Debian 10, Ubuntu 20.04, JetPack 5),
# for x86-64 and for 64-bit ARM, built on either: the compiler is zig, a package of PyPI that brings each glibc's symbols.
#
#     native/wheels.sh [FOLDER]      default: dist. PYTHON names the Python that makes the virtual environment.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
zig=build/zig
glibc=2.28

if [ ! -e "$zig/.complete" ]; then
    "${PYTHON:-python3}" -m venv "$zig"
    "$zig/bin/python" -m pip --disable-pip-version-check install --quiet ziglang==0.17.1 'setuptools>=77' wheel
    touch "$zig/.complete"
fi

for arch in x86_64 aarch64; do
    build=$PWD/build/wheel-$arch
    mkdir -p "$build"
    for tool in cc c++; do
        printf '#!/bin/sh\nexec "%s/bin/python" -m ziglang %s -target %s-linux-gnu.%s "$@"\n' \
            "$PWD/$zig" "$tool" "$arch" "$glibc" >"$build/$tool"
        chmod +x "$build/$tool"
    done
    cmake -S native -B "$build/cmake" -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=Linux \
        -DCMAKE_SYSTEM_PROCESSOR=$arch -DCMAKE_C_COMPILER="$build/cc" -DCMAKE_CXX_COMPILER="$build/c++" \
        -DCMAKE_SHARED_LINKER_FLAGS=-s
    cmake --build "$build/cmake" --target edgekit
    "$zig/bin/python" native/newest_glibc.py "$build/cmake/libedgekit.so" "$glibc"
    # setuptools takes a file of the other wheel that is not older for up to date.
    rm -rf build/lib build/lib.* build/bdist.*
    EDGEKIT_WHEEL_LIBRARY=$build/cmake/libedgekit.so "$zig/bin/python" - "$out" "manylinux_${glibc/./_}_$arch" <<'END'
import sys
from setuptools import build_meta

print(build_meta.build_wheel(sys.argv[1], {"--build-option": ["--plat-name", sys.argv[2]]}))
END
done
ls -l "$out"/*manylinux*.whl
