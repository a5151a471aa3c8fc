"""Bundle to engine, on the device that will run it."""

from edgekit.builders.choice import engine_to_fly
from edgekit.builders.engine import engine_from_bundle
from edgekit.builders.options import BuildOptions

__all__ = ["BuildOptions", "engine_from_bundle", "engine_to_fly"]
