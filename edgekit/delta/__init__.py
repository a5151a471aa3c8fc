"""Over-the-air updates: an `.ekd` file turns one bundle into another, byte for byte."""

from edgekit.delta.apply import Applied, apply_update
from edgekit.delta.update import BundleFile, Piece, Update, describe_update, open_update
from edgekit.delta.write import write_update

__all__ = ["Applied", "BundleFile", "Piece", "Update", "apply_update", "describe_update", "open_update", "write_update"]
