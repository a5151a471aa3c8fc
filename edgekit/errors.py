"""Everything that a user can cause is an `EdgekitError`; its message is one line: seen, expected, what to do.

EdgekitError            exit status 2
├── ConfigError         a recipe, profile or option that cannot be used
├── DataError           an image, label or dataset that cannot be read
├── ModelError          a network that is not what it was taken for
├── BundleError         a bundle that is damaged, truncated, or of another version
├── BackendError        an inference library that is missing or refuses the graph
├── SourceError         a camera, video or stream that cannot be opened, or that was lost
├── StorageError        a disk that is full or a folder that cannot be written
└── GateError           exit status 3: parity, accuracy or latency is outside its gate

A mistake that only a programmer can make is a `ValueError` or `TypeError`.
"""


class EdgekitError(Exception):
    """A mistake of the user's, or of the world; shown as one line without a traceback."""

    exit_code = 2


class ConfigError(EdgekitError):
    """A recipe, profile or option that cannot be used."""


class DataError(EdgekitError):
    """An image, label or dataset that cannot be read."""


class ModelError(EdgekitError):
    """A network that is not what it was taken for."""


class BundleError(EdgekitError):
    """A bundle that is damaged, truncated, or of another version."""


class BackendError(EdgekitError):
    """An inference library that is missing or refuses the graph."""


class SourceError(EdgekitError):
    """A camera, video or stream that cannot be opened, or that was lost."""


class StorageError(EdgekitError):
    """A disk that is full or a folder that cannot be written."""


class GateError(EdgekitError):
    """Parity, accuracy or latency is outside its gate."""

    exit_code = 3
