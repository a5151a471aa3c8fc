"""Puts the device profiles and the native library into the wheel; the rest of the package stands in pyproject.toml.

In a checkout the profiles lie at the top, beside the engines that are built for these devices; installed, inside the
package. The native library is optional: where `make native` has built it the wheel carries it, for any Python 3 of this
platform; without it the wheel is for any machine. EDGEKIT_WHEEL_LIBRARY names another library to carry: one that was
compiled for another platform (`native/wheels.sh`).
"""

import os
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

PROFILES = Path("engines") / "profiles"
LIBRARY = Path(os.environ.get("EDGEKIT_WHEEL_LIBRARY") or Path("build") / "native" / "libedgekit.so")


class BuildWithData(build_py):
    """Copies profiles and library to `edgekit/_profiles/` and `edgekit/_native/`, where the package looks first."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # such an installation reads them where they are
            return
        for target, source in self._data().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target, preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, *self._data()]

    def _data(self) -> dict[str, str]:
        """Where each file goes -> where it is."""
        found = sorted(PROFILES.glob("*.toml"))
        if not found:
            raise FileNotFoundError(f"{PROFILES} holds no profiles; build from a whole checkout or source archive")
        package = Path(self.build_lib) / "edgekit"
        data = {str(package / "_profiles" / path.name): str(path) for path in found}
        if LIBRARY.is_file():
            data[str(package / "_native" / LIBRARY.name)] = str(LIBRARY)
        return data


class PlatformDistribution(Distribution):
    """Bound to a platform where the native library is in it."""

    def has_ext_modules(self) -> bool:
        return LIBRARY.is_file()


class AnyPythonWheel(bdist_wheel):
    """Named for the platform that it is bound to, if any, and for no version of Python: no file depends on one."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


setup(distclass=PlatformDistribution, cmdclass={"build_py": BuildWithData, "bdist_wheel": AnyPythonWheel})
