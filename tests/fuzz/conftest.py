"""Fuzzing: how many inputs a run tries.

A plain test run tries a hundred or so per format; ``BRIDGECORR_FUZZ=3000`` tries that many
(``make fuzz``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many inputs the run tried."""
    from harness import RESULTS

    total, opened = sum(r.n_inputs for r in RESULTS), sum(r.n_opened for r in RESULTS)
    unanswered = sum(len(r.findings) for r in RESULTS)
    if total:
        terminalreporter.write_line(
            f"fuzz: {total} inputs, {opened} opened, {total - opened - unanswered} refused, "
            f"{unanswered} unanswered"
        )


@pytest.fixture(scope="session", autouse=True)
def _worker() -> Iterator[None]:
    """One process opens the inputs of all tests."""
    yield
    from harness import end

    end()


@pytest.fixture(scope="session")
def n_mutants() -> int:
    """Inputs per format."""
    return int(os.environ.get("BRIDGECORR_FUZZ", "100"))
