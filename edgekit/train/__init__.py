"""Training: a recipe in, a checkpoint out."""

from edgekit.train.interrupt import TrainingInterrupted
from edgekit.train.loop import train
from edgekit.train.recipe import Recipe

__all__ = ["Recipe", "TrainingInterrupted", "train"]
