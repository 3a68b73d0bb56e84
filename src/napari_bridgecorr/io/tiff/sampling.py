"""Where the pixels of a pyramid's levels lie, measured on a patch: files do not say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import ReadError
from ..pyramid import PROBE_PX, sampled_at_centres, textured_corner
from .levels import TiffLevel

_LOOK_PX = 256
_MOST_FACTOR = 8


def are_centred(levels: Sequence[TiffLevel], plane: int) -> bool:
    """Whether coarse pixels lie in the middle of those that they stand for (as means do).

    Looks at one patch of two levels. Where the file says nothing of it, or is damaged there, they
    are taken for means.

    Parameters
    ----------
    levels : sequence of TiffLevel
        Full resolution first.
    plane : int
        Number of a plane to look at.
    """
    if len(levels) < 2:
        return True
    fine, coarse = levels[0], levels[1]
    ratios = [a / b for a, b in zip(fine.size, coarse.size, strict=True)]
    factor = round(ratios[0])
    if not 2 <= factor <= _MOST_FACTOR or any(
        k not in (n // factor, -(-n // factor)) for n, k in zip(fine.size, coarse.size, strict=True)
    ):
        return True
    look = [
        (max(0, (n - _LOOK_PX) // 2), min(n, max(0, (n - _LOOK_PX) // 2) + _LOOK_PX))
        for n in coarse.size
    ]
    try:
        seen = coarse.read(plane, look[0], look[1])[0]
        corner = textured_corner(seen)
        spans = [
            (low + at, min(low + at + PROBE_PX, high, n // factor))
            for (low, high), at, n in zip(look, corner, fine.size, strict=True)
        ]
        if any(stop - start <= 8 for start, stop in spans):
            return True
        beneath = [(start * factor, stop * factor) for start, stop in spans]
        patch = seen[
            tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(spans, look, strict=True))
        ]
        under = fine.read(plane, beneath[0], beneath[1])[0]
    except ReadError:
        return True
    return sampled_at_centres(np.asarray(under), np.asarray(patch), factor) is not False
