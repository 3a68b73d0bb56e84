"""Landmarks of a file refined by two images, and written to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..image import SpatialImage
from ..io.landmark_files import LandmarkFileOptions, write_landmarks
from ..landmarks import LandmarkSet
from ..progress import Progress
from ..refine import LandmarkRefinementOptions, RefinedLandmarks, View, refine_landmarks
from ..transform import Transform
from .landmarks import read_pairs


def refine_landmark_file(
    landmarks: Path,
    fixed: SpatialImage,
    moving: SpatialImage,
    out: Path,
    *,
    transform: Transform | None = None,
    options: LandmarkRefinementOptions | None = None,
    fixed_channel: str | int = 0,
    moving_channel: str | int = 0,
    time: int = 0,
    only: Sequence[str] | None = None,
    reading: LandmarkFileOptions | None = None,
    progress: Progress | None = None,
) -> tuple[RefinedLandmarks, tuple[str, ...]]:
    """Refine the moving points of a landmark file and write all landmarks to `out`.

    Parameters
    ----------
    landmarks, out : Path
        `out` is a landmarks CSV; it may be the same file.
    fixed, moving : SpatialImage
    transform, options, only, progress
        See :func:`~napari_bridgecorr.refine.refine_landmarks`.
    fixed_channel, moving_channel : str or int
    time : int
        Time point of both.
    reading : LandmarkFileOptions, optional

    Returns
    -------
    RefinedLandmarks, tuple of str
        The steps, and what the user should know of the file.

    Raises
    ------
    ReadError, RefineError, GeometryError, WriteError
    """
    file = read_pairs(landmarks, reading)
    result = refined(
        file.landmarks,
        fixed,
        moving,
        transform=transform,
        options=options,
        fixed_channel=fixed_channel,
        moving_channel=moving_channel,
        time=time,
        only=only,
        progress=progress,
    )
    write_landmarks(result.after, out)
    return result, file.warnings


def refined(
    landmarks: LandmarkSet,
    fixed: SpatialImage,
    moving: SpatialImage,
    *,
    transform: Transform | None = None,
    options: LandmarkRefinementOptions | None = None,
    fixed_channel: str | int = 0,
    moving_channel: str | int = 0,
    time: int = 0,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> RefinedLandmarks:
    """The same with landmarks at hand, and no file written."""
    return refine_landmarks(
        landmarks,
        View(fixed, fixed.channel_index(fixed_channel), min(time, fixed.n_times - 1)),
        View(moving, moving.channel_index(moving_channel), min(time, moving.n_times - 1)),
        transform,
        options,
        only=only,
        progress=progress,
    )


def describe_steps(result: RefinedLandmarks) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "n": len(result.steps),
        "n_accepted": len(result.accepted),
        "radius_um": result.radius_um,
        "max_step_um": result.max_step_um,
        "landmarks": [
            {
                "id": s.id,
                "accepted": s.accepted,
                "reason": s.reason,
                "shift_um": list(s.shift_um),
                "length_um": s.length_um,
                "sigma_um": None if s.sigma_um is None else list(s.sigma_um),
                "metric_before": s.metric_before,
                "metric_after": s.metric_after,
            }
            for s in result.steps
        ],
    }
