"""How much a voxel looks like a vessel: the middle curvature of the image, at several widths.

A tube curves in two directions, a sheet in one, noise in none for long. So the second largest
curvature towards darker tissue (Hessian eigenvalue; Sato et al., Medical Image Analysis 2, 1998) is
large within tubes, stays large where they join, and is small at edges of the sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float32Array = NDArray[np.float32]
Polarity = Literal["bright", "dark"]

WIDTHS = (0.85, 1.3, 2.0)
"""Standard deviations of the blurs, in lengths of the scale that is looked at."""
REACH = 4.0 * WIDTHS[-1] + 2.0
"""How far around a voxel, in such lengths, its strength depends on the image."""

# blurs between which vessels are looked for to tell bright from dark, in lengths of the scale
_BAND = (0.5, 3.0)
_ROBUST_SD = 1.48
_ODDS_PER_SKEWNESS, _MOST_ODDS = 2.0, 4.0
_LEAST_CONTRAST = 1e-6


def ridge_strength(
    array: Float32Array,
    spacing_um: Sequence[float],
    scale_um: float,
    polarity: Polarity,
) -> Float32Array:
    """(z, y, x) float32 likeness to a vessel, >= 0, in units of the image's intensity.

    Parameters
    ----------
    array : (z, y, x) float32
        NaN outside the data; an image with one plane is flat.
    spacing_um : three float
        Along z, y, x.
    scale_um : float
        Vessels of about this radius and up to three times it are looked for.
    polarity : {"bright", "dark"}
        Of the vessels, beside the tissue round them.

    Notes
    -----
    The strength is ``sigma^2`` times the second largest curvature (in a flat image: the largest
    less half of the other one), the maximum over the widths. What lies outside the data is filled
    with its surroundings; it has strength 0, as have voxels within one scale of it.
    """
    known = np.isfinite(array)
    if not known.any():
        return np.zeros(array.shape, dtype=np.float32)
    values = _filled(array, known, spacing_um, scale_um)
    if polarity == "dark":
        values = -values
    found = np.zeros(array.shape, dtype=np.float32)
    for width in WIDTHS:
        sigma = np.array([width * scale_um / s for s in spacing_um])
        np.maximum(found, _strength(values, sigma), out=found)
    if not known.all():
        steps = [
            max(1, round(scale_um / s)) if n > 1 else 0
            for s, n in zip(spacing_um, array.shape, strict=True)
        ]
        near = ndimage.maximum_filter(~known, size=[2 * k + 1 for k in steps])
        found[near] = 0.0
    return found


def vessel_band(
    array: Float32Array,
    spacing_um: Sequence[float],
    scale_um: float,
    polarity: Polarity,
) -> Float32Array:
    """(z, y, x) float32: the image less what is much wider than vessels; these are bright in it.

    Sharper than :func:`ridge_strength`, as nothing is blurred: places are told to parts of a voxel.

    Parameters
    ----------
    array : (z, y, x) float32
        NaN outside the data, and so is the result.
    spacing_um : three float
        Along z, y, x.
    scale_um : float
    polarity : {"bright", "dark"}
    """
    known = np.isfinite(array)
    if not known.any():
        return array
    values = _filled(array, known, spacing_um, scale_um)
    wide = ndimage.gaussian_filter(
        values,
        [
            _BAND[1] * scale_um / s if n > 1 else 0.0
            for s, n in zip(spacing_um, array.shape, strict=True)
        ],
    )
    found = values - wide if polarity == "bright" else wide - values
    # what is of the other polarity is no vessel, however strong
    np.maximum(found, -_ROBUST_SD * np.median(np.abs(found[known])), out=found)
    found[~known] = np.nan
    return np.asarray(found, dtype=np.float32)


def vessel_polarity(array: Float32Array, spacing_um: Sequence[float], scale_um: float) -> Polarity:
    """Whether the vessels are brighter or darker than the tissue."""
    return "bright" if brightness_odds(array, spacing_um, scale_um) >= 0 else "dark"


def brightness_odds(array: Float32Array, spacing_um: Sequence[float], scale_um: float) -> float:
    """How much speaks for bright vessels (> 0) or dark ones (< 0), in logarithms of odds.

    Vessels fill little of the tissue: of what is about as wide as they are, the values are skewed
    towards them. Limited, since a few bright spots of something else are skewed as well.

    Parameters
    ----------
    array : (z, y, x) float32
        NaN outside the data.
    spacing_um : three float
    scale_um : float
    """
    known = np.isfinite(array)
    if not known.any():
        return 0.0
    values = _filled(array, known, spacing_um, scale_um)
    narrow, wide = (
        ndimage.gaussian_filter(
            values,
            [
                width * scale_um / s if n > 1 else 0.0
                for s, n in zip(spacing_um, array.shape, strict=True)
            ],
        )
        for width in _BAND
    )
    band = (narrow - wide)[known].astype(np.float64)
    spread = float(band.std())
    if spread <= _LEAST_CONTRAST * max(float(np.abs(values[known]).max()), 1e-30):
        return 0.0
    skewness = float(np.mean(((band - band.mean()) / spread) ** 3))
    return float(np.clip(_ODDS_PER_SKEWNESS * skewness, -_MOST_ODDS, _MOST_ODDS))


def _strength(values: Float32Array, sigma: NDArray[np.float64]) -> Float32Array:
    axes = [a for a in range(3) if values.shape[a] > 1]
    if len(axes) < 2:
        return np.zeros(values.shape, dtype=np.float32)
    smooth = np.where([n > 1 for n in values.shape], sigma, 0.0)
    second = {}
    for i, a in enumerate(axes):
        for b in axes[i:]:
            order = [0, 0, 0]
            order[a] += 1
            order[b] += 1
            # along each axis in voxels times sigma^2 in voxels: no unit is left
            derivative = ndimage.gaussian_filter(
                values, smooth, order=order, mode="nearest", truncate=3.5
            )
            second[a, b] = derivative * np.float32(smooth[a] * smooth[b])
    if len(axes) == 2:
        a, b = axes
        mean = (second[a, a] + second[b, b]) / 2
        root = np.hypot((second[a, a] - second[b, b]) / 2, second[a, b])
        first, other = -(mean - root), -(mean + root)
        return np.asarray(np.maximum(first - 0.5 * np.abs(other), 0.0), dtype=np.float32)
    return np.maximum(-_middle_eigenvalue(second), 0.0).astype(np.float32)


def _middle_eigenvalue(second: dict[tuple[int, int], Float32Array]) -> Float32Array:
    """Of symmetric 3 x 3 matrices, by the trigonometric solution of the cubic."""
    xx, yy, zz = second[0, 0], second[1, 1], second[2, 2]
    xy, xz, yz = second[0, 1], second[0, 2], second[1, 2]
    mean = (xx + yy + zz) / 3
    spread = (
        (xx - mean) ** 2 + (yy - mean) ** 2 + (zz - mean) ** 2 + 2 * (xy**2 + xz**2 + yz**2)
    ) / 6
    p = np.sqrt(np.maximum(spread, np.finfo(np.float32).tiny))
    a, b, c = (xx - mean) / p, (yy - mean) / p, (zz - mean) / p
    d, e, f = xy / p, xz / p, yz / p
    half = (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)) / 2
    angle = np.arccos(np.clip(half, -1.0, 1.0)) / 3
    largest = 2 * np.cos(angle)
    smallest = 2 * np.cos(angle + 2 * np.pi / 3)
    return np.asarray(mean - p * (largest + smallest), dtype=np.float32)


def _filled(
    array: Float32Array,
    known: NDArray[np.bool_],
    spacing_um: Sequence[float],
    scale_um: float,
) -> Float32Array:
    """The image with NaN replaced by a mean of what is near, so that its edge is no ridge."""
    if known.all():
        return np.asarray(array, dtype=np.float32)
    middle = np.float32(np.median(array[known]))
    values = np.where(known, array - middle, 0).astype(np.float32)
    sigma = [
        2 * scale_um / s if n > 1 else 0.0 for s, n in zip(spacing_um, array.shape, strict=True)
    ]
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma)
    near = ndimage.gaussian_filter(values, sigma) / np.maximum(weight, np.float32(1e-3))
    return np.asarray(np.where(known, values, near), dtype=np.float32)
