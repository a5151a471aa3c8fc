#!/usr/bin/env bash
# Run the device-side tests on every Python that a JetPack ships and this machine has; each in a venv of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
tests="tests/test_*.py tests/process tests/runtime tests/bench tests/data tests/cli"
ran=0
for version in ${DEVICE_PYTHONS:-3.6 3.8 3.10 3.12}; do
    python=$(tests/find_python.sh "$version") || { echo "skipped: Python $version is not on this machine"; continue; }
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
    PYTHONPATH=. "$venv/bin/python" -m pytest -p no:cacheprovider -W default $(ls -d $tests 2>/dev/null)
    ran=$((ran + 1))
done
echo "device side passed on $ran Python versions"
