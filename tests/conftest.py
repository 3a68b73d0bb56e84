"""Fixtures that every test can ask for."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from real_data import real_data

__all__ = ["real_data"]
