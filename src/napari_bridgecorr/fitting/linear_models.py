"""Closed-form least squares: translation, rigid, similarity, affine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..transform import Affine

FloatArray = NDArray[np.float64]


def fit_translation(fixed_um: FloatArray, moving_um: FloatArray) -> Affine:
    """Mean displacement."""
    return Affine.from_parts(np.eye(3), moving_um.mean(axis=0) - fixed_um.mean(axis=0))


def fit_rigid(fixed_um: FloatArray, moving_um: FloatArray) -> Affine:
    """Rotation and translation (Kabsch 1976; never a reflection)."""
    return _fit_umeyama(fixed_um, moving_um, with_scale=False)


def fit_similarity(fixed_um: FloatArray, moving_um: FloatArray) -> Affine:
    """Rotation, translation and one scale (Umeyama 1991, eq. 40-43)."""
    return _fit_umeyama(fixed_um, moving_um, with_scale=True)


def fit_affine(fixed_um: FloatArray, moving_um: FloatArray) -> Affine:
    """Twelve parameters, in centred and scaled coordinates for conditioning."""
    centre, scale = normalisation(fixed_um)
    design = np.column_stack([(fixed_um - centre) / scale, np.ones(len(fixed_um))])
    middle = moving_um.mean(axis=0)
    solution = np.linalg.lstsq(design, moving_um - middle, rcond=None)[0]
    linear = solution[:3].T / scale
    return Affine.from_parts(linear, solution[3] + middle - linear @ centre)


def fit_affine_planar(fixed_um: FloatArray, moving_um: FloatArray) -> Affine:
    """Affine of (y, x) with z shifted by its mean difference, for flat images."""
    centre, scale = normalisation(fixed_um)
    design = np.column_stack([(fixed_um[:, 1:] - centre[1:]) / scale, np.ones(len(fixed_um))])
    middle = moving_um.mean(axis=0)
    solution = np.linalg.lstsq(design, moving_um[:, 1:] - middle[1:], rcond=None)[0]
    linear = np.eye(3)
    linear[1:, 1:] = solution[:2].T / scale
    offset = middle - linear @ centre
    offset[1:] += solution[2]
    return Affine.from_parts(linear, offset)


LINEAR_MODELS: dict[str, Callable[[FloatArray, FloatArray], Affine]] = {
    "translation": fit_translation,
    "rigid": fit_rigid,
    "similarity": fit_similarity,
    "affine": fit_affine,
}


def normalisation(points_um: FloatArray) -> tuple[FloatArray, float]:
    """Centre (3,) and isotropic scale (RMS distance from it, um) of points."""
    centre = points_um.mean(axis=0)
    scale = float(np.sqrt(np.mean(np.sum((points_um - centre) ** 2, axis=1))))
    return centre, scale if scale > 0 else 1.0


def _fit_umeyama(fixed_um: FloatArray, moving_um: FloatArray, with_scale: bool) -> Affine:
    mean_fixed, mean_moving = fixed_um.mean(axis=0), moving_um.mean(axis=0)
    f, m = fixed_um - mean_fixed, moving_um - mean_moving
    u, singular, vt = np.linalg.svd(m.T @ f)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * sign) @ vt
    scale = float(np.sum(singular * sign) / np.sum(f**2)) if with_scale else 1.0
    return Affine.from_parts(scale * rotation, mean_moving - scale * rotation @ mean_fixed)
