"""Refinement by SimpleITK: rigid and affine steps on top of a map.

SimpleITK knows no landmarks. How far its step is gone, from not at all to all the way, is what
predicts left-out landmarks best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm, logm

from ..errors import Cancelled, FitError
from ..landmarks import LandmarkPairs
from ..progress import Progress
from ..simple_itk import EngineOptions, EngineStep, register
from ..transform import Affine, Chain, DisplacementField, Transform
from .cross_check import FOLDS
from .working_image import WorkingImage

FloatArray = NDArray[np.float64]
EngineModel = Literal["rigid", "affine"]

SHARES = tuple(float(v) for v in np.linspace(0, 1, 9))
_LATTICE = 24
_ITERATIONS = 60


@dataclass(frozen=True, eq=False)
class SharedStep:
    """A step of the engine and how far it is gone.

    Parameters
    ----------
    step : EngineStep
    share : float
        0 to 1.
    before_um, after_um : (n, 3) float64
        Errors at left-out landmarks, without and with the step; no rows without landmarks.
    """

    step: EngineStep
    share: float
    before_um: FloatArray
    after_um: FloatArray

    def after(self, start: Transform) -> Transform:
        """The map with the step before it."""
        return _stepped(self.step, self.share, start)


def engine_step(
    fixed: WorkingImage,
    moving: WorkingImage,
    start: Transform,
    pairs: LandmarkPairs | None,
    refit: Callable[[LandmarkPairs], Transform] | None,
    model: EngineModel,
    seed: int,
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
    options = _options(fixed, model, seed)
    n = 0 if pairs is None else len(pairs)
    fold = np.empty(n, dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(n)] = np.arange(n) % FOLDS
    errors = np.full((len(SHARES), n, 3), np.nan)

    def look(_level: int, _iteration: int, _metric: float) -> None:
        watch.advance(0)

    watch.begin("cross-checking", FOLDS)
    for k in range(min(FOLDS, n)):
        assert pairs is not None
        there = fold == k
        try:
            without = start if refit is None else refit(pairs.subset(~there))
        except FitError:
            continue
        step = register(
            fixed.for_engine(), moving.for_engine(), _field(without, fixed), options, look
        )
        if step.is_cancelled:
            raise Cancelled
        for i, share in enumerate(SHARES):
            found = _stepped(step, share, without).map(pairs.fixed_um[there])
            errors[i, there] = found - pairs.moving_um[there]
        watch.advance()
    watch.begin("refining", 0)
    step = register(fixed.for_engine(), moving.for_engine(), _field(start, fixed), options, look)
    known = np.isfinite(errors).all(axis=(0, 2))
    errors = errors[:, known]
    if not errors.shape[1]:
        return SharedStep(step, 1.0, errors[0], errors[0])
    best = int(np.argmin(np.sum(errors**2, axis=(1, 2))))
    return SharedStep(step, SHARES[best], errors[0], errors[best])


def _options(fixed: WorkingImage, model: EngineModel, seed: int) -> EngineOptions:
    size = np.asarray(fixed.grid.voxel_size_um)
    voxel = float(size[np.asarray(fixed.grid.shape) > 1].min())
    return EngineOptions(
        model,
        seed=seed,
        shrink=(2, 1) if min(n for n in fixed.grid.shape if n > 1) >= 16 else (1, 1),
        smoothing_um=(voxel, 0.0),
        iterations=_ITERATIONS,
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
