"""How large an acquisition may be, and what the user is told when pixels are missing."""

from __future__ import annotations

# a slide is 75 x 25 mm; at 0.3 um a pixel that is 250,000 pixels
_LONGEST_SIDE = 300_000
_LARGEST_BYTES = 2**38
_MOST_CHANNELS = 1000
_VALUE_BYTES = 4


def require_sane_size(width: int, height: int, n_channels: int) -> None:
    """Raise ValueError, with a clause as its text, unless an acquisition can be that large."""
    if not 0 < n_channels <= _MOST_CHANNELS:
        raise ValueError(f"it has {n_channels} channels")
    n_bytes = width * height * n_channels * _VALUE_BYTES
    if max(width, height) > _LONGEST_SIDE or n_bytes > _LARGEST_BYTES:
        raise ValueError(f"its size makes no sense ({width} x {height} pixels)")


def completeness_warnings(name: str, n_stored: int, n_pixels: int) -> tuple[str, ...]:
    """What the user must know of an acquisition that holds `n_stored` of `n_pixels` pixels."""
    if n_stored == 0:
        return (f"{name} is empty: nothing was ablated, all pixels are 0",)
    if n_stored < n_pixels:
        return (f"{name} was stopped after {n_stored} of {n_pixels} pixels: the others are 0",)
    if n_stored > n_pixels:
        return (f"{name} has {n_stored - n_pixels} pixels too many: they are left out",)
    return ()
