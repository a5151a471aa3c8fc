"""Hybrid-bit search: which layer gets how many bits within a budget, measured, solved and verified."""

from edgekit.search.recipe import Budget, Finetune, Search, SearchRecipe
from edgekit.search.result import SearchResult
from edgekit.search.run import search

__all__ = ["Budget", "Finetune", "Search", "SearchRecipe", "SearchResult", "search"]
