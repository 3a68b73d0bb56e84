"""Seconds per unit of time, as image files spell the units (lengths: `napari_bridgecorr.units`)."""

from __future__ import annotations

_SECONDS_PER_UNIT = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
    "µs": 1e-6,  # micro sign
    "μs": 1e-6,  # Greek mu
    "microsecond": 1e-6,
    "ns": 1e-9,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}


def seconds_per(unit: str) -> float | None:
    """Length of one `unit` in seconds, or None if it is not a known unit of time."""
    return _SECONDS_PER_UNIT.get(unit.strip().lower())
