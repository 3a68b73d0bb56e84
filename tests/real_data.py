"""Where the real example files are, for tests that read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files; skips where it is absent."""
    folder = Path(os.environ.get("BRIDGECORR_REAL_DATA", _BESIDE))
    if not folder.is_dir():
        pytest.skip(f"real data are not at {folder}; set BRIDGECORR_REAL_DATA to their folder")
    return folder
