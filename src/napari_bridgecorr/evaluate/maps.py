"""What can be said of a registration at any point, as numbers and as a lazy image on any grid."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import dask.array
import numpy as np
from numpy.typing import NDArray

from ..fitting import ErrorModel
from ..geometry import Grid
from ..geometry.convex_hull import ConvexHull
from ..image import Channel, Source, SpatialImage
from ..transform import Transform

FloatArray = NDArray[np.float64]

_map_blocks: Callable[..., Any] = dask.array.map_blocks  # dask states no types

_CHUNK = (16, 256, 256)
# a block is computed in parts, so that what a quantity needs at once is some tens of MB
_BATCH_NUMBERS = 1 << 21
_SMALLEST_BATCH = 256


class Quantity(Protocol):
    """A number at every point of the fixed space."""

    @property
    def name(self) -> str:
        """Short, for a channel."""

    @property
    def description(self) -> str:
        """What the number is, in one sentence."""

    @property
    def n_terms(self) -> int:
        """Numbers that are kept at once for each point."""

    def at(self, points_um: FloatArray) -> FloatArray:
        """(n,) values at (n, 3) fixed world points (z, y, x) in um; NaN where undefined."""


@dataclass(frozen=True, eq=False)
class JacobianDeterminant:
    """Local change of volume of a transform: 1 keeps it, 2 doubles it, 0 or less folds."""

    transform: Transform
    name: str = "jacobian determinant"
    description: str = "Jacobian determinant of the map from fixed to moving (1: volume is kept)"
    n_terms: int = 32

    def at(self, points_um: FloatArray) -> FloatArray:
        return self.transform.jacobian_determinant(points_um)


@dataclass(frozen=True, eq=False)
class Folding(JacobianDeterminant):
    """1 where a transform folds or mirrors space (Jacobian determinant <= 0), else 0."""

    name: str = "folding"
    description: str = "1 where the map folds or mirrors (Jacobian determinant <= 0), else 0"

    def at(self, points_um: FloatArray) -> FloatArray:
        determinant = super().at(points_um)
        return np.where(np.isnan(determinant), np.nan, determinant <= 0)


@dataclass(frozen=True, eq=False)
class OutsideHull:
    """Distance from the convex hull of the fixed landmarks, 0 inside: how far it extrapolates."""

    hull: ConvexHull
    name: str = "distance outside hull"
    description: str = "distance (um) from the convex hull of the fixed landmarks, 0 inside"
    n_terms: int = 8

    def at(self, points_um: FloatArray) -> FloatArray:
        return self.hull.distance_um(points_um)


@dataclass(frozen=True, eq=False)
class PredictedError:
    """What an error model expects.

    Parameters
    ----------
    model : ErrorModel
    n_landmarks : int
        That it was made from: sets how many points are computed at once.
    level : float or None
        Give the length that the error stays below with this probability, not the expected RMS.
    """

    model: ErrorModel
    n_landmarks: int
    level: float | None = None

    @property
    def name(self) -> str:
        return "registration error" + ("" if self.level is None else f" {100 * self.level:g} %")

    @property
    def description(self) -> str:
        if self.level is None:
            return self.model.description
        return (
            f"length (um) that the registration error stays below with a probability of "
            f"{100 * self.level:g} %, from the same distribution as: {self.model.description}"
        )

    @property
    def n_terms(self) -> int:
        return 16 * (self.n_landmarks + 4)

    def at(self, points_um: FloatArray) -> FloatArray:
        if self.level is None:
            return self.model.predict(points_um)
        return self.model.radius(points_um, self.level)


def lazy_map(quantity: Quantity, grid: Grid) -> SpatialImage:
    """`quantity` at the voxel centres of `grid`, computed block by block when it is read.

    Returns
    -------
    SpatialImage
        One level of float32, NaN where the quantity is undefined. A voxel's value does not depend
        on the blocks.
    """
    chunks = (
        (1,),
        (1,),
        *(
            tuple(min(step, size - start) for start in range(0, size, step))
            for size, step in zip(grid.shape, _CHUNK, strict=True)
        ),
    )

    def compute(block_info: Any = None) -> NDArray[np.float32]:
        space = block_info[None]["array-location"][2:]
        return _block(quantity, grid, [s[0] for s in space], [s[1] for s in space])[None, None]

    data = _map_blocks(
        compute,
        name=f"map-{uuid.uuid4().hex}",  # else dask hashes the function with all that it holds
        chunks=chunks,
        dtype=np.float32,
        meta=np.empty((0,) * 5, np.float32),
    )
    return SpatialImage(
        levels=(data,),
        grids=(grid,),
        channels=(Channel(quantity.name),),
        source=Source(Path(quantity.name), "computed", image_name=quantity.name),
        metadata={"meaning": quantity.description},
    )


def _block(
    quantity: Quantity, grid: Grid, start: list[int], stop: list[int]
) -> NDArray[np.float32]:
    shape = tuple(b - a for a, b in zip(start, stop, strict=True))
    size = int(np.prod(shape))
    out = np.empty(size, np.float32)
    batch = max(_SMALLEST_BATCH, _BATCH_NUMBERS // quantity.n_terms)
    for first in range(0, size, batch):
        last = min(first + batch, size)
        index = np.column_stack(np.unravel_index(np.arange(first, last), shape)) + start
        # float32 ends at 3e38, which only a broken transform reaches: infinity then says so
        with np.errstate(over="ignore"):
            out[first:last] = quantity.at(grid.to_world(index))
    return out.reshape(shape)
