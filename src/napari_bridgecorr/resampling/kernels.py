"""Compiled inner loops of resampling. One voxel is summed by one thread, in a fixed order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel
from ..transform.lattice_kernels import map_row

FloatArray = NDArray[np.float64]


@parallel
def interpolate(
    positions: FloatArray,
    region: NDArray[Any],
    region_start: NDArray[np.int64],
    image_shape: NDArray[np.int64],
    out: NDArray[Any],
    missed: NDArray[np.int64],
) -> None:
    """Trilinear values at positions; what :func:`accumulate` gives for one sample, and quicker.

    Parameters
    ----------
    positions : (n, 3) float64
        Fractional indices of the moving image.
    region : (c, z, y, x) float32 or float64
        The part of the moving image that was read.
    region_start, image_shape : (3,) int64
        Where the region begins, and the size of the whole image.
    out : (c, n) of the region's type
        NaN outside the image and where a NaN is touched.
    missed : (n_chunks,) int64
        Number of positions that lie in the image but not in the region, per chunk of the loop.
    """
    n, n_channels = positions.shape[0], region.shape[0]
    last_z, last_y, last_x = image_shape[0] - 1, image_shape[1] - 1, image_shape[2] - 1
    r_z, r_y, r_x = region.shape[1], region.shape[2], region.shape[3]
    n_chunks = missed.size
    for chunk in prange(n_chunks):
        for i in range(chunk * n // n_chunks, (chunk + 1) * n // n_chunks):
            z, y, x = positions[i, 0], positions[i, 1], positions[i, 2]
            inside = (
                -0.5 <= z <= last_z + 0.5
                and -0.5 <= y <= last_y + 0.5
                and -0.5 <= x <= last_x + 0.5
            )
            if not inside:  # NaN too
                for c in range(n_channels):
                    out[c, i] = np.nan
                continue
            z, y, x = min(max(z, 0.0), last_z), min(max(y, 0.0), last_y), min(max(x, 0.0), last_x)
            z0, y0, x0 = int(z), int(y), int(x)
            fz, fy, fx = z - z0, y - y0, x - x0
            z0, y0, x0 = z0 - region_start[0], y0 - region_start[1], x0 - region_start[2]
            # a neighbour of no weight may lie beyond the image: take the voxel itself
            z1 = z0 + 1 if fz > 0.0 else z0
            y1 = y0 + 1 if fy > 0.0 else y0
            x1 = x0 + 1 if fx > 0.0 else x0
            if z0 < 0 or y0 < 0 or x0 < 0 or z1 >= r_z or y1 >= r_y or x1 >= r_x:
                missed[chunk] += 1
                continue
            gx = 1.0 - fx
            for c in range(n_channels):
                v = region[c]
                low = (v[z0, y0, x0] * gx + v[z0, y0, x1] * fx) * (1.0 - fy)
                low += (v[z0, y1, x0] * gx + v[z0, y1, x1] * fx) * fy
                high = (v[z1, y0, x0] * gx + v[z1, y0, x1] * fx) * (1.0 - fy)
                high += (v[z1, y1, x0] * gx + v[z1, y1, x1] * fx) * fy
                out[c, i] = low * (1.0 - fz) + high * fz


@parallel
def interpolate_rows(
    z_index: FloatArray,
    y_index: FloatArray,
    x_index: FloatArray,
    linear: FloatArray,
    offset: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    planar: bool,
    outer: float,
    planes: FloatArray,
    step: NDArray[np.int64],
    first_cell: NDArray[np.int64],
    region: NDArray[Any],
    region_start: NDArray[np.int64],
    image_shape: NDArray[np.int64],
    out: NDArray[Any],
    missed: NDArray[np.int64],
) -> None:
    """What :func:`interpolate` gives at the positions of a lattice, which are never stored.

    The first arguments are those of :func:`~napari_bridgecorr.transform.lattice_kernels.map_row`.

    Parameters
    ----------
    out : (c, z, y, x) of the region's type
    missed : (z * y,) int64
        Number of positions of a row that lie in the image but not in the region.
    """
    n_channels, nx = region.shape[0], x_index.size
    last_z, last_y, last_x = image_shape[0] - 1, image_shape[1] - 1, image_shape[2] - 1
    r_z, r_y, r_x = region.shape[1], region.shape[2], region.shape[3]
    for line in prange(z_index.size * y_index.size):
        iz, iy = line // y_index.size, line % y_index.size
        row = np.empty((3, nx))
        map_row(
            z_index[iz], y_index[iy], x_index, linear, offset, to_u, control, weights, planar,
            outer, planes[min(iz, planes.shape[0] - 1)], step, first_cell, row,
        )  # fmt: skip
        for i in range(nx):
            z, y, x = row[0, i], row[1, i], row[2, i]
            inside = (
                -0.5 <= z <= last_z + 0.5
                and -0.5 <= y <= last_y + 0.5
                and -0.5 <= x <= last_x + 0.5
            )
            if not inside:  # NaN too
                for c in range(n_channels):
                    out[c, iz, iy, i] = np.nan
                continue
            z, y, x = min(max(z, 0.0), last_z), min(max(y, 0.0), last_y), min(max(x, 0.0), last_x)
            z0, y0, x0 = int(z), int(y), int(x)
            fz, fy, fx = z - z0, y - y0, x - x0
            z0, y0, x0 = z0 - region_start[0], y0 - region_start[1], x0 - region_start[2]
            # a neighbour of no weight may lie beyond the image: take the voxel itself
            z1 = z0 + 1 if fz > 0.0 else z0
            y1 = y0 + 1 if fy > 0.0 else y0
            x1 = x0 + 1 if fx > 0.0 else x0
            if z0 < 0 or y0 < 0 or x0 < 0 or z1 >= r_z or y1 >= r_y or x1 >= r_x:
                missed[line] += 1
                continue
            gx = 1.0 - fx
            for c in range(n_channels):
                v = region[c]
                low = (v[z0, y0, x0] * gx + v[z0, y0, x1] * fx) * (1.0 - fy)
                low += (v[z0, y1, x0] * gx + v[z0, y1, x1] * fx) * fy
                high = (v[z1, y0, x0] * gx + v[z1, y0, x1] * fx) * (1.0 - fy)
                high += (v[z1, y1, x0] * gx + v[z1, y1, x1] * fx) * fy
                out[c, iz, iy, i] = low * (1.0 - fz) + high * fz


@parallel
def accumulate(
    positions: FloatArray,
    region: NDArray[Any],
    region_start: NDArray[np.int64],
    image_shape: NDArray[np.int64],
    bricks: NDArray[np.int64],
    stepped: NDArray[np.bool_],
    sums: FloatArray,
    counts: NDArray[np.int64],
    missed: NDArray[np.int64],
) -> None:
    """Add the moving image at sample positions into the voxels that they belong to.

    Parameters
    ----------
    positions : (n, 3) float64
        Sample positions as fractional indices of the moving image, ordered
        (fine z, voxel y, sample y, voxel x, sample x).
    region : (c, z, y, x) float32 or float64
        The part of the moving image that was read.
    region_start, image_shape : (3,) int64
        Where the region begins, and the size of the whole image.
    bricks : (5,) int64
        Number of fine z, voxels y, samples y, voxels x, samples x.
    stepped : (3,) bool
        Per axis of the moving image: take the voxel that holds the sample (the image as a step
        function) instead of interpolating linearly.
    sums, counts : (c, fine z, voxels y, voxels x)
        Added to.
    missed : (fine z * voxels y,) int64
        Number of samples that lie in the image but not in the region.

    Notes
    -----
    A sample counts if it lies within the voxels' extent (-0.5 to n - 0.5), beyond the outermost
    centres with the value of the edge; a sample that touches a NaN does not count.
    """
    nz, ny, my, nx, mx = bricks[0], bricks[1], bricks[2], bricks[3], bricks[4]
    n_channels = region.shape[0]
    for row in prange(nz * ny):
        iz, iy = row // ny, row % ny
        low = np.empty(3, np.int64)
        high = np.empty(3, np.int64)
        part = np.empty(3)
        for j in range(my):
            start = (row * my + j) * nx * mx
            for i in range(nx * mx):
                ix = i // mx
                inside = True
                here = True
                for a in range(3):
                    p = positions[start + i, a]
                    last = image_shape[a] - 1
                    if not (-0.5 <= p <= last + 0.5):  # NaN fails too
                        inside = False
                        break
                    p = min(max(p, 0.0), float(last))
                    if stepped[a]:
                        first = min(int(p + 0.5), last)
                        part[a] = 0.0
                        second = first
                    else:
                        first = min(int(p), max(last - 1, 0))
                        part[a] = p - first
                        second = first + 1 if part[a] > 0.0 else first
                    low[a] = first - region_start[a]
                    high[a] = second - region_start[a]
                    if low[a] < 0 or high[a] >= region.shape[a + 1]:
                        here = False
                if not inside:
                    continue
                if not here:
                    missed[row] += 1
                    continue
                fz, fy, fx = part[0], part[1], part[2]
                for c in range(n_channels):
                    v = region[c]
                    z0y0 = v[low[0], low[1], low[2]] * (1 - fx) + v[low[0], low[1], high[2]] * fx
                    z0y1 = v[low[0], high[1], low[2]] * (1 - fx) + v[low[0], high[1], high[2]] * fx
                    z1y0 = v[high[0], low[1], low[2]] * (1 - fx) + v[high[0], low[1], high[2]] * fx
                    z1y1 = (
                        v[high[0], high[1], low[2]] * (1 - fx) + v[high[0], high[1], high[2]] * fx
                    )
                    z0 = z0y0 * (1 - fy) + z0y1 * fy
                    z1 = z1y0 * (1 - fy) + z1y1 * fy
                    value = z0 * (1 - fz) + z1 * fz
                    if not math.isnan(value):
                        sums[c, iz, iy, ix] += value
                        counts[c, iz, iy, ix] += 1
