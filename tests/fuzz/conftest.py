"""Fuzzing: how many inputs a run tries.

A plain test run tries a few hundred per format; ``BRIDGECORR_FUZZ=3000`` tries that many per format
(``make fuzz``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def n_mutants() -> int:
    """Inputs per format."""
    return int(os.environ.get("BRIDGECORR_FUZZ", "200"))
