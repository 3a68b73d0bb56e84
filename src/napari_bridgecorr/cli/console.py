"""Progress bars and messages on standard error; results go to standard output."""

from __future__ import annotations

import shutil
import sys
from typing import Any


class ConsoleProgress:
    """A bar per task on a terminal; one line per task where there is none (logs, CI)."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, task: str, total: int) -> None:
        """Start the bar of a task."""
        self.close()
        if sys.stderr.isatty():
            from tqdm import tqdm

            size = shutil.get_terminal_size()
            self._bar = tqdm(
                total=total,
                desc=f"{task:>22}",
                file=sys.stderr,
                # some terminals state no size, on which tqdm draws nothing
                ncols=size.columns,
                nrows=size.lines,
                bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}",
            )
        else:
            print(f"{task} ...", file=sys.stderr, flush=True)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(steps)

    def tell(self, line: str) -> None:
        """One line that is no result, below the bar."""
        self.close()
        print(f"bridgecorr: {line}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the current bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def warn(message: str) -> None:
    """One warning line on standard error."""
    print(f"bridgecorr: warning: {message}", file=sys.stderr)
