#!/usr/bin/env bash
# Ask PyPI whether every version that Dockerfile.jetson pins is there for the Python, the processor and the C library of
# its JetPack; `tests/docker/check_pins.sh 3.6` asks for that one alone. The wheels are downloaded, some 30 MB a Python.
set -euo pipefail
cd "$(dirname "$0")/../.."
pip="${PYTHON:-python3} -m pip --disable-pip-version-check"
unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL PIP_CONSTRAINT
export PIP_CONFIG_FILE=/dev/null # PyPI alone, whatever this machine is set up to use

# The Python of Ubuntu 18.04, 20.04, 22.04 and 24.04, and the minor version of their glibc.
full() { case $1 in 3.6) echo 3.6.9 ;; 3.8) echo 3.8.10 ;; 3.10) echo 3.10.12 ;; 3.12) echo 3.12.3 ;; esac }
glibc() { case $1 in 3.6) echo 27 ;; 3.8) echo 31 ;; 3.10) echo 35 ;; 3.12) echo 39 ;; esac }

pins() {
    case $1 in 3.6) mark='< "3\.7"' ;; *) mark="== \"${1/./\\.}\"" ;; esac
    cat constraints-device.txt constraints-jetson.txt | sed -n "s/; python_version $mark\$//p" |
        grep -v -e '^pytest==' -e '^cryptography==' -e '^opencv-python' # for tests, or the system's
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
for version in ${*:-3.6 3.8 3.10 3.12}; do
    platforms=$(seq -f '--platform=manylinux_2_%.0f_aarch64' 17 "$(glibc "$version")")
    # Published as source: PyCUDA, and the pytools that it uses on Python 3.6.
    case $version in 3.6) sources='^(pycuda|pytools)==' ;; *) sources='^pycuda==' ;; esac
    pins "$version" | grep -vE "$sources" >"$scratch/wheels"
    # shellcheck disable=SC2086
    if ! $pip --quiet download --no-deps --dest "$scratch/$version" --only-binary=:all: \
        --python-version "$(full "$version")" $platforms --platform=manylinux2014_aarch64 -r "$scratch/wheels"; then
        failed=1
    fi
    for pin in $(pins "$version" | grep -E "$sources"); do
        found=$($pip index versions "${pin%%==*}" --python-version "$(full "$version")" --no-binary=:all: 2>/dev/null)
        if ! grep -qE "[ ,]${pin##*==}(,|\$)" <<<"$found"; then
            echo "error: no source of $pin for Python $version"
            failed=1
        fi
    done
    echo "Python $version: $(wc -l <"$scratch/wheels") pins as wheels for aarch64 and glibc 2.$(glibc "$version")," \
        "$(pins "$version" | grep -cE "$sources") as source"
done
[ "$failed" = 0 ] || { echo "error: a pin above cannot be installed"; exit 1; }
