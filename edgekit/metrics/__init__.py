"""Scores: detection AP, agreement of two sets of boxes, error between arrays."""
