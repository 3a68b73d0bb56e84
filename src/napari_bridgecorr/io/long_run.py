"""How a long output is written: by which processes, and whether it can be gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import GeometryError


def no_news(line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class LongRun:
    """How a long output is written.

    Parameters
    ----------
    work : mapping or None
        Plain values that determine every byte of the output: inputs and their state, transform,
        grid, options. A run that was killed is gone on with where they are the same. None: nothing
        is kept of a run that fails.
    workers : int
        Processes of one thread each, started for this run; 0: threads of this process.
    scheduler : str
        Address of a running dask.distributed scheduler, as ``tcp://node1:8786``.
    restart : bool
        Drop what an earlier run has finished.
    tell : callable
        Takes one line for the user.

    Raises
    ------
    GeometryError
        If workers and a scheduler are both given, or the number is negative.
    """

    work: Mapping[str, Any] | None = None
    workers: int = 0
    scheduler: str = ""
    restart: bool = False
    tell: Callable[[str], None] = no_news

    def __post_init__(self) -> None:
        if self.workers and self.scheduler:
            raise GeometryError("give a number of workers or a scheduler's address, not both")
        if self.workers < 0:
            raise GeometryError(f"the number of workers is not {self.workers}: give 1 or more")

    @property
    def is_distributed(self) -> bool:
        """Whether other processes do the work."""
        return bool(self.workers or self.scheduler)
