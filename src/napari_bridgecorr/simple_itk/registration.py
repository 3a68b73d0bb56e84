"""SimpleITK's registration: the step that makes two images agree, on top of the map there was.

``new map(x) = old map(step(x))``: the step is a small map of the fixed world onto itself, so that
its size is in fixed um whatever the old map is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Cancelled, RefineError
from ..geometry import Grid
from .bending_steps import displacement_step, field_of, spline_step
from .images import EngineImage, EngineSpace, engine_spaces
from .library import fault_of, library
from .options import EngineOptions

FloatArray = NDArray[np.float64]
OnIteration = Callable[[int, int, float], None]
"""Called with level, iteration and metric; may raise Cancelled."""

_FEWEST_VOXELS = 64
_SMALLEST_STEP = 1e-4
# the least relative gain of a B-spline's iteration: what comes after it is below the images' noise
_SPLINE_GAIN = 1e-4
_WINDOW_RADIUS = 2
# of a displacement field: slope of the metric over so many iterations that counts as arrived
_FIELD_STILL, _FIELD_WINDOW = 1e-5, 10
# of a voxel
_LINEAR_STEP, _FIELD_STEP = 0.5, 0.25

_ADVICE = (
    (
        ("map outside moving image buffer", "no valid points", "all the points mapped to outside",
         "do not sufficiently overlap", "too many samples map outside"),
        "the images do not overlap through this map; check the landmarks or the transform, its "
        "direction and the voxel sizes",
    ),
    (
        ("joint pdf summed to zero", "variance", "denominator", "infinit", "nan"),
        "an image holds one value only here; choose another channel, a larger region or no mask",
    ),
    (
        ("memory",),
        "there is not enough memory for this; choose a coarser spacing",
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class EngineStep:
    """What the engine found.

    Parameters
    ----------
    matrix : (4, 4) float64 or None
        The step, fixed to fixed world on (z, y, x, 1) in um; None of one that bends.
    field : (Grid, (3, z, y, x) float32) or None
        The step of a B-spline or a displacement field: displacement along z, y, x in um on a grid
        over the fixed image.
    metric_before, metric_after : float
        Over all the voxels of the finest level: nats of mutual information, or the squared
        correlation coefficient. More is better.
    n_iterations : int
    stopped : str
        Why it ended.
    is_cancelled : bool
        Whether the user ended it: the step is the best until then.
    """

    matrix: FloatArray | None
    field: tuple[Grid, NDArray[np.float32]] | None
    metric_before: float
    metric_after: float
    n_iterations: int
    stopped: str
    is_cancelled: bool


def register(
    fixed: EngineImage,
    moving: EngineImage,
    start: FloatArray | tuple[Grid, NDArray[Any]] | None = None,
    options: EngineOptions | None = None,
    on_iteration: OnIteration | None = None,
) -> EngineStep:
    """Find the step after which the images agree best. Never worse than none: see `metric_after`.

    Parameters
    ----------
    fixed, moving : EngineImage
        Working images of moderate size.
    start : (4, 4) float64, (Grid, (3, z, y, x)), or None
        The map there is: an affine on (z, y, x, 1) in um, or displacements in um on a grid that
        covers the fixed image.
    options : EngineOptions, optional
    on_iteration : callable, optional
        Told of each iteration. Where it raises Cancelled, the best step so far is the result.

    Raises
    ------
    RefineError
        In words for the user, whatever the engine said.
    """
    options = options or EngineOptions()
    _check(fixed, moving)
    itk = library()
    watch = _Watch(len(options.shrink), on_iteration, options.kind == "displacement")
    try:
        method = _method(itk, fixed, moving, start, options)
        step = _initial_step(itk, method, options)
        before = _evaluated(method, step)
        method.engine.SetInitialTransform(step, True)
        method.engine.AddCommand(itk.sitkIterationEvent, lambda: watch.look(method.engine))
        method.engine.Execute(method.fixed, method.moving)
        stopped = str(method.engine.GetOptimizerStopConditionDescription())
    except RuntimeError as error:
        raise watch.failure or _advice(error) from error
    after = _evaluated(method, step)
    if watch.best is not None:
        last = step.GetParameters()
        step.SetParameters(watch.best)
        best = _evaluated(method, step)
        if best > after:
            after = best
        else:
            step.SetParameters(last)
    if not after > before:  # NaN too
        step = _initial_step(itk, method, options)
        after = before
    bends = options.kind in ("bspline", "displacement")
    distance_um = options.mesh_um if options.kind == "bspline" else 0.0
    return EngineStep(
        None if bends else method.space.matrix_of(step),
        field_of(step, fixed.grid, distance_um, method.space) if bends else None,
        before,
        after,
        watch.n,
        "cancelled" if watch.is_cancelled else stopped,
        watch.is_cancelled,
    )


def metric_value(
    fixed: EngineImage,
    moving: EngineImage,
    start: FloatArray | tuple[Grid, NDArray[Any]] | None = None,
    options: EngineOptions | None = None,
) -> float:
    """How well the images agree through `start` as it is; units as in :class:`EngineStep`.

    Raises
    ------
    RefineError
    """
    options = options or EngineOptions()
    _check(fixed, moving)
    itk = library()
    try:
        method = _method(itk, fixed, moving, start, options)
        return _evaluated(method, itk.TranslationTransform(fixed.dimensions))
    except RuntimeError as error:
        raise _advice(error) from error


@dataclass(frozen=True)
class _Method:
    engine: Any
    fixed: Any
    moving: Any
    space: EngineSpace
    strategy: int


class _Watch:
    """Keeps the best parameters of the finest level, and stops the engine when told to."""

    def __init__(self, n_levels: int, tell: OnIteration | None, grows: bool) -> None:
        self.best: tuple[float, ...] | None = None
        self.n = 0
        self.is_cancelled = False
        self.failure: Exception | None = None
        self._last = n_levels - 1
        self._value = np.inf
        self._place: tuple[float, ...] = ()
        self._tell = tell
        # a displacement field has more parameters on each level
        self._grows = grows

    def look(self, engine: Any) -> None:
        """What the engine calls after each iteration."""
        self.n += 1
        value, level = float(engine.GetMetricValue()), int(engine.GetCurrentLevel())
        # the value is that of the place where the step that was just made began
        if level == self._last and value < self._value and self._place:
            self._value, self.best = value, self._place
        if level == self._last or not self._grows:
            self._place = tuple(engine.GetOptimizerPosition())
        if self.is_cancelled:
            engine.StopRegistration()  # this stops one level; the next one begins all the same
        elif self._tell is not None:
            try:
                self._tell(level, int(engine.GetOptimizerIteration()), -value)
            except Cancelled:
                self.is_cancelled = True
                engine.StopRegistration()
            except Exception as failure:
                self.failure = failure  # SimpleITK makes an error of its own of it
                raise


def _check(fixed: EngineImage, moving: EngineImage) -> None:
    if fixed.dimensions != moving.dimensions:
        raise RefineError(
            "one of the images is flat, the other a volume; place the section in the volume first"
        )
    for name, image in (("fixed", fixed), ("moving", moving)):
        values = image.array[image.valid]
        if len(values) < _FEWEST_VOXELS:
            raise RefineError(
                f"only {len(values)} voxels of the {name} image count here; choose a larger "
                f"region, a finer spacing or another mask"
            )
        if values.min() == values.max():
            raise RefineError(
                f"the {name} image holds one value only here; choose another channel, a larger "
                f"region or no mask"
            )


def _method(
    itk: Any,
    fixed: EngineImage,
    moving: EngineImage,
    start: FloatArray | tuple[Grid, NDArray[Any]] | None,
    options: EngineOptions,
) -> _Method:
    engine = itk.ImageRegistrationMethod()
    if options.metric == "correlation" and options.kind == "displacement":
        # of windows: each vector needs a reason of its own
        engine.SetMetricAsANTSNeighborhoodCorrelation(_WINDOW_RADIUS)
    elif options.metric == "mi":
        engine.SetMetricAsMattesMutualInformation(options.bins)
    else:
        engine.SetMetricAsCorrelation()
    space, moving_space = engine_spaces(fixed, moving)
    fixed_image, fixed_mask = space.pair(fixed)
    moving_image, moving_mask = moving_space.pair(moving)
    engine.SetMetricFixedMask(fixed_mask)
    engine.SetMetricMovingMask(moving_mask)
    engine.SetInterpolator(itk.sitkLinear)
    strategy = engine.NONE if options.sampling == 1 else engine.RANDOM
    engine.SetMetricSamplingStrategy(strategy)
    if options.sampling < 1:
        # SimpleITK takes a seed of 0 for "by the clock"
        engine.SetMetricSamplingPercentage(options.sampling, options.seed + 1)
    engine.SetShrinkFactorsPerLevel(list(options.shrink))
    engine.SetSmoothingSigmasPerLevel([s / space.radius_um for s in options.smoothing_um])
    engine.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    engine.SetNumberOfThreads(options.threads)
    engine.SetNumberOfWorkUnits(options.threads)
    _set_optimizer(engine, options, min(fixed_image.GetSpacing()), space.radius_um)
    if isinstance(start, tuple):
        engine.SetMovingInitialTransform(space.displacement(*start, moving_space))
    else:
        matrix = np.eye(4) if start is None else np.asarray(start, dtype=np.float64)
        engine.SetMovingInitialTransform(space.affine(matrix, moving_space))
    return _Method(engine, fixed_image, moving_image, space, strategy)


def _set_optimizer(engine: Any, options: EngineOptions, voxel: float, radius_um: float) -> None:
    if options.kind == "bspline":
        engine.SetOptimizerAsLBFGSB(
            gradientConvergenceTolerance=1e-9,
            numberOfIterations=options.iterations,
            maximumNumberOfCorrections=8,
            maximumNumberOfFunctionEvaluations=2 * options.iterations + 20,
            costFunctionConvergenceFactor=_SPLINE_GAIN / np.finfo(np.float64).eps,
        )
        return
    share = _FIELD_STEP if options.kind == "displacement" else _LINEAR_STEP
    step = share * voxel if options.step_um is None else options.step_um / radius_um
    if options.kind == "displacement":
        engine.SetOptimizerAsGradientDescent(
            learningRate=1.0,
            numberOfIterations=options.iterations,
            convergenceMinimumValue=_FIELD_STILL,
            convergenceWindowSize=_FIELD_WINDOW,
            estimateLearningRate=engine.EachIteration,
            maximumStepSizeInPhysicalUnits=step,
        )
        engine.SetOptimizerScalesFromPhysicalShift()
        return
    engine.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step,
        minStep=_SMALLEST_STEP * voxel,
        numberOfIterations=options.iterations,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-12,
    )


def _initial_step(itk: Any, method: _Method, options: EngineOptions) -> Any:
    """The step that moves nothing, turning and scaling about the middle of the fixed image."""
    fixed, dimensions = method.fixed, method.space.dimensions
    if options.kind == "bspline":
        return spline_step(fixed, options.mesh_um, method.space)
    if options.kind == "displacement":
        return displacement_step(fixed, options.field_sigma_voxels)
    if options.kind == "translation":
        return itk.TranslationTransform(dimensions)
    # the middle is the engine's origin
    if options.kind == "affine":
        return itk.AffineTransform(dimensions)
    if options.kind == "rigid":
        return itk.Euler2DTransform() if dimensions == 2 else itk.Euler3DTransform()
    return itk.Similarity2DTransform() if dimensions == 2 else itk.Similarity3DTransform()


def _evaluated(method: _Method, step: Any) -> float:
    """The metric of a step over all voxels of the finest level; more is better."""
    engine = method.engine
    engine.SetInitialTransform(step, False)
    engine.SetMetricSamplingStrategy(engine.NONE)
    value = -float(engine.MetricEvaluate(method.fixed, method.moving))
    engine.SetMetricSamplingStrategy(method.strategy)
    return value


def _advice(error: RuntimeError) -> RefineError:
    said = fault_of(error)
    lower = str(error).lower()
    for marks, advice in _ADVICE:
        if any(mark in lower for mark in marks):
            return RefineError(advice)
    return RefineError(f"the images cannot be registered: {said}; try another channel or region")
