"""Zeiss CZI. Only `library` imports pylibCZIrw."""

from .reader import CziReader
from .write import write_czi

__all__ = ["CziReader", "write_czi"]
