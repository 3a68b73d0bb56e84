"""Compiled loops of intensity registration: values of an image where an affine or a field leads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import inlined, serial

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]


@serial
def sample_affine(
    image: Float32Array,
    valid: Float32Array,
    matrix: FloatArray,
    values: Float32Array,
    inside: Float32Array,
    slopes: Float32Array,
) -> None:
    """Trilinear values, and their derivatives by the moving index, at ``matrix @ index``.

    Parameters
    ----------
    image, valid : (z, y, x) float32
        Moving image, and 1 where it has data (else 0).
    matrix : (4, 4) float64
        Fixed index to moving index.
    values, inside : (z, y, x) float32, written
        Of the fixed grid. `inside` is the interpolated `valid`, 0 beyond the image.
    slopes : (3, z, y, x) float32, written
    """
    n_z, n_y, n_x = values.shape
    for row in range(n_z * n_y):
        iz, iy = row // n_y, row % n_y
        for ix in range(n_x):
            z = matrix[0, 0] * iz + matrix[0, 1] * iy + matrix[0, 2] * ix + matrix[0, 3]
            y = matrix[1, 0] * iz + matrix[1, 1] * iy + matrix[1, 2] * ix + matrix[1, 3]
            x = matrix[2, 0] * iz + matrix[2, 1] * iy + matrix[2, 2] * ix + matrix[2, 3]
            _sample(image, valid, z, y, x, iz, iy, ix, values, inside, slopes)


@serial
def sample_field(
    image: Float32Array,
    valid: Float32Array,
    matrix: FloatArray,
    shift: FloatArray,
    values: Float32Array,
    inside: Float32Array,
    slopes: Float32Array,
) -> None:
    """As :func:`sample_affine` at ``matrix @ (index + shift)``; `shift` is (3, z, y, x) float64."""
    n_z, n_y, n_x = values.shape
    for row in range(n_z * n_y):
        iz, iy = row // n_y, row % n_y
        for ix in range(n_x):
            a = iz + shift[0, iz, iy, ix]
            b = iy + shift[1, iz, iy, ix]
            c = ix + shift[2, iz, iy, ix]
            z = matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + matrix[0, 3]
            y = matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + matrix[1, 3]
            x = matrix[2, 0] * a + matrix[2, 1] * b + matrix[2, 2] * c + matrix[2, 3]
            _sample(image, valid, z, y, x, iz, iy, ix, values, inside, slopes)


@inlined
def _sample(
    image: Any,
    valid: Any,
    z: float,
    y: float,
    x: float,
    iz: int,
    iy: int,
    ix: int,
    values: Any,
    inside: Any,
    slopes: Any,
) -> None:
    m_z, m_y, m_x = image.shape
    in_reach = -0.5 <= z <= m_z - 0.5 and -0.5 <= y <= m_y - 0.5 and -0.5 <= x <= m_x - 0.5
    if not in_reach:
        values[iz, iy, ix] = 0.0
        inside[iz, iy, ix] = 0.0
        slopes[0, iz, iy, ix] = 0.0
        slopes[1, iz, iy, ix] = 0.0
        slopes[2, iz, iy, ix] = 0.0
    else:
        z = min(max(z, 0.0), m_z - 1.0)
        y = min(max(y, 0.0), m_y - 1.0)
        x = min(max(x, 0.0), m_x - 1.0)
        z0, y0, x0 = min(int(z), max(m_z - 2, 0)), min(int(y), m_y - 2), min(int(x), m_x - 2)
        fz, fy, fx = z - z0, y - y0, x - x0
        total, known, d_z, d_y, d_x = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(1 if m_z == 1 else 2):
            w_z = (fz if k else 1.0 - fz) if m_z > 1 else 1.0
            s_z = (1.0 if k else -1.0) if m_z > 1 else 0.0
            v00 = image[z0 + k, y0, x0]
            v01 = image[z0 + k, y0, x0 + 1]
            v10 = image[z0 + k, y0 + 1, x0]
            v11 = image[z0 + k, y0 + 1, x0 + 1]
            low = v00 + fx * (v01 - v00)
            high = v10 + fx * (v11 - v10)
            plane = low + fy * (high - low)
            total += w_z * plane
            d_z += s_z * plane
            d_y += w_z * (high - low)
            d_x += w_z * ((1.0 - fy) * (v01 - v00) + fy * (v11 - v10))
            known += w_z * (
                (1.0 - fy) * ((1.0 - fx) * valid[z0 + k, y0, x0] + fx * valid[z0 + k, y0, x0 + 1])
                + fy * ((1.0 - fx) * valid[z0 + k, y0 + 1, x0] + fx * valid[z0 + k, y0 + 1, x0 + 1])
            )
        values[iz, iy, ix] = total
        inside[iz, iy, ix] = known
        slopes[0, iz, iy, ix] = d_z
        slopes[1, iz, iy, ix] = d_y
        slopes[2, iz, iy, ix] = d_x
