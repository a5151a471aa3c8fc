"""Training: a recipe in, a checkpoint out."""

from edgekit.train.interrupt import TrainingInterrupted
from edgekit.train.recipe import Recipe
from edgekit.train.tasks import train

__all__ = ["Recipe", "TrainingInterrupted", "train"]
