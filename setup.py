"""Puts the device profiles into the wheel; everything else about the package stands in pyproject.toml.

In a checkout they lie at the top, beside the engines that are built for these devices; installed, inside the package.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROFILES = Path("engines") / "profiles"


class BuildWithProfiles(build_py):
    """Copies `engines/profiles/*.toml` to `edgekit/_profiles/`, where `edgekit.profiles` looks first."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # such an installation reads them where they are
            return
        for target, source in self._profiles().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target, preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, *self._profiles()]

    def _profiles(self) -> dict[str, str]:
        """Where each profile goes -> where it is."""
        found = sorted(PROFILES.glob("*.toml"))
        if not found:
            raise FileNotFoundError(f"{PROFILES} holds no profiles; build from a whole checkout or source archive")
        folder = Path(self.build_lib) / "edgekit" / "_profiles"
        return {str(folder / path.name): str(path) for path in found}


setup(cmdclass={"build_py": BuildWithProfiles})
