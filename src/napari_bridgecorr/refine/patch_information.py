"""Mattes mutual information of a patch at two shifts, by SimpleITK."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..simple_itk import EngineImage, EngineOptions, metric_value, register
from .patch import Patch

FloatArray = NDArray[np.float64]

_BINS = 16


def best_shift(patch: Patch, start_um: FloatArray, longest_um: float) -> FloatArray:
    """The shift near another one at which the mutual information is greatest.

    Parameters
    ----------
    patch : Patch
    start_um : (3,) float64
        Along the frame's axes.
    longest_um : float
        How far it may lie from there; where the engine goes farther, the start is returned.
    """
    fixed, moving = _images(patch)
    found = register(fixed, moving, _moved(start_um), _options())
    if found.matrix is None:
        return start_um
    more = found.matrix[:3, 3]
    return start_um + more if float(np.linalg.norm(more)) <= longest_um else start_um


def information(patch: Patch, *shifts_um: FloatArray) -> list[float]:
    """Nats at shifts along the frame's axes."""
    fixed, moving = _images(patch)
    return [metric_value(fixed, moving, _moved(s), _options()) for s in shifts_um]


def _options() -> EngineOptions:
    return EngineOptions("translation", "mi", _BINS, shrink=(1,), smoothing_um=(0.0,))


def _images(patch: Patch) -> tuple[EngineImage, EngineImage]:
    """Both in the frame's own axes, the landmark's offsets as they are."""
    values = np.full(int(np.prod(patch.shape)), np.nan, np.float32)
    values[patch.numbers] = patch.values
    first = int(patch.numbers[0])
    index = np.array(np.unravel_index(first, patch.shape), dtype=np.float64)
    origin = patch.offsets_um[0] - index * patch.voxel_um
    fine_origin = patch.offsets_um[0] - patch.places[0] * patch.step_um
    return (
        EngineImage(
            values.reshape(patch.shape), Grid.from_spacing(patch.shape, patch.voxel_um, origin)
        ),
        EngineImage(
            patch.fine.astype(np.float32),
            Grid.from_spacing(patch.fine.shape, patch.step_um, fine_origin),
        ),
    )


def _moved(shift_um: FloatArray) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, 3] = shift_um
    return matrix
