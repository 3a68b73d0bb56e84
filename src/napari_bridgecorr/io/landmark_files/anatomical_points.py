"""Points of 3D Slicer's files: decimal numbers along (x, y, z) of RAS or LPS, and our world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...geometry.anatomical import AnatomicalFrame, millimetres_to_world
from ...landmarks import Point
from ...units import MICROMETRES_PER_MILLIMETRE
from .lengths import text_from_um, um_from_text


def point_from_texts(
    path: Path, where: str, texts: Sequence[str], unit: str, frame: AnatomicalFrame
) -> Point:
    """World (z, y, x) in um of finite decimal numbers (x, y, z) in `unit`.

    Raises
    ------
    ReadError
        If the position is too large for a number.
    """
    lengths_um = [um_from_text(t, unit) for t in texts]
    if not all(math.isfinite(v) for v in lengths_um):
        raise ReadError(path, f"{where}: a coordinate is too large", "correct it")
    z, y, x = (float(v) for v in _axes(frame) @ lengths_um)
    return z, y, x


def mm_texts(position_um: Point, frame: AnatomicalFrame) -> tuple[str, str, str]:
    """Decimal numbers (x, y, z) in mm that :func:`point_from_texts` takes back exactly."""
    x, y, z = (text_from_um(float(v), "mm") for v in _axes(frame).T @ position_um)
    return x, y, z


def _axes(frame: AnatomicalFrame) -> NDArray[np.float64]:
    """Signed permutation from (x, y, z) of `frame` to (z, y, x) of the world: exact."""
    return millimetres_to_world(frame)[:3, :3] / MICROMETRES_PER_MILLIMETRE
