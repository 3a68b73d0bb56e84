"""Where a thin section lies in a volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import TransformError
from ..geometry import Plane
from .affine import Affine
from .base import Chain, Transform

FloatArray = NDArray[np.float64]

_DEPTH_IS_KEPT = 1e-9
_PROBES = np.array(
    [(z, y, x) for z in (-7.0, 0.0, 9.0) for y in (-800.0, 60.0) for x in (-30.0, 900.0)]
)


class SectionPlacement(Chain):
    """A section's world onto a plane of a volume: within the plane first, then into space.

    A section is a flat image, (1, y, x), of a slice of tissue. A point (z, y, x) of its world is
    taken by `in_plane` to a place (depth, y', x') in the plane, and from there into the volume:
    points off the section's middle lie as far off the plane, along its normal. It is a chain like
    any other: it has Jacobians, an inverse, and is resampled through in one interpolation.

    Parameters
    ----------
    in_plane : Transform
        Section world to (depth, y', x') in um: an affine map or a planar spline. Depth is z
        shifted, so that the section's middle has depth 0; (y', x') do not depend on z.
    plane : Plane
        In the volume's world.
    thickness_um : float, optional
        Of the tissue, centred on the plane; 0 where it is not known.

    Raises
    ------
    TransformError
        If `in_plane` mixes depth with (y, x), or the thickness is negative or not finite.

    Examples
    --------
    >>> plane = Plane.from_normal((1000.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    >>> section = SectionPlacement(Affine.identity(), plane, thickness_um=80)
    >>> section.map([[0.0, 20.0, 30.0], [40.0, 20.0, 30.0]]).tolist()
    [[1000.0, 20.0, 30.0], [1040.0, 20.0, 30.0]]
    >>> section.distance_um([[1040.0, 20.0, 30.0]]).tolist()
    [40.0]
    """

    def __init__(self, in_plane: Transform, plane: Plane, thickness_um: float = 0.0) -> None:
        super().__init__(in_plane, Affine(plane.to_world))
        self.in_plane = in_plane
        self.plane = plane
        self.thickness_um = float(thickness_um)
        if not (np.isfinite(self.thickness_um) and self.thickness_um >= 0):
            raise TransformError(
                f"a section's thickness is 0 or a positive length, not {thickness_um} um"
            )
        slope = in_plane.jacobian(_PROBES)
        known = np.all(np.isfinite(slope), axis=(1, 2))
        off = np.abs(np.concatenate([slope[known, 0, 1:], slope[known, 1:, 0]]))
        straight = np.abs(slope[known, 0, 0] - 1)
        if off.max(initial=0) > _DEPTH_IS_KEPT or straight.max(initial=0) > _DEPTH_IS_KEPT:
            raise TransformError(
                "a section's in-plane map must leave depth alone: fit it with --dimensions 2"
            )

    def distance_um(self, points_um: ArrayLike) -> FloatArray:
        """(n,) distances of volume points from the plane, positive along its normal, in um."""
        return np.asarray(self.plane.place(points_um)[:, 0])

    def holds(self, points_um: ArrayLike) -> NDArray[np.bool_]:
        """(n,) whether volume points lie within the section's thickness."""
        return np.asarray(np.abs(self.distance_um(points_um)) <= self.thickness_um / 2)

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": "section",
            "plane": self.plane.to_dict(),
            "in_plane": self.in_plane.to_dict(),
            "thickness_um": self.thickness_um,
        }
