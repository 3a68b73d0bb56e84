"""Vessel bifurcations, and further landmark pairs proposed from them."""

from .detect import Bifurcations, find_bifurcations
from .proposals import Proposals, propose
from .ridges import Polarity
from .suggest import (
    DEFAULT_CONFIDENCE,
    FEWEST_PAIRS,
    POLARITIES,
    SUGGESTED,
    Suggestion,
    SuggestionOptions,
    Suggestions,
    suggest_pairs,
    with_suggestions,
)

__all__ = [
    "DEFAULT_CONFIDENCE",
    "FEWEST_PAIRS",
    "POLARITIES",
    "SUGGESTED",
    "Bifurcations",
    "Polarity",
    "Proposals",
    "Suggestion",
    "SuggestionOptions",
    "Suggestions",
    "find_bifurcations",
    "propose",
    "suggest_pairs",
    "with_suggestions",
]
