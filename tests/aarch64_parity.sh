#!/usr/bin/env bash
# Does the ARM build of ONNX Runtime give the numbers of the x86 build? On demand, not part of any suite: it makes an
# arm64 userland of Debian packages and wheels in .cache/aarch64 (or the folder that is given; about 600 MB), runs the
# shipped student there under qemu, and compares. A run of the network takes about half a minute there, all of it about
# five; emulated times mean nothing. Needs root and apt.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(realpath -m "${1:-.cache/aarch64}")
bundle=models/fasterx_student_thermal.ekb
lowerings="ort-arm fp32"
suite=bookworm
python=.venv/bin/python

[ -x "$python" ] || { echo "error: there is no .venv; run: make venv"; exit 2; }
[ "$(uname -m)" = x86_64 ] || { echo "error: this compares with x86-64, which this machine is not"; exit 2; }
[ "$(id -u)" = 0 ] || { echo "error: chroot and mount need root; run it with sudo or in a privileged container"; exit 2; }
for tool in apt-get dpkg chroot unshare; do
    command -v $tool >/dev/null || { echo "error: $tool is not here; run this on Debian"; exit 2; }
done
grep -q "VERSION_CODENAME=$suite" /etc/os-release ||
    { echo "error: the packages are those of Debian $suite, this is another system; use a debian:$suite container"; exit 2; }

packages="python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libstdc++6 libgcc-s1 zlib1g
    libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 libcrypt1"

# apt with lists of its own: the machine's are left alone
fetch() {
    arch=$1
    shift
    apt="$root/apt/$arch"
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$root/debs/$arch"
    options="-qq -o APT::Architecture=$arch -o APT::Architectures=$arch -o Dir::State=$apt/state -o Dir::Cache=$apt/cache
        -o Dir::State::status=/dev/null -o APT::Sandbox::User=root"
    apt-get $options update
    (cd "$root/debs/$arch" && apt-get $options download "$@")
}

if [ ! -e "$root/.complete" ]; then
    rm -rf "$root"
    mkdir -p "$root/system/app" "$root/system/tmp" "$root/system/proc"
    fetch amd64 qemu-user-static
    fetch arm64 $packages
    for deb in "$root"/debs/arm64/*.deb; do dpkg -x "$deb" "$root/system"; done
    dpkg -x "$root"/debs/amd64/qemu-user-static_*.deb "$root/qemu"
    cp "$root/qemu/usr/bin/qemu-aarch64-static" "$root/system/usr/bin/"
    # constraints.txt holds for all Pythons of the workstation; the wheels are for the one in the packages
    $python -m pip --disable-pip-version-check --quiet download -d "$root/wheels" -c constraints.txt \
        --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none --only-binary=:all: \
        $(printf -- '--platform manylinux%s_aarch64 ' 2014 _2_17 _2_24 _2_26 _2_27 _2_28 _2_31 _2_34) \
        onnxruntime numpy opencv-python-headless typer rich jinja2
    for wheel in "$root"/wheels/*.whl; do
        $python -m zipfile -e "$wheel" "$root/system/app"
    done
    touch "$root/.complete"
fi

rm -rf "$root/system/app/edgekit"
cp -r edgekit tests/aarch64_outputs.py "$bundle" "$root/system/app/"
# /proc, without which ONNX Runtime opens no weights; but no /sys: it reads the host's there and crashes under qemu 7.2
inside() {
    env -i ROOT="$root/system" PATH="$PATH" PYTHONPATH=/app HOME=/tmp PYTHONDONTWRITEBYTECODE=1 INPUTS=/tmp/x86.npz \
        unshare --mount sh -c 'mount -t proc proc "$ROOT/proc" && exec chroot "$ROOT" "$@"' inside \
        /usr/bin/qemu-aarch64-static /usr/bin/python3.11 "$@" 2> >(grep -v cpuinfo >&2)
}
student=$(basename "$bundle")
PYTHONPATH=. $python tests/aarch64_outputs.py write "$root/system/tmp/x86.npz" "$bundle" "$root/x86" $lowerings
inside /app/aarch64_outputs.py write /tmp/arm.npz "/app/$student" /tmp/cache $lowerings
PYTHONPATH=. $python tests/aarch64_outputs.py compare "$root/system/tmp/x86.npz" "$root/system/tmp/arm.npz"
for lowering in $lowerings; do
    echo "== edgekit check --lowering $lowering, on aarch64"
    inside -m edgekit check "/app/$student" --lowering "$lowering" --device cpu
done
