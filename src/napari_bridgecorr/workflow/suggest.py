"""Landmarks of a file, and further pairs that two images' vessels propose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..image import SpatialImage
from ..io.landmark_files import LandmarkFileOptions, write_landmarks
from ..progress import Progress
from ..vessels import (
    DEFAULT_CONFIDENCE,
    SuggestionOptions,
    Suggestions,
    suggest_pairs,
    with_suggestions,
)
from .landmarks import read_pairs


def suggest_for_file(
    landmarks: Path,
    fixed: SpatialImage,
    moving: SpatialImage,
    out: Path,
    *,
    confidence: float = DEFAULT_CONFIDENCE,
    options: SuggestionOptions | None = None,
    fixed_channel: str | int = 0,
    moving_channel: str | int = 0,
    time: int = 0,
    reading: LandmarkFileOptions | None = None,
    progress: Progress | None = None,
) -> tuple[Suggestions, tuple[str, ...]]:
    """Write the landmarks of a file and the pairs proposed with at least a confidence.

    Parameters
    ----------
    landmarks, out : Path
        `out` is a landmarks CSV; it may be the same file. Added pairs have ``suggested`` in the
        column ``source``.
    fixed, moving : SpatialImage
    confidence : float
        From 0 to 1.
    options : SuggestionOptions, optional
    fixed_channel, moving_channel : str or int
    time : int
        Time point of both.
    reading : LandmarkFileOptions, optional
    progress : Progress, optional

    Returns
    -------
    Suggestions, tuple of str
        All that was proposed, and what the user should know of the file.

    Raises
    ------
    ReadError, FitError, GeometryError, WriteError
    """
    file = read_pairs(landmarks, reading)
    found = suggest_pairs(
        fixed,
        moving,
        file.landmarks,
        options,
        fixed_channel=fixed_channel,
        moving_channel=moving_channel,
        time=time,
        progress=progress,
    )
    write_landmarks(with_suggestions(file.landmarks, found.above(confidence)), out)
    return found, file.warnings


def describe_suggestions(found: Suggestions, confidence: float) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "n": len(found.pairs),
        "n_accepted": len(found.above(confidence)),
        "confidence": confidence,
        "scale_um": found.scale_um,
        "fixed_vessels": found.fixed_vessels,
        "moving_vessels": found.moving_vessels,
        "pairs": [
            {
                "accepted": s.confidence >= confidence,
                "confidence": s.confidence,
                "fixed_um": list(s.fixed_um),
                "moving_um": list(s.moving_um),
                "likeness": s.likeness,
                "deviation_um": s.deviation_um,
                "degree": s.degree,
            }
            for s in found.pairs
        ],
    }
