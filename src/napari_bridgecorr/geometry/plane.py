"""A reference plane in the world: where it lies, how its picture is turned, how it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError
from .grid import apply_affine
from .plane_fit import fit_lines, fit_points

FloatArray = NDArray[np.float64]

FORMAT = "bridgecorr-plane"
VERSION = 1
_LOOSELY = 1e-6
_TO_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane with an origin and axes of its own.

    A point's place in the plane is (depth, y, x) in um: its distance along the normal, then down
    and across in the plane. World coordinates are as they were: a plane is a way to look at the
    world, no transform of it.

    Parameters
    ----------
    origin_um : (3,) array-like
        World point (z, y, x) on the plane where depth, y and x are zero.
    axes : (3, 3) array-like
        Columns: the normal, the direction of growing y (down on the screen), the direction of
        growing x, as world unit vectors (z, y, x). Right-handed: nothing is mirrored.
    made : mapping
        How the plane was found (plain values): from what points or lines, with what residuals.

    Raises
    ------
    GeometryError
        If the origin is not finite, or the axes are not perpendicular, of unit length and
        right-handed to 1e-6.

    Examples
    --------
    >>> plane = Plane.through_points([(10, 0, 0), (10, 90, 0), (10, 0, 90), (10, 90, 90)])
    >>> plane.place([(12, 45, 45)]).round(9).tolist()
    [[2.0, 0.0, 0.0]]
    """

    origin_um: FloatArray
    axes: FloatArray
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        origin = _finite(self.origin_um, (3,), "the plane's origin")
        axes = _finite(self.axes, (3, 3), "the plane's axes")
        off = float(np.abs(axes.T @ axes - np.eye(3)).max())
        if off > _LOOSELY:
            raise GeometryError(
                "the plane's normal and axes must be perpendicular and of unit length"
            )
        if np.linalg.det(axes) < 0:
            raise GeometryError("the plane's axes would mirror the image: reverse one of them")
        if off > _TO_ROUNDING:  # written with few digits: the nearest rotation
            left, _, right = np.linalg.svd(axes)
            axes = left @ right
        for array in (origin, axes):
            array.setflags(write=False)
        object.__setattr__(self, "origin_um", origin)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "made", MappingProxyType(dict(self.made)))

    @classmethod
    def from_normal(
        cls, origin_um: ArrayLike, normal: ArrayLike, made: Mapping[str, Any] | None = None
    ) -> Plane:
        """Plane through a point, its picture turned from the world's (y, x) as little as can be.

        Raises
        ------
        GeometryError
            If the normal is zero or not finite.
        """
        n = _finite(normal, (3,), "the plane's normal")
        length = float(np.linalg.norm(n))
        if length == 0:
            raise GeometryError("the plane's normal must be a direction that is not zero")
        return cls(
            _finite(origin_um, (3,), "the plane's origin"), _least_turn(n / length), made or {}
        )

    @classmethod
    def through_points(cls, points_um: ArrayLike) -> Plane:
        """The plane with the least sum of squared distances to points; its origin is their mean.

        The normal points along the world axis that it lies nearest to, towards growing values.

        Parameters
        ----------
        points_um : (n, 3) array-like
            Three or more world points (z, y, x) that do not lie on a line.

        Returns
        -------
        Plane
            ``made`` holds the points, ``residual_um`` of each, their RMS, and ``tilt_sd_degrees``:
            how well the points tell the tilt, judged by their scatter (None for three points).

        Raises
        ------
        GeometryError
            If there are fewer than three points, or they lie on a line or about a spot.
        """
        found = fit_points(_points(points_um))
        return cls.from_normal(found.origin_um, found.normal, found.made)

    @classmethod
    def through_lines(cls, line_a_um: ArrayLike, line_b_um: ArrayLike) -> Plane:
        """The plane parallel to two lines that lies midway between them.

        What a user draws who tilts the view: the plane's trace in two views, as in (z, x) and
        (z, y). Lines that miss each other are allowed; ``made["gap_um"]`` says by how much.

        Parameters
        ----------
        line_a_um, line_b_um : (2, 3) array-like
            Two world points (z, y, x) of each line.

        Raises
        ------
        GeometryError
            If a line's points coincide, or the lines are parallel to within a degree.
        """
        found = fit_lines(_points(line_a_um), _points(line_b_um))
        return cls.from_normal(found.origin_um, found.normal, found.made)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Plane)
            and np.array_equal(self.origin_um, other.origin_um)
            and np.array_equal(self.axes, other.axes)
        )

    def __hash__(self) -> int:
        return hash((*self.origin_um.tolist(), *self.axes.ravel().tolist()))

    @property
    def normal(self) -> FloatArray:
        """(3,) world unit vector (z, y, x) of growing depth."""
        return self.axes[:, 0]

    @property
    def to_world(self) -> FloatArray:
        """(4, 4) float64: (depth, y, x, 1) in the plane to (z, y, x, 1) in the world, in um."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes
        matrix[:3, 3] = self.origin_um
        return matrix

    @property
    def from_world(self) -> FloatArray:
        """(4, 4) float64, the inverse of `to_world`."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes.T
        matrix[:3, 3] = -self.axes.T @ self.origin_um
        return matrix

    def place(self, points_um: ArrayLike) -> FloatArray:
        """(n, 3) places (depth, y, x) in um of world points (z, y, x)."""
        return apply_affine(self.from_world, _points(points_um))

    def points(self, places_um: ArrayLike) -> FloatArray:
        """(n, 3) world points (z, y, x) in um of places (depth, y, x); inverse of `place`."""
        return apply_affine(self.to_world, _points(places_um))

    def turned(self, degrees: float) -> Plane:
        """The same plane with its axes turned about the normal, from x towards y."""
        angle = np.deg2rad(float(_finite(degrees, (), "the angle")))
        down, across = self.axes[:, 1], self.axes[:, 2]
        c, s = np.cos(angle), np.sin(angle)
        axes = np.column_stack([self.normal, c * down - s * across, s * down + c * across])
        return self._changed({"turned_degrees": float(degrees)}, axes=axes)

    def tilted(self, about_y_degrees: float = 0.0, about_x_degrees: float = 0.0) -> Plane:
        """The plane turned about axes of its own through its origin: about y, then about its new x.

        Turning about y takes the side of growing x towards growing depth, turning about x the side
        of growing y.
        """
        a, b = (
            np.deg2rad(float(_finite(v, (), "the angle")))
            for v in (about_y_degrees, about_x_degrees)
        )
        about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        about_x = np.array([[np.cos(b), np.sin(b), 0], [-np.sin(b), np.cos(b), 0], [0, 0, 1]])
        note = {"tilted_degrees": [float(about_y_degrees), float(about_x_degrees)]}
        return self._changed(note, axes=self.axes @ about_y @ about_x)

    def flipped(self) -> Plane:
        """The same plane looked at from its other side: depth and x are reversed, y is kept."""
        return self._changed({"flipped": True}, axes=self.axes * (-1.0, 1.0, -1.0))

    def shifted(self, depth_um: float = 0.0, y_um: float = 0.0, x_um: float = 0.0) -> Plane:
        """The plane moved by lengths along its own axes."""
        step = _finite((depth_um, y_um, x_um), (3,), "the shift")
        return self._changed(
            {"shifted_um": step.tolist()}, origin_um=self.origin_um + self.axes @ step
        )

    def with_origin(self, point_um: ArrayLike) -> Plane:
        """The same plane with its origin where a world point falls perpendicularly onto it."""
        point = _finite(point_um, (3,), "the origin")
        depth = self.normal @ (point - self.origin_um)
        return self._changed(
            {"origin_near_um": point.tolist()}, origin_um=point - depth * self.normal
        )

    def _changed(self, note: dict[str, Any], **values: FloatArray) -> Plane:
        changes = [*self.made.get("changes", ()), note]
        return replace(self, made={**self.made, "changes": changes}, **values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the inverse of :meth:`from_dict`."""
        normal, down, across = self.axes.T.tolist()
        return {
            "format": FORMAT,
            "version": VERSION,
            "origin_um": self.origin_um.tolist(),
            "normal": normal,
            "down": down,
            "across": across,
            "made": dict(self.made),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plane:
        """Plane from :meth:`to_dict`'s values.

        Raises
        ------
        GeometryError
            If they are not those of a plane.
        """
        if values.get("format") != FORMAT:
            raise GeometryError(f"it is no plane: its format is not {FORMAT!r}")
        if values.get("version") != VERSION:
            raise GeometryError(f"the plane's version is {values.get('version')!r}, not {VERSION}")
        made = values.get("made") or {}
        if not isinstance(made, Mapping) or not isinstance(made.get("changes", []), list):
            raise GeometryError("the plane's entry 'made' is not a table of values")
        origin, *columns = (
            _finite(values.get(key), (3,), f"the plane's entry {key!r}")
            for key in ("origin_um", "normal", "down", "across")
        )
        return cls(origin, np.column_stack(columns), made)


def _least_turn(n: FloatArray) -> FloatArray:
    """The (3, 3) rotation that takes the first axis onto the unit vector `n` by the least angle."""
    first = np.array([1.0, 0.0, 0.0])
    if n[0] < -1 + 1e-12:  # half a turn, about y: there is no least one
        return np.diag([-1.0, 1.0, -1.0])
    k = np.outer(n, first) - np.outer(first, n)
    left, _, right = np.linalg.svd(np.eye(3) + k + k @ k / (1 + n[0]))
    rotation: FloatArray = left @ right
    rotation[:, 0] = n
    return rotation


def _finite(values: Any, shape: tuple[int, ...], what: str) -> FloatArray:
    """A float64 copy of finite numbers of that shape; GeometryError otherwise."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GeometryError(f"{what} must be numbers") from error
    if array.shape != shape or not np.all(np.isfinite(array)):
        raise GeometryError(f"{what} must be {int(np.prod(shape))} finite numbers")
    return array


def _points(points_um: ArrayLike | Sequence[Any]) -> FloatArray:
    """(n, 3) float64; GeometryError if they are not points."""
    try:
        array = np.array(points_um, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GeometryError("points must be numbers: z, y, x in um each") from error
    if array.ndim != 2 or array.shape[1] != 3:
        raise GeometryError(f"points must be an (n, 3) array of z, y, x in um, not {array.shape}")
    return array
