"""Landmarks to a transform, and points through one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FitError, TransformError
from ..fitting import Fit, FitOptions, fit
from ..io.landmark_files import read_landmarks, read_points, write_points
from ..io.transform_files import TransformFile, fit_document, read_transform, write_document


def fit_landmarks(landmarks: Path, out: Path, options: FitOptions | None = None) -> Fit:
    """Fit a landmark CSV and write the transform's JSON.

    Raises
    ------
    ReadError, FitError, WriteError
    """
    pairs = read_landmarks(landmarks).pairs()
    try:
        result = fit(pairs, options)
    except FitError as error:
        raise FitError(f"{landmarks}: {error}") from error
    write_document(fit_document(result), out)
    return result


def map_points(transform: Path, points: Path, out: Path, *, inverse: bool = False) -> int:
    """Map a CSV of points through a transform file; returns how many could not be mapped.

    Parameters
    ----------
    transform, points, out : Path
    inverse : bool
        Map moving points to fixed ones.

    Raises
    ------
    ReadError, WriteError
    TransformError
        If no point could be mapped.
    """
    table = read_points(points)
    chosen = read_transform(transform).transform
    mapped = (chosen.inverse() if inverse else chosen).map(table.points_um)
    lost = int(np.sum(~np.all(np.isfinite(mapped), axis=1)))
    if lost and lost == len(mapped):
        raise TransformError(
            f"{points}: none of the {lost} points can be mapped; they lie outside the transform's "
            f"domain or where it folds: check the direction (--inverse) and the units (um)"
        )
    write_points(table, mapped, out)
    return lost


def fit_of(source: TransformFile) -> Fit | None:
    """The fit that a transform file records, with its diagnostics; None if it records none.

    Raises
    ------
    FitError
        If the recorded landmarks can no longer be fitted.
    """
    if source.pairs is None or source.model is None:
        return None
    smoothing = getattr(source.transform, "smoothing_um", "auto")
    return fit(source.pairs, FitOptions(source.model, smoothing, source.dimensions))
