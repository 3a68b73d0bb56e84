"""Arrays with grids as SimpleITK's images, and maps as its transforms.

The engine's optimisers take a radian for as long as a unit of length, and their own scales do not
mend it. So the world that they see is ours, x first, centred on the region and divided by its
radius: then a turn moves its rim by as much as a shift of the same number. Callers see um.

A volume is a 3-D image. A flat one (one voxel in z on a grid whose z is the world's) is a 2-D
image, and what is found for it leaves z alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ..errors import GeometryError
from ..geometry import Grid
from .library import library

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EngineImage:
    """What the engine takes for an image.

    Parameters
    ----------
    array : (z, y, x) float32
        NaN where there is no data.
    grid : Grid
        Its voxels' places, in um.
    mask : (z, y, x) bool or None
        Where the image counts; everywhere that there is data if None.

    Raises
    ------
    GeometryError
        If the shapes do not agree.
    """

    array: NDArray[np.float32]
    grid: Grid
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for name, values in (("array", self.array), ("mask", self.mask)):
            if values is not None and values.shape != self.grid.shape:
                raise GeometryError(
                    f"the {name} of shape {values.shape} does not fit its grid {self.grid.shape}"
                )

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(z, y, x) bool: data, and within the mask."""
        known = np.isfinite(self.array)
        return known if self.mask is None else known & self.mask

    @property
    def dimensions(self) -> int:
        """2 of a flat image, else 3."""
        return 2 if self.grid.shape[0] == 1 else 3


@dataclass(frozen=True, eq=False)
class EngineSpace:
    """Where the engine's world lies in ours: ``engine = (ours - centre) / radius``, x first.

    Parameters
    ----------
    centre_um : (3,) float64
        z, y, x.
    radius_um : float
    dimensions : {2, 3}
    """

    centre_um: FloatArray
    radius_um: float
    dimensions: int

    @property
    def from_world(self) -> FloatArray:
        """(4, 4) from (z, y, x, 1) in um to the engine's, still z first."""
        matrix = np.diag([*np.full(3, 1 / self.radius_um), 1.0])
        matrix[:3, 3] = -np.asarray(self.centre_um) / self.radius_um
        return matrix

    def image(self, array: NDArray[Any], grid: Grid) -> Any:
        """A SimpleITK image.

        Parameters
        ----------
        array : (z, y, x) or (z, y, x, 3)
            Scalars, or vectors in the engine's unit with the components z, y, x.
        grid : Grid
            In um.

        Raises
        ------
        GeometryError
            If a flat image is tilted against the world's (y, x) plane.
        """
        matrix = self.from_world @ grid.index_to_world
        linear, origin = matrix[:3, :3][::-1, ::-1], matrix[:3, 3][::-1]
        is_vector = array.ndim == 4
        if self.dimensions == 2:
            beside = [*matrix[0, 1:3], *matrix[1:3, 0]]
            if np.abs(beside).max() > 1e-6 * np.abs(linear).max():
                raise GeometryError(
                    "a flat image that is tilted in space cannot be registered to another flat "
                    "one; reslice it first"
                )
            linear, origin, array = linear[:2, :2], origin[:2], array[0]
        if is_vector:
            array = array[..., ::-1][..., : self.dimensions]
        image = library().GetImageFromArray(np.ascontiguousarray(array), isVector=is_vector)
        spacing = np.linalg.norm(linear, axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(origin.tolist())
        image.SetDirection((linear / spacing).ravel().tolist())
        return image

    def pair(self, image: EngineImage) -> tuple[Any, Any]:
        """An image without gaps, and the mask of what counts."""
        known = image.valid
        values = image.array
        if not known.all():
            # the nearest value that counts: no edge next to a gap, and the histogram's bins are
            # not spent on what is masked
            nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
            values = image.array[tuple(nearest)]
        mask = self.image(image.valid.astype(np.uint8), image.grid)
        return self.image(values.astype(np.float32), image.grid), mask

    def affine(self, matrix: FloatArray, target: EngineSpace) -> Any:
        """An affine map (4, 4) on (z, y, x, 1) in um, from this space to another, SimpleITK's."""
        inner = target.from_world @ matrix @ np.linalg.inv(self.from_world)
        affine = library().AffineTransform(self.dimensions)
        part = slice(0, self.dimensions)
        affine.SetMatrix(inner[:3, :3][::-1, ::-1][part, part].ravel().tolist())
        affine.SetTranslation(inner[:3, 3][::-1][part].tolist())
        return affine

    def displacement(self, grid: Grid, vectors_um: NDArray[Any], target: EngineSpace) -> Any:
        """Displacements (3, z, y, x) in um, from this space to another, as SimpleITK's."""
        itk = library()
        known = np.isfinite(vectors_um).all(axis=0)
        moved = np.moveaxis(np.asarray(vectors_um, dtype=np.float64), 0, -1)
        if not known.all():
            nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
            moved = moved[tuple(nearest)]
        # both spaces have one unit, but not one origin
        moved = (moved + self.centre_um - target.centre_um) / self.radius_um
        return itk.DisplacementFieldTransform(
            itk.Cast(self.image(moved, grid), itk.sitkVectorFloat64)
        )

    def matrix_of(self, linear: Any) -> FloatArray:
        """(4, 4) on (z, y, x, 1) in um of a linear transform of this space onto itself."""
        n = self.dimensions
        points = np.vstack([np.zeros(n), np.eye(n)])
        moved = np.array([linear.TransformPoint(p.tolist()) for p in points])
        inner = np.eye(4)
        part = slice(3 - n, 3)
        inner[part, part] = (moved[1:] - moved[0]).T[::-1, ::-1]
        inner[part, 3] = moved[0][::-1]
        return np.asarray(np.linalg.inv(self.from_world) @ inner @ self.from_world)


def engine_spaces(fixed: EngineImage, moving: EngineImage) -> tuple[EngineSpace, EngineSpace]:
    """The engine's worlds of two images: one unit, each centred on its own image."""
    n = fixed.dimensions
    corners = fixed.grid.corners()[:, 3 - n :]
    radius = float(np.linalg.norm(corners - corners.mean(axis=0), axis=1).max())
    # the mean distance of a box's points from its middle is about half of its corners'
    return (
        EngineSpace(fixed.grid.centre_um, radius / 2, n),
        EngineSpace(moving.grid.centre_um, radius / 2, n),
    )
