"""Weighted least squares: translation, rigid, similarity, affine; in space or in the plane.

The residuals' covariance is one matrix for all landmarks, divided by each one's weight
(:mod:`.noise`). Where the components of the map are free (translation, affine) that matrix cancels
(Zellner, J. Am. Stat. Assoc. 57, 1962); a rotation ties them, and it counts. Rotations depend on
the landmarks through 3 x 3 moments only, so that all leave-one-out fits are made at once.

Two conventions for a similarity's scale: ``least_squares`` (Umeyama, IEEE TPAMI 13, 1991) minimises
the residuals in the moving image, and shrinks a little under noise; ``symmetric`` (Horn, J. Opt.
Soc. Am. A 4, 1987) is the ratio of the landmarks' spreads, and swapping the images inverts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..transform import Affine
from .noise import ISOTROPIC, NoiseShape

FloatArray = NDArray[np.float64]
ScaleConvention = Literal["least_squares", "symmetric"]
SCALES: tuple[ScaleConvention, ...] = ("least_squares", "symmetric")

_ROTATIONS = np.array(
    [
        [[0, 0, 0], [0, 0, 1], [0, -1, 0]],
        [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
        [[0, 1, 0], [-1, 0, 0], [0, 0, 0]],
    ],
    dtype=np.float64,
)
_MOST_STEPS = 100
_LONGEST_STEP = 0.5


def fit_linear(
    model: str,
    fixed_um: FloatArray,
    moving_um: FloatArray,
    weights: FloatArray | None = None,
    dimensions: int = 3,
    noise: NoiseShape = ISOTROPIC,
    scale: ScaleConvention = "least_squares",
) -> Affine:
    """The best map of one of the linear models.

    Parameters
    ----------
    model : {"translation", "rigid", "similarity", "affine"}
    fixed_um, moving_um : (n, 3) float64
    weights : (n,) float64, optional
        Proportional to each landmark's inverse variance.
    dimensions : {3, 2}
        With 2, (y, x) is transformed and z shifted by its mean difference.
    noise : NoiseShape
    scale : {"least_squares", "symmetric"}
    """
    weights = np.ones(len(fixed_um)) if weights is None else weights
    if model == "affine":
        return fit_affine(fixed_um, moving_um, weights, dimensions)
    moments = _moments(fixed_um, moving_um, weights)
    linear = _linear_part(model, moments, dimensions, noise, scale)
    return Affine.from_parts(linear, moments.moving_um - linear @ moments.fixed_um)


def fit_affine(
    fixed_um: FloatArray,
    moving_um: FloatArray,
    weights: FloatArray | None = None,
    dimensions: int = 3,
) -> Affine:
    """Affine map, in centred and scaled coordinates for conditioning."""
    weights = np.ones(len(fixed_um)) if weights is None else weights
    root = np.sqrt(weights)[:, None]
    axes = slice(3 - dimensions, 3)
    centre, scale = normalisation(fixed_um)
    mean = weights @ moving_um / weights.sum()
    design = np.column_stack([(fixed_um - centre)[:, axes] / scale, np.ones(len(fixed_um))])
    solution = np.linalg.lstsq(design * root, (moving_um - mean)[:, axes] * root, rcond=None)[0]
    linear, shift = np.eye(3), np.zeros(3)
    linear[axes, axes] = solution[:-1].T / scale
    shift[axes] = solution[-1]
    offset = mean + shift - linear @ centre
    if dimensions == 2:
        offset[0] = mean[0] - weights @ fixed_um[:, 0] / weights.sum()
    return Affine.from_parts(linear, offset)


def leave_one_out_linear(
    transform: Affine,
    model: str,
    fixed_um: FloatArray,
    moving_um: FloatArray,
    weights: FloatArray,
    dimensions: int = 3,
    noise: NoiseShape = ISOTROPIC,
    scale: ScaleConvention = "least_squares",
) -> FloatArray:
    """(n, 3) prediction without each landmark minus the landmark, exact, the noise's shape held.

    Meaningless where the others do not determine the model: the caller knows where.
    """
    share = weights / weights.sum()
    if model in ("translation", "affine"):
        residual = transform.map(fixed_um) - moving_um
        freedom = np.repeat((1 - share)[:, None], 3, axis=1)
        if model == "affine":
            freedom[:, 3 - dimensions :] = (1 - leverage(fixed_um, weights, dimensions))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(residual / freedom)
    each = _without_each(_moments(fixed_um, moving_um, weights), fixed_um, moving_um, weights)
    linear = _linear_part(model, each, dimensions, noise, scale)
    predicted = each.moving_um + np.einsum("nij,nj->ni", linear, fixed_um - each.fixed_um)
    return np.asarray(predicted - moving_um)


def tangents(
    model: str, transform: Affine, offsets_um: FloatArray, dimensions: int = 3
) -> FloatArray:
    """(n, 3, p) derivatives of a linear model's map by its p parameters.

    Parameters
    ----------
    model : {"translation", "rigid", "similarity", "affine"}
    transform : Affine
    offsets_um : (n, 3) float64
        Fixed points from a centre.
    dimensions : {3, 2}
    """
    first, n = 3 - dimensions, len(offsets_um)
    shifts = np.broadcast_to(np.eye(3)[:, first:], (n, 3, dimensions))
    if model == "translation":
        return shifts
    if model == "affine":
        by_matrix = np.zeros((n, 3, dimensions, dimensions))
        for axis in range(first, 3):
            by_matrix[:, axis, axis - first] = offsets_um[:, first:]
        return np.concatenate([shifts, by_matrix.reshape(n, 3, -1)], axis=2)
    moved = offsets_um @ transform.matrix[:3, :3].T
    if dimensions == 2:
        moved[:, 0] = 0.0
    turns = np.einsum("kij,nj->nik", _ROTATIONS[:1] if dimensions == 2 else _ROTATIONS, moved)
    parts = [shifts, turns]
    if model == "similarity":
        parts.append(moved[:, :, None])
    return np.concatenate(parts, axis=2)


def leverage(fixed_um: FloatArray, weights: FloatArray, dimensions: int) -> FloatArray:
    """(n,) diagonal of the hat matrix of the weighted affine fit."""
    centre, size = normalisation(fixed_um)
    design = np.column_stack(
        [((fixed_um - centre) / size)[:, 3 - dimensions :], np.ones(len(fixed_um))]
    )
    return np.asarray(np.sum(np.linalg.qr(design * np.sqrt(weights)[:, None])[0] ** 2, axis=1))


def normalisation(points_um: FloatArray) -> tuple[FloatArray, float]:
    """Centre (3,) and isotropic scale (RMS distance from it, um) of points."""
    centre = points_um.mean(axis=0)
    scale = float(np.sqrt(np.mean(np.sum((points_um - centre) ** 2, axis=1))))
    return centre, scale if scale > 0 else 1.0


@dataclass(frozen=True, eq=False)
class _Moments:
    """Weighted means (..., 3) and sums of products about them (..., 3, 3)."""

    fixed_um: FloatArray
    moving_um: FloatArray
    fixed_fixed: FloatArray
    moving_fixed: FloatArray
    moving_moving: FloatArray


def _moments(fixed_um: FloatArray, moving_um: FloatArray, weights: FloatArray) -> _Moments:
    total = weights.sum()
    mean_fixed, mean_moving = weights @ fixed_um / total, weights @ moving_um / total
    f, m = fixed_um - mean_fixed, moving_um - mean_moving
    wf, wm = f * weights[:, None], m * weights[:, None]
    return _Moments(mean_fixed, mean_moving, wf.T @ f, wm.T @ f, wm.T @ m)


def _without_each(
    all_of: _Moments, fixed_um: FloatArray, moving_um: FloatArray, weights: FloatArray
) -> _Moments:
    """The moments of all landmarks but one, for each of them."""
    rest = weights.sum() - weights
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (weights / rest)[:, None]
        removed = (weights * weights.sum() / rest)[:, None, None]
    f, m = fixed_um - all_of.fixed_um, moving_um - all_of.moving_um
    return _Moments(
        all_of.fixed_um - ratio * f,
        all_of.moving_um - ratio * m,
        all_of.fixed_fixed - removed * f[:, :, None] * f[:, None],
        all_of.moving_fixed - removed * m[:, :, None] * f[:, None],
        all_of.moving_moving - removed * m[:, :, None] * m[:, None],
    )


def _linear_part(
    model: str, moments: _Moments, dimensions: int, noise: NoiseShape, scale: ScaleConvention
) -> FloatArray:
    """(..., 3, 3) linear parts of translations, rotations or similarities."""
    shape = moments.moving_fixed.shape
    if model == "translation":
        return np.broadcast_to(np.eye(3), shape).copy()
    first = 3 - dimensions
    square, product, moving = (
        a[..., first:, first:]
        for a in (moments.fixed_fixed, moments.moving_fixed, moments.moving_moving)
    )
    rotation, strength = _closest_rotation(product, square)
    size = np.ones(shape[:-2])
    if model == "similarity":
        trace = np.trace(square, axis1=-2, axis2=-1)
        if scale == "symmetric":
            size = np.sqrt(np.trace(moving, axis1=-2, axis2=-1) / trace)
        else:
            size = strength / trace
    part = rotation * size[..., None, None]
    if not noise.is_isotropic:
        generators = _ROTATIONS[:1] if dimensions == 2 else _ROTATIONS
        if model == "similarity" and scale == "least_squares":
            generators = np.concatenate([generators, np.eye(3)[None]])
        part = _descend(
            part,
            square,
            product,
            noise.precision[first:, first:],
            generators[:, first:, first:],
        )
    linear = np.broadcast_to(np.eye(3), shape).copy()
    linear[..., first:, first:] = part
    return linear


def _closest_rotation(product: FloatArray, square: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotations that maximise ``tr(R^T H)`` and that maximum (Kabsch 1976); never a reflection."""
    if product.shape[-1] == 2:
        a = product[..., 0, 0] + product[..., 1, 1]
        b = product[..., 0, 1] - product[..., 1, 0]
        strength = np.hypot(a, b)
        if product.ndim == 2 and strength <= 1e-12 * np.trace(square):
            raise FitError(
                "the landmarks agree with no rotation better than with another: "
                "look for mirrored or swapped landmarks, or use --model affine"
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            c, s = a / strength, b / strength
        return np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2), strength
    u, singular, vt = np.linalg.svd(product)
    sign = np.ones(singular.shape)
    sign[..., 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    return (u * sign[..., None, :]) @ vt, np.sum(singular * sign, axis=-1)


def _descend(
    part: FloatArray,
    square: FloatArray,
    product: FloatArray,
    precision: FloatArray,
    generators: FloatArray,
) -> FloatArray:
    """Gauss-Newton from `part` on ``sum w r^T S^-1 r``, as a function of the moments alone."""
    start = part
    for _ in range(_MOST_STEPS):
        rest = product - part @ square
        tangents = generators @ part[..., None, :, :]  # (..., k, d, d)
        weighed = precision @ tangents
        gradient = np.einsum("...kij,...ij->...k", weighed, rest)
        normal = np.einsum("...kij,...lij->...kl", weighed, tangents @ square[..., None, :, :])
        step = np.linalg.solve(normal, gradient[..., None])[..., 0]
        step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        part = _exponential(np.einsum("...k,kij->...ij", step, generators)) @ part
        if np.abs(step).max() < 1e-14:
            break
    # a descent that went astray (mirrored landmarks) is worse than its start
    worse = _misfit(part, square, product, precision) > _misfit(start, square, product, precision)
    return np.where(worse[..., None, None], start, part)


def _exponential(matrices: FloatArray) -> FloatArray:
    """Of (..., d, d) skew matrices plus multiples of 1: rotations (Rodrigues) times scales."""
    d = matrices.shape[-1]
    growth = np.trace(matrices, axis1=-2, axis2=-1)[..., None, None] / d
    skew = matrices - growth * np.eye(d)
    square = skew @ skew
    angle = np.sqrt(np.maximum(-np.trace(square, axis1=-2, axis2=-1) / 2, 0))[..., None, None]
    rotation = np.eye(d) + np.sinc(angle / np.pi) * skew
    rotation = rotation + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * square
    return np.asarray(np.exp(growth) * rotation)


def _misfit(
    part: FloatArray, square: FloatArray, product: FloatArray, precision: FloatArray
) -> FloatArray:
    """``sum w r^T S^-1 r`` but for a constant."""
    return np.asarray(np.einsum("...ij,...ij->...", precision @ part, part @ square - 2 * product))
