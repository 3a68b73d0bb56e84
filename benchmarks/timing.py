"""Timing and printing, shared by the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def best_of(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Shortest time (s) of some runs after one warm-up, and the last result."""
    result = work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def once(work: Callable[[], Any]) -> tuple[float, Any]:
    """Time (s) of a single run: for peers that take long."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def show(what: str, ours_s: float, peers: dict[str, float], agreement: str = "") -> None:
    """One line: our time, each peer's time and how many times faster we are."""
    others = "   ".join(f"{n} {s:8.3f} s (x {s / ours_s:6.2f})" for n, s in peers.items())
    print(f"{what:44s} ours {ours_s:8.3f} s   {others}   {agreement}", flush=True)
