"""How alike the surroundings of a place are in one image and, at every shift, in another."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def likeness(
    first: Float32Array,
    second: Float32Array,
    places: FloatArray,
    window: Float32Array,
    reach: tuple[int, int, int],
) -> Float32Array:
    """Correlation of windows about places with shifted windows of another array.

    Parameters
    ----------
    first, second : (z, y, x) float32
        NaN where nothing is known: such voxels do not count.
    places : (n, 3) float64
        In voxels; the nearest voxel is taken.
    window : (2 a + 1, 2 b + 1, 2 c + 1) float32
        Weights about a place.
    reach : three int
        Largest shift along z, y, x.

    Returns
    -------
    (n, 2 reach_z + 1, 2 reach_y + 1, 2 reach_x + 1) float32
        Correlation coefficients; 0 where less than half of the window is known.
    """
    out = np.zeros((len(places), *[2 * r + 1 for r in reach]), dtype=np.float32)
    _correlate(
        np.ascontiguousarray(first),
        np.ascontiguousarray(second),
        np.rint(places).astype(np.int64),
        np.ascontiguousarray(window),
        out,
    )
    return out


@numba.njit(cache=True, nogil=True)
def _correlate(
    first: Float32Array,
    second: Float32Array,
    places: IntArray,
    window: Float32Array,
    out: Float32Array,
) -> None:
    wz, wy, wx = window.shape[0] // 2, window.shape[1] // 2, window.shape[2] // 2
    rz, ry, rx = out.shape[1] // 2, out.shape[2] // 2, out.shape[3] // 2
    nz, ny, nx = first.shape
    whole = window.sum()
    for n in range(places.shape[0]):
        z, y, x = places[n, 0], places[n, 1], places[n, 2]
        for sz in range(-rz, rz + 1):
            for sy in range(-ry, ry + 1):
                for sx in range(-rx, rx + 1):
                    sw, sa, sb, saa, sbb, sab = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
                    for i in range(-wz, wz + 1):
                        az, bz = z + i, z + i + sz
                        if az < 0 or az >= nz or bz < 0 or bz >= nz:
                            continue
                        for j in range(-wy, wy + 1):
                            ay, by = y + j, y + j + sy
                            if ay < 0 or ay >= ny or by < 0 or by >= ny:
                                continue
                            for k in range(-wx, wx + 1):
                                ax, bx = x + k, x + k + sx
                                if ax < 0 or ax >= nx or bx < 0 or bx >= nx:
                                    continue
                                a, b = first[az, ay, ax], second[bz, by, bx]
                                if np.isnan(a) or np.isnan(b):
                                    continue
                                w = window[i + wz, j + wy, k + wx]
                                sw += w
                                sa += w * a
                                sb += w * b
                                saa += w * a * a
                                sbb += w * b * b
                                sab += w * a * b
                    if sw < 0.5 * whole:
                        continue
                    va, vb = saa - sa * sa / sw, sbb - sb * sb / sw
                    if va > 1e-12 * saa and vb > 1e-12 * sbb:
                        c = (sab - sa * sb / sw) / np.sqrt(va * vb)
                        out[n, sz + rz, sy + ry, sx + rx] = c
