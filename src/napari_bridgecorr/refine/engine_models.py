"""Refinement by SimpleITK: rigid, affine, B-spline and displacement steps on top of a map.

SimpleITK's metrics know no landmarks. How far its step is gone, from not at all to all the way, is
what predicts left-out landmarks best. Where the step bends, the landmarks also pull at what it came
to, by a smoothing spline through what is left at them; a rigid or affine step has no room for that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm, logm

from ..errors import Cancelled, FitError
from ..fitting import FitOptions, fit
from ..landmarks import LandmarkPairs
from ..progress import Progress
from ..simple_itk import EngineOptions, EngineStep, register
from ..simple_itk.options import Metric
from ..transform import Affine, Chain, DisplacementField, Transform
from .cross_check import FOLDS, PointMap
from .soft_landmarks import NODES, node_distance_um
from .working_image import WorkingImage

FloatArray = NDArray[np.float64]
EngineModel = Literal["rigid", "affine", "bspline", "displacement"]

BENDING: tuple[EngineModel, ...] = ("bspline", "displacement")
SHARES = tuple(float(v) for v in np.linspace(0, 1, 9))
_LATTICE = 24
_ITERATIONS = 60
# a B-spline's later iterations gain nothing above the images' noise
_SPLINE_ITERATIONS = 12
# voxels that a B-spline's metric looks at, of more an even share; and its control points' distance
# in nodes of the spline that the map is kept as
_SPLINE_VOXELS = 40_000
_NODES_PER_MESH = 2.0
_FIELD_NODES = 1200
# voxels along every axis that three levels of resolution need, and two
_THREE_LEVELS, _TWO_LEVELS = 40, 16
_FEWEST_TO_PULL = 8


@dataclass(frozen=True)
class EngineAsked:
    """What is asked of the engine.

    Parameters
    ----------
    model : {"rigid", "affine", "bspline", "displacement"}
    metric : {"mi", "correlation"}
    seed : int
    """

    model: EngineModel
    metric: Metric = "mi"
    seed: int = 0

    @property
    def bends(self) -> bool:
        """Whether the step is more than an affine map."""
        return self.model in BENDING

    @property
    def n_nodes(self) -> int:
        """Of the spline that a map with a bending step is kept as."""
        return _FIELD_NODES if self.model == "displacement" else NODES


@dataclass(frozen=True, eq=False)
class SharedStep:
    """A step of the engine and how far it is gone.

    Parameters
    ----------
    step : EngineStep
    share : float
        0 to 1.
    pulled_by : LandmarkPairs or None
        The landmarks that pull at the map with its step, if that predicts left-out ones best.
    before_um, after_um : (n, 3) float64
        Errors at left-out landmarks, without and with the step; no rows without landmarks.
    dimensions : {3, 2}
    """

    step: EngineStep
    share: float
    pulled_by: LandmarkPairs | None
    before_um: FloatArray
    after_um: FloatArray
    dimensions: int

    def after(self, start: Transform) -> Transform:
        """The map with a rigid or affine step before it."""
        return _stepped(self.step, self.share, start)

    def map_after(self, start: Transform) -> PointMap:
        """The map with any step before it, and the landmarks' pull after it."""
        moved = stepped_map(self.step, self.share, start)
        return moved if self.pulled_by is None else _pulled(moved, self.pulled_by, self.dimensions)


def engine_step(
    fixed: WorkingImage,
    moving: WorkingImage,
    start: Transform,
    pairs: LandmarkPairs | None,
    refit: Callable[[LandmarkPairs], Transform] | None,
    asked: EngineAsked,
    watch: Progress,
) -> SharedStep:
    """The step that SimpleITK finds, and the share of it that left-out landmarks ask for.

    Raises
    ------
    RefineError
        In words for the user.
    Cancelled
        If it was cancelled before left-out landmarks were asked.
    """
    dimensions = fixed.for_engine().dimensions
    n = 0 if pairs is None else len(pairs)
    fold = np.empty(n, dtype=np.int64)
    fold[np.random.default_rng(asked.seed).permutation(n)] = np.arange(n) % FOLDS
    # the whole step with the landmarks' pull comes last
    errors = np.full((len(SHARES) + 1, n, 3), np.nan)
    watch.begin("cross-checking", FOLDS)
    for k in range(min(FOLDS, n)):
        assert pairs is not None
        there, some = fold == k, pairs.subset(fold != k)
        try:
            without = start if refit is None else refit(some)
        except FitError:
            continue
        step = _found(fixed, moving, without, asked, watch)
        if step.is_cancelled:
            raise Cancelled
        points, true = pairs.fixed_um[there], pairs.moving_um[there]
        for i, share in enumerate(SHARES):
            errors[i, there] = stepped_map(step, share, without)(points) - true
        if asked.bends and len(some) >= _FEWEST_TO_PULL:
            with suppress(FitError):  # the pull then has no errors, and is not taken
                moved = _pulled(stepped_map(step, 1.0, without), some, dimensions)
                errors[-1, there] = moved(points) - true
        watch.advance()
    watch.begin("refining", 0)
    step = _found(fixed, moving, start, asked, watch)
    known = np.isfinite(errors[:-1]).all(axis=(0, 2))
    errors = errors[:, known]
    if not errors.shape[1]:
        return SharedStep(step, 1.0, None, errors[0], errors[0], dimensions)
    sums = np.sum(errors**2, axis=(1, 2))
    best = int(np.nanargmin(sums))
    is_pulled = best == len(SHARES)
    share = 1.0 if is_pulled else SHARES[best]
    pull = pairs if is_pulled else None
    return SharedStep(step, share, pull, errors[0], errors[best], dimensions)


def step_without(
    fixed: WorkingImage,
    moving: WorkingImage,
    start: Transform,
    left_out: NDArray[np.bool_],
    asked: EngineAsked,
    watch: Progress,
) -> PointMap:
    """The map with the step that is found without some voxels (z, y, x) of the fixed image.

    Raises
    ------
    RefineError
    Cancelled
    """
    step = _found(replace(fixed, mask=fixed.valid & ~left_out), moving, start, asked, watch)
    if step.is_cancelled:
        raise Cancelled
    return stepped_map(step, 1.0, start)


def stepped_map(step: EngineStep, share: float, start: Transform) -> PointMap:
    """Where points go by a share of a step and then the map.

    A bending step is known on the image; beyond, it is that at the image's nearest place.
    """
    if step.field is None or share == 0:
        return _stepped(step, share, start).map
    grid, displacement = step.field
    field = DisplacementField(grid, share * displacement)
    last = np.asarray(grid.shape) - 1.0

    def mapped(points_um: FloatArray) -> FloatArray:
        near = grid.to_world(np.clip(grid.to_index(points_um), 0.0, last))
        return start.map(points_um + field.map(near) - near)

    return mapped


def _found(
    fixed: WorkingImage,
    moving: WorkingImage,
    start: Transform,
    asked: EngineAsked,
    watch: Progress,
) -> EngineStep:
    def look(_level: int, _iteration: int, _metric: float) -> None:
        watch.advance(0)

    return register(
        fixed.for_engine(), moving.for_engine(), _field(start, fixed), _options(fixed, asked), look
    )


def _options(fixed: WorkingImage, asked: EngineAsked) -> EngineOptions:
    grid = fixed.grid
    size = np.asarray(grid.voxel_size_um)
    voxel = float(size[np.asarray(grid.shape) > 1].min())
    fewest = min(n for n in grid.shape if n > 1)
    shrink: tuple[int, ...] = (2, 1) if fewest >= _TWO_LEVELS else (1, 1)
    smoothing: tuple[float, ...] = (voxel, 0.0)
    if asked.bends and fewest >= _THREE_LEVELS:
        shrink, smoothing = (4, 2, 1), (2 * voxel, voxel, 0.0)
    is_spline = asked.model == "bspline"
    return EngineOptions(
        asked.model,
        asked.metric,
        sampling=min(1.0, _SPLINE_VOXELS / grid.n_voxels) if is_spline else 1.0,
        seed=asked.seed,
        shrink=shrink,
        smoothing_um=smoothing,
        iterations=_SPLINE_ITERATIONS if is_spline else _ITERATIONS,
        mesh_um=_NODES_PER_MESH * node_distance_um(grid, fixed.for_engine().dimensions),
    )


def _field(start: Transform, fixed: WorkingImage) -> tuple[Any, NDArray[Any]]:
    grid = fixed.grid
    extent = np.asarray(grid.shape) * np.asarray(grid.voxel_size_um)
    spacing = np.maximum(extent / _LATTICE, grid.voxel_size_um)
    coarse = grid.at_spacing(np.where(np.asarray(grid.shape) == 1, grid.voxel_size_um, spacing))
    return coarse, DisplacementField.sample(start, coarse).displacement_um


def _stepped(step: EngineStep, share: float, start: Transform) -> Transform:
    if share == 0:
        return start
    assert step.matrix is not None
    part = np.real(expm(share * logm(step.matrix)))
    part[3] = (0, 0, 0, 1)
    return Chain(Affine(part), start)


def _pulled(moved: PointMap, pairs: LandmarkPairs, dimensions: int) -> PointMap:
    """A map, then the smoothing spline from where it puts landmarks to where they were clicked.

    The spline's smoothing is the one that predicts each of the landmarks best from the others.

    Raises
    ------
    FitError
        If the landmarks determine no spline.
    """
    reached = replace(pairs, fixed_um=moved(pairs.fixed_um))
    pull = fit(reached, FitOptions("tps", dimensions=dimensions)).transform

    def mapped(points_um: FloatArray) -> FloatArray:
        return pull.map(moved(points_um))

    return mapped
