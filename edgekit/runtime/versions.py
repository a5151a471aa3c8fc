"""Versions of installed packages, read from their records: nothing is imported."""

from typing import Optional, Sequence


def first_version(distributions: Sequence[str]) -> Optional[str]:
    """Version of the first of these distributions that is installed, or None."""
    for distribution in distributions:
        found = version_of(distribution)
        if found is not None:
            return found
    return None


def version_of(distribution: str) -> Optional[str]:
    """Version of an installed distribution, or None."""
    try:
        from importlib import metadata
    except ImportError:  # Python < 3.8
        import pkg_resources  # type: ignore[import-not-found]

        try:
            return str(pkg_resources.get_distribution(distribution).version)
        except pkg_resources.ResolutionError:
            return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
