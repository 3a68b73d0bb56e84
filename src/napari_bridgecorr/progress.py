"""How long work tells its caller how far it is, and learns that it was cancelled.

The core knows only the protocol; the command line draws bars (`cli.console`), the window bridges it
to napari's activity dock (`_napari.jobs`).
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receiver of progress. Both methods may raise :class:`~napari_bridgecorr.errors.Cancelled`."""

    def begin(self, task: str, total: int) -> None:
        """A task of `total` equal steps begins (the task before it has ended)."""

    def advance(self, steps: int = 1) -> None:
        """`steps` more steps of the current task are done."""


class Silent:
    """Progress that nobody watches."""

    def begin(self, task: str, total: int) -> None:
        """Ignore."""

    def advance(self, steps: int = 1) -> None:
        """Ignore."""
