"""A map over a lattice of voxels: much quicker than kernel by kernel, to a stated error.

Every kernel ``U`` is split at a radius: ``U = S + N``. ``S`` is the kernel outside the radius and a
polynomial of the squared distance inside, which agrees with it in value and three derivatives; it
is smooth, and is interpolated by cubics from a coarse grid. ``N`` is zero outside the radius and
is added exactly to the few voxels that it reaches. The coarse grid itself may be made in the same
way from a coarser one with a larger radius. A landmark of little weight has a small radius.

The error is that of the interpolations. It is bounded by the fourth derivatives of ``S``, whose
largest sum anywhere is found by dividing space (:mod:`.lattice_bound`): nothing is estimated from
samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .lattice_plan import Level

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Shape = tuple[int, int, int]
Axes = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class LatticeMap:
    """A map from fixed to moving voxel indices, in the parts that the compiled loops take.

    ``index -> affine (index, 1) + sum_i weights_i U(|to_u(index) - control_i|)``

    Parameters
    ----------
    matrix : (3, 4) float64
        The affine part.
    to_u : (3, 4) float64
        Fixed index to the coordinates in which distances are taken.
    control : (3, m) float64
        Landmarks in those coordinates; m = 0 for an affine map.
    weights : (3, m) float64
        Kernel weights in moving voxels.
    kind : {0, 1, 2, 3, 4}
        The kernel; see :mod:`.lattice_bound`. Kind 1 takes distances along the last two
        coordinates only.
    levels : tuple of Level
        Coarse grids, coarsest first; none: every kernel at every voxel.
    error_bound_voxels : float
        No mapped index is further than this from the exact one.
    """

    matrix: FloatArray
    to_u: FloatArray
    control: FloatArray
    weights: FloatArray
    kind: int = 0
    levels: tuple[Level, ...] = ()
    error_bound_voxels: float = 0.0

    @classmethod
    def affine(cls, matrix: FloatArray) -> LatticeMap:
        """From a (4, 4) matrix on index columns."""
        none = np.zeros((3, 0))
        return cls(np.ascontiguousarray(matrix[:3]), np.eye(4)[:3].copy(), none, none)

    @property
    def is_affine(self) -> bool:
        """Whether there are no kernels."""
        return bool(self.control.shape[1] == 0)

    def planned(self, shape: Shape, tolerance_voxels: float) -> LatticeMap:
        """The same map with the quickest coarse grids for a tolerance.

        Parameters
        ----------
        shape : (int, int, int)
            Fixed voxels that will be mapped: the indices from -1/2 to shape - 1/2.
        tolerance_voxels : float
            Largest allowed error of a mapped index, in moving voxels; 0: exact.
        """
        exact = replace(self, levels=(), error_bound_voxels=0.0)
        if self.is_affine or tolerance_voxels <= 0:
            return exact
        from .lattice_plan import plan

        found = plan(self, shape, tolerance_voxels)
        if found is None:
            return exact
        return replace(self, levels=found[0], error_bound_voxels=found[1])

    def row_arguments(self, axes: Axes) -> tuple[Any, ...]:
        """What the compiled loops take of the map over a lattice, from `matrix` to the coarse grid.

        Parameters
        ----------
        axes : three (n_a,) float64
            Fixed indices along z, y, x, ascending.

        Returns
        -------
        matrix, to_u, control, weights, kind
        radius, polynomials : (m,), (m, 5)
            Of the finest coarse grid.
        planes : (z or 1, 3, y', x') float64
            The finest coarse grid at each z of `axes`; of no z without one.
        step, first_cell : (3,) int64
            Its step and its first cell; cell c takes the nodes c - 1 to c + 2.
        """
        from .lattice_bound import polynomials
        from .lattice_kernels import node_values, planes_of

        parts: tuple[Any, ...] = (self.to_u, self.control, self.weights, self.kind)
        no_matrix = np.zeros((3, 4))
        lattices = [axes]
        for level in reversed(self.levels):
            lattices.insert(0, self._node_axes(lattices[0], level.step))
        radius, inside = np.zeros(0), np.zeros((0, 5))
        planes, step, first = np.zeros((0, 3, 0, 0)), _ONES, np.zeros(3, np.int64)
        for level, here, (next_z, _, _) in zip(self.levels, lattices, lattices[1:], strict=False):
            own_inside = polynomials(self.kind, level.radius)
            coarser: tuple[Any, ...] = (radius, inside, planes, step, first)
            arguments = (*here, no_matrix, *parts, *coarser, level.radius, own_inside)
            planes = node_values(*arguments)
            radius, inside, step = level.radius, own_inside, level.step
            first = np.array(
                [round(a[0] / s) + 1 if s else 0 for a, s in zip(here, step, strict=True)]
            )
            if step[0] > 0:
                planes = planes_of(planes, next_z, int(step[0]), int(first[0]))
        return (self.matrix, *parts, radius, inside, planes, step, first)

    def positions(self, axes: Axes) -> FloatArray:
        """Mapped indices (n, 3) of all triples of three ascending index vectors, x fastest."""
        from .lattice_kernels import node_values

        arguments = (*axes, *self.row_arguments(axes), np.zeros(0), np.zeros((0, 5)))
        found = node_values(*arguments)
        return np.ascontiguousarray(np.moveaxis(found, 1, 3)).reshape(-1, 3)

    def _node_axes(self, axes: Axes, step: IntArray) -> Axes:
        """Indices of the nodes that a lattice needs: one before a cell's own and one behind."""
        z, y, x = (
            np.arange(np.floor(axis[0] / s) - 1, np.floor(axis[-1] / s) + 3) * float(s)
            if s
            else axis
            for axis, s in zip(axes, step, strict=True)
        )
        # planar kernels do not see z unless the grid is tilted
        first = 1 if self.kind == 1 else 0
        flat = not self.to_u[first:, 0].any() and step[0] == 0
        return (z[:1] if flat else z), y, x


_ONES = np.ones(3, np.int64)
