"""How many threads linear algebra uses: one where matrices are small. Only here, threadpoolctl.

NumPy's and SciPy's BLAS wakes all cores for a matrix of 50 rows, and they wait in a busy loop: a
fit of 50 landmarks took seven times as much processor time, and no less of the user's.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

# rows from which on more than one thread pays
LARGE = 500

_one_at_a_time = threading.RLock()


@contextmanager
def threads_for(rows: int) -> Iterator[None]:
    """Hold linear algebra to one thread while matrices have few `rows`; else as it was.

    The number is the process's own, and only who has set it can set it back. So those who hold it
    down take turns.
    """
    if rows >= LARGE:
        yield
        return
    with _one_at_a_time, _controller().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _controller() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  (SciPy's BLAS is another than NumPy's, and loaded late)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
