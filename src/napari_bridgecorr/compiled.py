"""The one way to compile an inner loop: Numba, all cores, one loop at a time.

Numba's portable threading layer aborts the process when two Python threads enter parallel loops at
once. Every loop uses all cores anyway, so they take turns behind one lock: safe from the window's
worker threads and from dask, and no slower.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

# Sums may be reordered for SIMD, but NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
_one_at_a_time = threading.RLock()


def parallel(function: Function) -> Function:
    """Compile a loop over `numba.prange`; each iteration must be independent of the others.

    Then results do not depend on the number of threads.
    """
    loop = njit(parallel=True, cache=True, fastmath=_FAST)(function)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        with _one_at_a_time:
            return loop(*args)

    return cast(Function, call)


def serial(function: Function) -> Function:
    """Compile a function of some length that loops of :func:`parallel` call."""
    return cast(Function, njit(cache=True, fastmath=_FAST)(function))


def inlined(function: Function) -> Function:
    """Compile a small function that loops of :func:`parallel` call."""
    return cast(Function, njit(inline="always")(function))
