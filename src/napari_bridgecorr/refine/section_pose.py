"""Where a section is thought to lie while its place is sought: few numbers, linear in most."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..geometry import Plane
from ..transform import Affine, SectionPlacement, ThinPlateSpline, Transform

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Nodes:
    """Points of the section whose displacements bend the in-plane map, by a thin-plate spline.

    Parameters
    ----------
    places_um : (m, 2) float64
        (y, x) in the section.
    """

    places_um: FloatArray

    @property
    def centre_um(self) -> FloatArray:
        """(2,) their mean."""
        return np.asarray(self.places_um.mean(axis=0))

    @property
    def scale_um(self) -> float:
        """Their root-mean-square distance from it."""
        away = self.places_um - self.centre_um
        return float(np.sqrt(np.mean(np.sum(away**2, axis=1))))

    def basis(self, points_um: FloatArray) -> FloatArray:
        """(n, m) what a unit displacement of each node displaces (n, 2) points by."""
        u = (points_um - self.centre_um) / self.scale_um
        terms = np.hstack([_kernel(u, self._u), u, np.ones((len(u), 1))])
        return np.asarray(terms @ self._solution())

    def spline(self, targets_um: FloatArray, middle_um: float) -> ThinPlateSpline:
        """The spline that takes the nodes to (m, 2) targets, and z = `middle_um` to depth 0."""
        coefficients = self._solution() @ targets_um
        m = len(self.places_um)
        weights, polynomial = np.zeros((m, 3)), np.zeros((3, 4))
        weights[:, 1:] = coefficients[:m]
        polynomial[1:, 1:] = coefficients[m:].T
        polynomial[0, 0], polynomial[0, 3] = self.scale_um, -middle_um
        flat = np.zeros((m, 1))
        return ThinPlateSpline(
            np.hstack([flat + middle_um, self.places_um]),
            np.hstack([flat, targets_um]),
            weights,
            polynomial,
            (0.0, *self.centre_um),
            self.scale_um,
            0.0,
            2,
        )

    @property
    def _u(self) -> FloatArray:
        return np.asarray((self.places_um - self.centre_um) / self.scale_um)

    def _solution(self) -> FloatArray:
        """(m + 3, m) coefficients for a unit displacement of each node."""
        m = len(self.places_um)
        design = np.hstack([self._u, np.ones((m, 1))])
        full = np.zeros((m + 3, m + 3))
        full[:m, :m], full[:m, m:], full[m:, :m] = _kernel(self._u, self._u), design, design.T
        return np.asarray(np.linalg.inv(full)[:, :m])


@dataclass(frozen=True, eq=False)
class SectionPose:
    """A plane, and a map of the section's (y, x) onto the plane's.

    Parameters
    ----------
    plane : Plane
    linear : (2, 2) float64
    offset_um : (2,) float64
        ``linear @ (y, x) + offset`` is the place in the plane, bends aside.
    middle_um : float
        z of the section's middle in its own world.
    nodes : Nodes or None
    bend_um : (m, 2) float64
        Displacements of the nodes.
    """

    plane: Plane
    linear: FloatArray
    offset_um: FloatArray
    middle_um: float = 0.0
    nodes: Nodes | None = None
    bend_um: FloatArray | None = None

    def within(self, points_um: FloatArray, basis: FloatArray | None = None) -> FloatArray:
        """(n, 2) places in the plane of (n, 2) points of the section."""
        found = points_um @ self.linear.T + self.offset_um
        if self.nodes is not None and self.bend_um is not None:
            found = found + (self.nodes.basis(points_um) if basis is None else basis) @ self.bend_um
        return np.asarray(found)

    def placement(self, thickness_um: float) -> SectionPlacement:
        """The same as a transform."""
        inner: Transform
        if self.nodes is None or self.bend_um is None:
            matrix = np.eye(4)
            matrix[1:3, 1:3] = self.linear
            matrix[:3, 3] = (-self.middle_um, *self.offset_um)
            inner = Affine(matrix)
        else:
            inner = self.nodes.spline(self.within(self.nodes.places_um), self.middle_um)
        return SectionPlacement(inner, self.plane, thickness_um)

    def sheared(self, depth_um: float, slope_y: float, slope_x: float) -> SectionPose:
        """The pose whose plane is ``depth + slope_y y + slope_x x`` above this one's.

        The plane's axes are turned to stay perpendicular; what is in the plane stays where it is
        above the old one.
        """
        axes = self.plane.axes
        down = axes[:, 1] + slope_y * axes[:, 0]
        across = axes[:, 2] + slope_x * axes[:, 0]
        left, _, right = np.linalg.svd(np.column_stack([down, across]), full_matrices=False)
        turned = left @ right
        stretch = turned.T @ np.column_stack([down, across])
        new = np.column_stack([np.cross(turned[:, 0], turned[:, 1]), turned])
        plane = Plane(self.plane.origin_um + depth_um * axes[:, 0], new, self.plane.made)
        return replace(
            self,
            plane=plane,
            linear=stretch @ self.linear,
            offset_um=stretch @ self.offset_um,
            bend_um=None if self.bend_um is None else self.bend_um @ stretch.T,
        )

    def as_rigid(self, centre_um: FloatArray) -> SectionPose:
        """Without stretch and bends; `centre_um` of the section stays where it is."""
        left, _, right = np.linalg.svd(self.linear)
        rotation = left @ right
        at = self.linear @ centre_um + self.offset_um
        return replace(
            self, linear=rotation, offset_um=at - rotation @ centre_um, nodes=None, bend_um=None
        )


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    r2 = np.sum((a[:, None] - b[None]) ** 2, axis=2)
    return np.asarray(0.5 * r2 * np.log(np.where(r2 > 0, r2, 1.0)))
