#!/usr/bin/env bash
# Run the device-side tests on every Python that a JetPack ships and this machine has, two at a time, each in a venv of
# its own; `tests/device_test.sh 3.8` runs that one alone.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    version=$1
    python=$(tests/find_python.sh "$version") || { echo "skipped: Python $version is not on this machine"; return 0; }
    venv=.venv-py${version/./}
    if [ ! -e "$venv/.complete" ] || [ constraints-device.txt -nt "$venv/.complete" ]; then
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip --disable-pip-version-check install --quiet -c constraints-device.txt pip
        "$venv/bin/python" -m pip --disable-pip-version-check install --quiet -c constraints-device.txt \
            numpy opencv-python-headless onnxruntime typer rich jinja2 pytest \
            $(case $version in 3.6) echo dataclasses tomli ;; 3.8 | 3.10) echo tomli ;; esac)
        touch "$venv/.complete"
    fi
    echo "-- Python $version: $("$venv/bin/python" -c 'import numpy, cv2, onnxruntime as o; print("numpy", numpy.__version__, "opencv", cv2.__version__, "onnxruntime", o.__version__)')"
    # Old libraries warn about their own future: an error only on the workstation.
    PYTHONPATH=. "$venv/bin/python" -m pytest -p no:cacheprovider -W default \
        tests/test_*.py tests/process tests/ops tests/nvidia tests/builders tests/runtime tests/bench tests/data tests/delta tests/cli
}

if [ $# -eq 1 ]; then
    run "$1"
    exit
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0
printf '%s\n' ${DEVICE_PYTHONS:-3.6 3.8 3.10 3.12} |
    xargs -P 2 -I{} sh -c '"$0" {} >"$1/{}" 2>&1' tests/device_test.sh "$logs" || failed=1
for log in "$logs"/*; do
    if [ "$failed" = 1 ]; then cat "$log"; else grep -v "^[.sx]*  *\[ *[0-9]*%\]$" "$log" || true; fi
done
[ "$failed" = 0 ] || { echo "error: the device side fails on a Python above"; exit 1; }
