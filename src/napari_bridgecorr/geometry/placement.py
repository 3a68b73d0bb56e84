"""What a user says of where an image lies, when the file does not say it or says it wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from .grid import Grid

FloatArray = NDArray[np.float64]
Orientation = tuple[str, str, str]
"""Three of ``z, y, x, -z, -y, -x``, each axis once."""

WORLD_AXES = ("z", "y", "x")
AS_IN_FILE: Orientation = ("z", "y", "x")


@dataclass(frozen=True)
class Placement:
    """The user's answers on an image's place. What is None stays as the file has it.

    Parameters
    ----------
    spacing_um : (float, float, float) or None
        Voxel size along the array's z, y, x.
    orientation : (str, str, str) or None
        Along which world directions the file's world z, y, x run instead. ``("z", "-y", "x")``
        mirrors the image along y, ``("y", "-z", "x")`` turns it about x. The image's centre stays
        where it is, and a tilt is kept.

    Raises
    ------
    GeometryError
        If the spacing is not three positive lengths, or the orientation does not name each axis
        once.

    Examples
    --------
    >>> Placement(orientation=parse_orientation("z,-y,x")).is_mirrored
    True
    """

    spacing_um: tuple[float, float, float] | None = None
    orientation: Orientation | None = None

    def __post_init__(self) -> None:
        if self.spacing_um is not None:
            object.__setattr__(self, "spacing_um", checked_spacing(self.spacing_um))
        if self.orientation is not None:
            orientation_matrix(self.orientation)
            object.__setattr__(self, "orientation", tuple(self.orientation))

    @property
    def is_empty(self) -> bool:
        """Whether the file is taken at its word."""
        return self.spacing_um is None and self.orientation in (None, AS_IN_FILE)

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right are exchanged, as in a section mounted upside down."""
        return bool(np.linalg.det(orientation_matrix(self.orientation or AS_IN_FILE)) < 0)


def checked_spacing(spacing_um: tuple[float, float, float]) -> tuple[float, float, float]:
    """Three positive lengths as floats; GeometryError otherwise."""
    values = tuple(float(v) for v in spacing_um)
    if len(values) != 3 or min(values) <= 0 or not np.all(np.isfinite(values)):
        raise GeometryError(f"spacing must be three positive lengths in um, not {spacing_um}")
    return values


def parse_orientation(text: str) -> Orientation:
    """``z,-y,x`` as an orientation.

    Raises
    ------
    GeometryError
        If the text does not name each of z, y, x once.
    """
    found = tuple(part.strip().lower().removeprefix("+") for part in text.split(","))
    orientation_matrix(found)
    return cast(Orientation, found)


def format_orientation(orientation: Orientation) -> str:
    """The inverse of :func:`parse_orientation`."""
    return ",".join(orientation)


def orientation_matrix(orientation: tuple[str, ...]) -> FloatArray:
    """(3, 3) signed permutation: column k is the unit vector of entry k, in (z, y, x).

    Raises
    ------
    GeometryError
        If the entries do not name each of z, y, x once.
    """
    names = [entry.removeprefix("-") for entry in orientation]
    if sorted(names) != sorted(WORLD_AXES):
        raise GeometryError(
            f"an orientation names each of z, y, x once, with a minus where it is mirrored, as "
            f"z,-y,x; not {','.join(orientation)}"
        )
    matrix = np.zeros((3, 3))
    for column, (entry, name) in enumerate(zip(orientation, names, strict=True)):
        matrix[WORLD_AXES.index(name), column] = -1.0 if entry.startswith("-") else 1.0
    return matrix


def orientation_of(matrix: FloatArray) -> Orientation:
    """The orientation whose directions lie nearest to the columns of a (3, 3) matrix.

    Columns that lie between two axes are given to the axes so that all fit best together.
    """
    unit = matrix / np.linalg.norm(matrix, axis=0)
    best = max(
        permutations(range(3)),
        # rounded: of two that fit equally well the first, whatever the last bit
        key=lambda rows: round(float(sum(abs(unit[r, c]) for c, r in enumerate(rows))), 9),
    )
    z, y, x = (
        ("-" if unit[row, column] < 0 else "") + WORLD_AXES[row] for column, row in enumerate(best)
    )
    return z, y, x


def array_directions(grid: Grid) -> Orientation:
    """The world direction along which each array axis (z, y, x) mostly runs."""
    return orientation_of(grid.index_to_world[:3, :3])


def orientation_between(have: Orientation, wanted: Orientation) -> Orientation:
    """The orientation that turns array directions `have` into `wanted`."""
    return orientation_of(orientation_matrix(wanted) @ orientation_matrix(have).T)


def turned(have: Orientation, by: Orientation) -> Orientation:
    """Where array directions `have` point after the orientation `by`."""
    return orientation_of(orientation_matrix(by) @ orientation_matrix(have))


def reoriented(grids: tuple[Grid, ...], matrix: FloatArray) -> tuple[Grid, ...]:
    """The levels of one image, turned together about the centre of the first.

    Parameters
    ----------
    grids : tuple of Grid
    matrix : (3, 3) float64
        Signed permutation of world axes.
    """
    centre = grids[0].centre_um
    whole = np.eye(4)
    whole[:3, :3] = matrix
    whole[:3, 3] = centre - matrix @ centre
    return tuple(Grid(g.shape, whole @ g.index_to_world) for g in grids)
