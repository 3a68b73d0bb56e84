"""Fixtures that every test can ask for, and how property tests search."""

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

from real_data import real_data

__all__ = ["real_data"]

# No deadline: a compiled loop's first call takes seconds. At a developer's desk every run tries
# other examples; in CI the same commit must give the same answer.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
