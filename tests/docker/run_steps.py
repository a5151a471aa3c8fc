"""Execute the Python steps of Dockerfile.jetson without Docker, each JetPack under the Python that it ships.

    python tests/docker/run_steps.py 4 5 6 7

The RUN lines are executed as they are written; a small builder does for them what Docker would: stages, WORKDIR, ENV,
COPY through .dockerignore. What stands in for the base image, and what is left out, is printed:

- the interpreter is this machine's, of the same version and another processor;
- OpenCV is pip's, in the version of the JetPack's; TensorRT is an empty package, as only its presence is asked for;
- CUDA is the headers of NVIDIA's wheels and an empty libcuda, enough to compile and link PyCUDA;
- RUN lines that call apt-get, useradd or ldconfig are not executed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.docker.dockerfile import (
    CHECKOUT,
    DOCKERFILE,
    Instruction,
    assignments,
    is_system_step,
    lineage,
    stages,
)

# JetPack -> the Python of its system, the version of its OpenCV, wheels with the headers of its CUDA (nearest on PyPI)
STAND_INS = {
    4: ("3.6", "4.1.1.26", "nvidia-cuda-runtime-cu11 nvidia-cuda-profiler-api-cu11"),
    5: ("3.8", "4.2.0.34", "nvidia-cuda-runtime-cu11 nvidia-cuda-profiler-api-cu11"),
    6: ("3.10", "4.5.4.60", "nvidia-cuda-runtime-cu12 nvidia-cuda-profiler-api-cu12"),
    7: ("3.12", "4.6.0.66", "nvidia-cuda-runtime nvidia-cuda-profiler-api"),
}
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--quiet"]  # errors alone
RELOCATED = ("EDGEKIT_HOME", "EDGEKIT_CACHE")
FOREIGN = ("LD_PRELOAD", "OPENBLAS_CORETYPE")  # they name what only an aarch64 system has


class StepError(Exception):
    """A RUN line failed."""


def find_python(version: str) -> str | None:
    """Path of an interpreter of that version, or None."""
    done = subprocess.run([CHECKOUT / "tests/find_python.sh", version], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() or None


@dataclass
class Image:
    """The file system and the environment of a stage that is being built."""

    root: Path
    env: dict[str, str]
    workdir: str = "/"

    def path(self, inside: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / os.path.join(self.workdir, inside).lstrip("/")

    def fork(self, root: Path) -> "Image":
        """A copy to build another stage on."""
        shutil.copytree(self.root, root, symlinks=True)
        old, new = str(self.root), str(root)
        return Image(root, {key: value.replace(old, new) for key, value in self.env.items()}, self.workdir)


class Builder:
    """Builds the stages of one JetPack in a folder."""

    def __init__(self, jetpack: int, folder: Path, say) -> None:
        self.jetpack, self.folder, self.say = jetpack, folder, say
        self.stages = stages(DOCKERFILE.read_text())
        self.built: dict[str, Image] = {}

    def build(self, name: str) -> Image:
        """The stage, and first what it is built on and copies from."""
        if name in self.built:
            return self.built[name]
        line = lineage(self.stages, name, self.jetpack)
        image = self.build(line[-2].name).fork(self.folder / name) if len(line) > 1 else self.system(name)
        for one in line[-1].instructions:
            self.step(one, image)
        self.built[name] = image
        return image

    def system(self, name: str) -> Image:
        """What stands in for an image of a registry."""
        root = self.folder / name
        (root / "root").mkdir(parents=True)
        version, opencv, headers = STAND_INS[self.jetpack]
        extra = {}
        if name == "wheel":
            version = self.stages[name].base.removeprefix("python:").split("-")[0]
        else:
            extra = {"PYTHONPATH": str(self.packages(version, opencv))}
            self.cuda(headers.split())
        binaries = self.interpreter(version, self.folder / f"python-of-{name}")
        keep = {key: os.environ[key] for key in os.environ if key.startswith(("PIP_", "SSL_", "REQUESTS_"))}
        path = f"{binaries}:/usr/bin:/bin"
        return Image(root, {**keep, **extra, "PATH": path, "HOME": str(root / "root"), "LANG": "C.UTF-8"})

    def interpreter(self, version: str, folder: Path) -> Path:
        """An environment of its own, so that no step can touch this machine's Python; the folder of its commands."""
        python = find_python(version)
        if python is None:
            raise StepError(f"Python {version} is not on this machine")
        subprocess.run([python, "-m", "venv", folder], check=True)
        return folder / "bin"

    def packages(self, version: str, opencv: str) -> Path:
        """System packages: OpenCV, and the name of TensorRT."""
        target = self.folder / "dist-packages"
        wheel = f"opencv-python-headless=={opencv}"
        subprocess.run(
            [
                *PIP,
                "install",
                "--no-deps",
                "--only-binary=:all:",
                "--python-version",
                version,
                "--target",
                target,
                wheel,
            ],
            check=True,
        )
        (target / "tensorrt").mkdir()
        (target / "tensorrt" / "__init__.py").write_text("")
        return target

    def cuda(self, wheels: list[str]) -> None:
        """A toolkit of headers and an empty driver library."""
        root, unpacked = self.folder / "cuda", self.folder / "cuda-wheels"
        subprocess.run([*PIP, "install", "--no-deps", "--target", unpacked, *wheels], check=True)
        for include in unpacked.glob("nvidia/*/include"):
            shutil.copytree(include, root / "include", dirs_exist_ok=True)
        (root / "bin").mkdir()
        (root / "bin" / "nvcc").write_text("")  # PyCUDA's set-up looks where it is, and does not call it
        (root / "lib64" / "stubs").mkdir(parents=True)
        library = root / "lib64" / "stubs" / "libcuda.so"
        command = ["cc", "-shared", "-Wl,-soname,libcuda.so.1", "-x", "c", "/dev/null", "-o", library]
        subprocess.run(command, check=True)

    def step(self, one: Instruction, image: Image) -> None:
        if one.keyword == "WORKDIR":
            image.workdir = os.path.join(image.workdir, one.text)
            image.path("").mkdir(parents=True, exist_ok=True)
        elif one.keyword == "ENV":
            self.set(one, image)
        elif one.keyword == "COPY":
            self.copy(one, image)
        elif one.keyword == "RUN" and is_system_step(one):
            self.say(f"{DOCKERFILE.name}:{one.line}: not executed, a step of the system: {one.text[:60]}…")
        elif one.keyword == "RUN":
            self.run(one, image)
        elif one.keyword == "ADD":
            self.say(f"{DOCKERFILE.name}:{one.line}: not fetched: {one.text.split()[0]}")

    def set(self, one: Instruction, image: Image) -> None:
        for key, value in assignments(one.text):
            if key in FOREIGN:
                self.say(f"{DOCKERFILE.name}:{one.line}: not set on this processor: {key}={value}")
                continue
            value = value.replace("/usr/local/cuda/", f"{self.folder}/cuda/")
            value = re.sub(r"\$(\w+)", lambda found: image.env.get(found.group(1), ""), value)
            if key in RELOCATED:
                value = str(image.path(value))
                Path(value).mkdir(parents=True, exist_ok=key == "EDGEKIT_CACHE")
            image.env[key] = value

    def copy(self, one: Instruction, image: Image) -> None:
        *sources, target = one.text.split()
        destination = image.path(target)
        destination.mkdir(parents=True, exist_ok=True)
        if sources[0].startswith("--from="):
            origin = self.build(sources.pop(0).removeprefix("--from="))
            paths = [origin.path(source) for source in sources]
        else:
            paths = [self.context() / source for source in sources]
        for path in paths:
            if path.is_dir():
                shutil.copytree(path, destination, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy(path, destination)

    def context(self) -> Path:
        """The checkout as .dockerignore lets it through: its lines with an exclamation mark."""
        target = self.folder / "context"
        if not target.exists():
            target.mkdir()
            for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
                source = CHECKOUT / line[1:]
                if line.startswith("!") and source.is_dir():
                    shutil.copytree(source, target / line[1:], ignore=shutil.ignore_patterns("__pycache__"))
                elif line.startswith("!") and source.exists():
                    shutil.copy(source, target / line[1:])
        return target

    def run(self, one: Instruction, image: Image) -> None:
        self.say(f"{DOCKERFILE.name}:{one.line}: {one.text[:100]}")
        done = subprocess.run(
            ["sh", "-c", one.text],
            cwd=image.path(""),
            env=image.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = done.stdout.strip().splitlines()
        self.say("\n".join("    " + line for line in lines[-2:]))
        if done.returncode != 0:
            raise StepError("{}:{} failed:\n{}".format(DOCKERFILE.name, one.line, "\n".join(lines[-40:])))


def unpinned(image: Image) -> list[str]:
    """What pip installed that neither list of constraints pins in that version."""
    listed = subprocess.run(
        ["python", "-m", "pip", "list", "--local", "--format=freeze", "--disable-pip-version-check"],
        env={**image.env, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout.split()
    pins = "".join((CHECKOUT / name).read_text() for name in ("constraints-device.txt", "constraints-jetson.txt"))
    known = {line.split(";")[0].strip() for line in pins.splitlines()}
    names = {re.sub(r"[-_.]+", "-", one).lower() if "==" not in one else normal(one) for one in listed}
    # the environment's own set-up tools come with Python; edgekit is the wheel
    return sorted(one for one in names - known if not one.startswith(("edgekit==", "setuptools==")))


def normal(pin: str) -> str:
    """NAME==VERSION with the name as indexes write it."""
    name, version = pin.split("==")
    return re.sub(r"[-_.]+", "-", name).lower() + "==" + version


def profiles(image: Image) -> list[str]:
    """The device profiles that the installed package has."""
    code = "import edgekit.profiles as p; print(*p.profile_names())"
    done = subprocess.run(
        ["python", "-c", code], env=image.env, cwd=image.root, stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout.split()


def run_steps(jetpack: int, say=print) -> None:
    """Build the device stage of a JetPack in a temporary folder.

    Raises:
        StepError: a RUN line failed, something was installed that is not pinned, or the package lacks its data.
    """
    with tempfile.TemporaryDirectory(prefix=f"jetpack{jetpack}-") as folder:
        image = Builder(jetpack, Path(folder), say).build("device")
        extra = unpinned(image)
        if extra:
            raise StepError(f"JetPack {jetpack} installs what is not pinned: {', '.join(extra)}")
        if "jetson-nano" not in profiles(image):
            raise StepError("the installed package has no device profiles")


if __name__ == "__main__":
    for number in [int(word) for word in sys.argv[1:]] or sorted(STAND_INS):
        print(f"== JetPack {number}", flush=True)
        run_steps(number)
        print(f"== JetPack {number}: done", flush=True)
