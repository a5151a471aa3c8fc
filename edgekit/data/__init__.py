"""Datasets: one reader per annotation format, each a function from files to a `Dataset`."""
