"""Landmarks refined at the images, as plain functions: asked for, done in layers, undone, told."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import apply_affine
from ..image import SpatialImage
from ..landmarks import LandmarkSet, Point
from ..progress import Progress
from ..refine import LandmarkRefinementOptions, RefinedLandmarks, View, refine_landmarks
from ..transform import Transform
from .frames import world_matrix
from .landmark_layers import raw_ids, world_points

if TYPE_CHECKING:
    from napari.layers import Layer, Points
    from napari.viewer import Viewer

# a point that went through a layer comes back rounded
_SAME_PLACE_UM = 1e-6
_MOST_IN_TIP = 30


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be refined.

    Parameters
    ----------
    landmarks : LandmarkSet
    fixed, moving : View
    transform : Transform
    radius_um, max_step_um : float
    only : tuple of str or None
        Ids; all complete enabled pairs if None.
    """

    landmarks: LandmarkSet
    fixed: View
    moving: View
    transform: Transform
    radius_um: float
    max_step_um: float
    only: tuple[str, ...] | None = None

    def still_holds(
        self, landmarks: LandmarkSet, fixed: SpatialImage | None, moving: SpatialImage | None
    ) -> bool:
        """Whether landmarks and images are as they were when this was asked."""
        return landmarks == self.landmarks and all(
            now is not None and now.grid == then.image.grid and now.name == then.image.name
            for now, then in ((fixed, self.fixed), (moving, self.moving))
        )


def answer(question: Question, progress: Progress) -> RefinedLandmarks:
    """Refine; for a job's thread.

    Raises
    ------
    RefineError, Cancelled
    """
    return refine_landmarks(
        question.landmarks,
        question.fixed,
        question.moving,
        question.transform,
        LandmarkRefinementOptions(question.radius_um, question.max_step_um),
        only=question.only,
        progress=progress,
    )


def time_shown(viewer: Viewer, layer: Layer, image: SpatialImage) -> int:
    """The time point of an image that the viewer shows."""
    if image.n_times == 1 or layer.ndim < 4:
        return 0
    index = layer.world_to_data(viewer.dims.point[-layer.ndim :])[0]
    return int(np.clip(round(float(index)), 0, image.n_times - 1))


@dataclass(frozen=True, eq=False)
class Moves:
    """Points that were moved in a layer, and how they stood there before.

    Parameters
    ----------
    layer : weak reference to Points
    matrix : (4, 4) float64
        From the layer's data to world um, then.
    rows : dict of id to (d,) float64
        The layer's data before.
    before_um, after_um : dict of id to (3,) float64
    um_per_unknown_unit : float
    """

    layer: weakref.ref[Points]
    matrix: NDArray[np.float64]
    rows: Mapping[str, NDArray[np.float64]]
    before_um: Mapping[str, NDArray[np.float64]]
    after_um: Mapping[str, NDArray[np.float64]]
    um_per_unknown_unit: float


def move_points(layer: Points, to_um: Mapping[str, Point], um_per_unknown_unit: float) -> Moves:
    """Put points of a layer at world positions; those not named keep their very numbers."""
    matrix = world_matrix(layer, um_per_unknown_unit)
    world = world_points(layer, um_per_unknown_unit)
    at = {name: row for row, name in enumerate(raw_ids(layer)) if name in to_um}
    data = np.array(layer.data, dtype=np.float64)
    moves = Moves(
        weakref.ref(layer),
        matrix,
        {name: data[row].copy() for name, row in at.items()},
        {name: world[row] for name, row in at.items()},
        {name: np.asarray(to_um[name]) for name in at},
        um_per_unknown_unit,
    )
    _place(data, at, to_um, matrix)
    layer.data = data
    return moves


def undo(moves: Moves) -> tuple[int, int]:
    """Put the points back.

    Returns
    -------
    int, int
        How many are back, and how many were left: moved again since, or gone.
    """
    layer = moves.layer()
    if layer is None:
        return 0, len(moves.rows)
    unit = moves.um_per_unknown_unit
    matrix, world = world_matrix(layer, unit), world_points(layer, unit)
    at = {
        name: row
        for row, name in enumerate(raw_ids(layer))
        if name in moves.rows
        and np.allclose(world[row], moves.after_um[name], rtol=0, atol=_SAME_PLACE_UM)
    }
    data = np.array(layer.data, dtype=np.float64)
    if np.array_equal(matrix, moves.matrix):
        for name, row in at.items():
            data[row] = moves.rows[name]
    else:  # the layer is shown another way by now
        _place(data, at, moves.before_um, matrix)
    layer.data = data
    return len(at), len(moves.rows) - len(at)


def _place(
    data: NDArray[np.float64],
    at: Mapping[str, int],
    to_um: Mapping[str, Point] | Mapping[str, NDArray[np.float64]],
    matrix: NDArray[np.float64],
) -> None:
    """Write world positions into rows of a layer's data."""
    if at:
        world = np.array([to_um[name] for name in at], dtype=np.float64)
        n = min(data.shape[1], 3)
        data[list(at.values()), -n:] = apply_affine(np.linalg.inv(matrix), world)[:, -n:]


def in_words(result: RefinedLandmarks) -> tuple[str, tuple[str, ...]]:
    """How many moved and how far; and the reasons for leaving others, the commonest first."""
    lengths = [s.length_um for s in result.accepted]
    n = len(result.steps)
    noun = "landmark" if n == 1 else "landmarks"
    if not lengths:
        headline = f"None of {n} {noun} moved" if n > 1 else "The landmark stays where it is"
    else:
        least, middle, most = (float(np.quantile(lengths, q)) for q in (0, 0.5, 1))
        by = _length(most)
        if len(lengths) > 1:
            by = f"{least:.3g} to {_length(most)} (median {_length(middle)})"
        headline = f"{len(lengths)} of {n} {noun} moved, by {by}"
    reasons = Counter(_in_window(s.reason) for s in result.steps if not s.accepted)
    return headline, tuple(f"{k} left: {reason}" for reason, k in reasons.most_common())


def one_by_one(result: RefinedLandmarks) -> str:
    """What became of each landmark, a line each."""
    lines = [
        f"{s.id}: {_in_window(s.reason)}" + (f", {_length(s.length_um)}" if s.accepted else "")
        for s in result.steps[:_MOST_IN_TIP]
    ]
    more = len(result.steps) - len(lines)
    return "\n".join([*lines, *([f"and {more} more"] if more else [])])


def undone_in_words(n_back: int, n_left: int) -> str:
    """What undoing did."""
    if not n_back:
        return "Nothing to take back: the points were moved again since, or are gone."
    back = "1 landmark is" if n_back == 1 else f"{n_back} landmarks are"
    text = f"{back} back at the old place{'' if n_back == 1 else 's'}"
    return f"{text}; {n_left} moved again since or gone." if n_left else f"{text}."


def _length(um: float) -> str:
    return f"{um:.3g}\N{NO-BREAK SPACE}µm"


def _in_window(reason: str) -> str:
    return reason.replace(" um ", "\N{NO-BREAK SPACE}µm ")
