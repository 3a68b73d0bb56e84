"""Vessels, tumour cells and brain as exact shapes, and what part of each voxel they fill.

One kernel answers for every instrument: it cuts each voxel into small boxes, carries the boxes'
centres into the tissue through the deformation, and adds up.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..progress import Progress
from .deformation import SmoothDeformation
from .room import Surface
from .tubes import TubeIndex, Tubes, gather, nearest, nearest_of

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]

PARTS = ("vessels", "tumour", "brain", "coverage")
# voxels of which no part is farther than this from their centre ask once for the tubes near them
_SMALL_UM = 25.0
_INDEX_CELL_UM = 16.0
# width of the ramp across a cell's surface, as a part of a box's edge
_CELL_RAMP = 0.25


@dataclass(frozen=True, eq=False)
class Tissue:
    """The sample itself, in the two-photon world.

    Parameters
    ----------
    vessels, cells : Tubes
        Vessels, and tumour cells. They do not overlap.
    surface : Surface
        Below it is brain.
    lower_um, upper_um : (3,) float64
        Corners of the box outside of which there are neither vessels nor cells.
    """

    vessels: Tubes
    cells: Tubes
    surface: Surface
    lower_um: FloatArray
    upper_um: FloatArray

    def indexed(self, reach_um: float) -> tuple[TubeIndex, TubeIndex]:
        """Vessels and cells, each found from up to `reach_um` away."""
        box = (self.lower_um, self.upper_um, _INDEX_CELL_UM, reach_um)
        return TubeIndex.build(self.vessels, *box), TubeIndex.build(self.cells, *box)


def fill_fractions(
    tissue: Tissue,
    grid: Grid,
    deformation: SmoothDeformation | None,
    window: Grid,
    subdivisions: tuple[int, int, int],
    progress: Progress,
) -> Float32Array:
    """What part of each voxel vessels, tumour cells, brain and the window fill.

    Parameters
    ----------
    tissue : Tissue
    grid : Grid
        The voxels, in fixed world (or in the tissue's own if `deformation` is None).
    deformation : SmoothDeformation or None
        From the grid's world to the tissue's.
    window : Grid
        Axis-aligned grid in the tissue's world whose extent counts as covered.
    subdivisions : (int, int, int)
        Boxes that a voxel is cut into along z, y, x.
    progress : Progress
        Told of each plane.

    Returns
    -------
    (4, nz, ny, nx) float32
        Fractions in [0, 1] of the voxel's volume, in the order of :data:`PARTS`.

    Notes
    -----
    A box counts with ``clip(1/2 - d / h, 0, 1)``, d the signed distance of its centre from the
    surface (moved for its curvature, see `tube_distance`) and h its edge: exact for a plane face
    parallel to the box.
    """
    if deformation is None:
        deformation = SmoothDeformation(np.eye(4), (), (), ())
    out = np.empty((len(PARTS), *grid.shape), dtype=np.float32)
    first, last = window.to_world(np.array([np.zeros(3), window.shape]) - 0.5)
    size = np.asarray(grid.voxel_size_um)
    edge = float(np.mean(size / subdivisions))
    # no box of a voxel lies farther than this from its mapped centre, ramp included
    radius = float(np.linalg.norm(size)) / 2 * deformation.largest_stretch() + edge
    small = radius < _SMALL_UM
    vessels, cells = tissue.indexed(radius if small else edge)
    s = tissue.surface
    fill = partial(
        _fill_plane,
        out,
        np.ascontiguousarray(grid.index_to_world),
        np.array(subdivisions, dtype=np.int64),
        small,
        edge,
        radius,
        (
            np.array(deformation.matrix),
            np.array(deformation.centres_um),
            1 / (2 * deformation.widths_um**2),
            np.array(deformation.weights_um),
        ),
        vessels.bundle(),
        cells.bundle(),
        np.array([s.depth_um, s.bulge_per_um, *s.centre_um]),
        np.stack([np.minimum(first, last), np.maximum(first, last)]),
    )
    # planes are independent, so threads change the speed and nothing else
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        try:
            for _ in pool.map(fill, range(grid.shape[0])):
                progress.advance()
        except BaseException:
            # cancelled: drop the planes that nobody waits for
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return out


@numba.njit(inline="always")
def _carry(
    j: FloatArray,
    q: FloatArray,
    affine: FloatArray,
    matrix: FloatArray,
    centres: FloatArray,
    inverse_widths: FloatArray,
    weights: FloatArray,
) -> None:
    """Write into q where the deformation carries the voxel index j."""
    pz = affine[0, 0] * j[0] + affine[0, 1] * j[1] + affine[0, 2] * j[2] + affine[0, 3]
    py = affine[1, 0] * j[0] + affine[1, 1] * j[1] + affine[1, 2] * j[2] + affine[1, 3]
    px = affine[2, 0] * j[0] + affine[2, 1] * j[1] + affine[2, 2] * j[2] + affine[2, 3]
    for r in range(3):
        q[r] = matrix[r, 0] * pz + matrix[r, 1] * py + matrix[r, 2] * px + matrix[r, 3]
    for k in range(centres.shape[0]):
        dz, dy, dx = pz - centres[k, 0], py - centres[k, 1], px - centres[k, 2]
        h = np.exp(-(dz * dz + dy * dy + dx * dx) * inverse_widths[k])
        for r in range(3):
            q[r] += weights[k, r] * h


@numba.njit(inline="always")
def _outside(q: FloatArray, d: FloatArray, surface: FloatArray, window: FloatArray) -> None:
    """Write into d[2:] how far q is outside of the brain and the window (um, negative inside)."""
    dy, dx = q[1] - surface[2], q[2] - surface[3]
    d[2] = surface[0] + surface[1] * (dy * dy + dx * dx) - q[0]
    d[3] = -np.inf
    for r in range(3):
        d[3] = max(d[3], window[0, r] - q[r], q[r] - window[1, r])


@numba.njit(cache=True, nogil=True)
def _fill_plane(
    out: Float32Array,
    affine: FloatArray,
    parts: IntArray,
    small: bool,
    edge: float,
    radius: float,
    deformation: Any,
    vessels: Any,
    cells: Any,
    surface: FloatArray,
    window: FloatArray,
    iz: int,
) -> None:
    """Fractions of the voxels of plane iz."""
    # taken apart once: inside the loops, counting references to arrays would cost the most
    matrix, centres, inverse_widths, weights = deformation
    v_tubes, v_lower, v_counts, v_cell, v_reach, v_offsets, v_items = vessels
    c_tubes, c_lower, c_counts, c_cell, c_reach, c_offsets, c_items = cells
    softening = edge * edge / 24.0
    # cells touch each other: a ramp as wide as a box would count the seams between them as empty
    cell_edge = _CELL_RAMP * edge
    cell_softening = cell_edge * cell_edge / 24.0
    n_boxes = parts[0] * parts[1] * parts[2]
    near_vessels, near_cells = np.empty(64, dtype=np.int64), np.empty(64, dtype=np.int64)
    j, q, d, sums = np.empty(3), np.empty(3), np.empty(4), np.empty(4)
    for iy in range(out.shape[2]):
        for ix in range(out.shape[3]):
            n_vessels, n_cells = -1, -1
            if small:
                j[0], j[1], j[2] = iz, iy, ix
                _carry(j, q, affine, matrix, centres, inverse_widths, weights)
                _outside(q, d, surface, window)
                n_vessels = gather(
                    q[0], q[1], q[2],
                    v_tubes, v_lower, v_counts, v_cell, v_offsets, v_items, radius, near_vessels,
                )  # fmt: skip
                n_cells = gather(
                    q[0], q[1], q[2],
                    c_tubes, c_lower, c_counts, c_cell, c_offsets, c_items, radius, near_cells,
                )  # fmt: skip
                if n_vessels == 0 and n_cells == 0 and min(abs(d[2]), abs(d[3])) > radius:
                    # most voxels: no surface passes through
                    out[0, iz, iy, ix] = 0.0
                    out[1, iz, iy, ix] = 0.0
                    out[2, iz, iy, ix] = 1.0 if d[2] < 0 else 0.0
                    out[3, iz, iy, ix] = 1.0 if d[3] < 0 else 0.0
                    continue
            sums[:] = 0.0
            for a in range(parts[0]):
                j[0] = iz - 0.5 + (a + 0.5) / parts[0]
                for b in range(parts[1]):
                    j[1] = iy - 0.5 + (b + 0.5) / parts[1]
                    for c in range(parts[2]):
                        j[2] = ix - 0.5 + (c + 0.5) / parts[2]
                        _carry(j, q, affine, matrix, centres, inverse_widths, weights)
                        _outside(q, d, surface, window)
                        z, y, x = q[0], q[1], q[2]
                        if n_vessels >= 0:
                            d[0] = nearest_of(z, y, x, v_tubes, near_vessels, n_vessels, softening)
                        else:
                            d[0] = nearest(
                                z, y, x,
                                v_tubes, v_lower, v_counts, v_cell, v_reach, v_offsets, v_items,
                                softening,
                            )  # fmt: skip
                        if n_cells >= 0:
                            d[1] = nearest_of(z, y, x, c_tubes, near_cells, n_cells, cell_softening)
                        else:
                            d[1] = nearest(
                                z, y, x,
                                c_tubes, c_lower, c_counts, c_cell, c_reach, c_offsets, c_items,
                                cell_softening,
                            )  # fmt: skip
                        d[1] /= _CELL_RAMP
                        for p in range(4):
                            sums[p] += min(1.0, max(0.0, 0.5 - d[p] / edge))
            for p in range(4):
                out[p, iz, iy, ix] = sums[p] / n_boxes
