"""Imaging mass cytometry: MCD files, and the text file of one acquisition."""

from __future__ import annotations

from .reader import McdReader
from .text import ImcTextReader

__all__ = ["ImcTextReader", "McdReader"]
