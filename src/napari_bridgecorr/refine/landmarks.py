"""Landmarks refined by the images: one, some or all, several at once, and back again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, RefineError
from ..fitting import Fit, FitOptions, fit
from ..landmarks import Edit, Landmark, LandmarkSet
from ..progress import Progress, Silent
from ..transform import Transform
from .landmark_step import LandmarkRefinementOptions, LandmarkStep, refine_one
from .patch import View

FloatArray = NDArray[np.float64]

_RADIUS_VOXELS = 5.0
_STEP_VOXELS = 3.0
_LINEAR_MODELS = ("rigid", "similarity", "affine")
# enough for a median
_MOST_LOOKED_AT = 50


@dataclass(frozen=True, eq=False)
class RefinedLandmarks:
    """What refinement made of a set.

    Parameters
    ----------
    before, after : LandmarkSet
        As given, and with the accepted steps. Ids, names, order and fixed points are the same.
    steps : tuple of LandmarkStep
        One per landmark that was looked at, in the order of the set.
    radius_um, max_step_um : float
        As they were used.
    """

    before: LandmarkSet
    after: LandmarkSet
    steps: tuple[LandmarkStep, ...]
    radius_um: float
    max_step_um: float

    @property
    def accepted(self) -> tuple[LandmarkStep, ...]:
        """The steps that were taken."""
        return tuple(s for s in self.steps if s.accepted)

    def edits(self) -> tuple[Edit, ...]:
        """What leads from `before` to `after`; the inverses, last first, undo it."""
        return tuple(
            Edit(self.before.index(s.id), self.before[s.id], self.after[s.id])
            for s in self.accepted
        )

    def undone(self, landmarks: LandmarkSet | None = None) -> LandmarkSet:
        """A set with the old places of what was moved here, whatever else changed since.

        Parameters
        ----------
        landmarks : LandmarkSet, optional
            `after` by default. Landmarks moved again since, or removed, are left as they are.
        """
        current = self.after if landmarks is None else landmarks
        old = {s.id: s for s in self.accepted}
        return LandmarkSet(
            tuple(
                replace(m, moving_um=old[m.id].before_um)
                if m.id in old and m.moving_um == old[m.id].after_um
                else m
                for m in current
            )
        )


def refine_landmarks(
    landmarks: LandmarkSet,
    fixed: View,
    moving: View,
    transform: Transform | None = None,
    options: LandmarkRefinementOptions | None = None,
    *,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> RefinedLandmarks:
    """Move moving points to where the images agree best, where that is certain.

    Parameters
    ----------
    landmarks : LandmarkSet
        Half pairs and disabled ones are left alone.
    fixed, moving : View
    transform : Transform, optional
        The map so far: its rotation, scale and shear at each landmark are taken out of the
        comparison. By default the best linear map of the landmarks.
    options : LandmarkRefinementOptions, optional
    only : sequence of str, optional
        Ids; all complete enabled pairs by default.
    progress : Progress, optional
        Cancels too: then nothing is changed.

    Raises
    ------
    RefineError
        If there is nothing to refine, an id is unknown, or the landmarks tell no map.
    Cancelled
    """
    options = options or LandmarkRefinementOptions()
    chosen = _chosen(landmarks, only)
    flat = _are_flat(fixed, moving)
    places = np.array([m.fixed_um for m in chosen], dtype=np.float64)
    linear = _derivatives(landmarks, transform, places, flat)
    stretch = float(np.median(_stretch(linear)))
    radius, bound = _lengths(options, fixed, moving, stretch, flat, _off_um(landmarks, flat))
    watch = progress or Silent()
    watch.begin("refining landmarks", len(chosen))
    steps: list[LandmarkStep | None] = [None] * len(chosen)
    with ThreadPoolExecutor(max_workers=options.threads or os.cpu_count() or 1) as pool:
        jobs = {
            pool.submit(refine_one, m, fixed, moving, a, radius, bound, options.metric): i
            for i, (m, a) in enumerate(zip(chosen, linear, strict=True))
        }
        try:
            for job in as_completed(jobs):
                steps[jobs[job]] = job.result()
                watch.advance()
        except BaseException:
            # cancelled: drop the landmarks that nobody waits for
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    done = tuple(s for s in steps if s is not None)
    moved = {s.id: s for s in done if s.accepted}
    after = LandmarkSet(
        tuple(replace(m, moving_um=moved[m.id].after_um) if m.id in moved else m for m in landmarks)
    )
    return RefinedLandmarks(landmarks, after, done, radius, bound)


def suggested_lengths(
    landmarks: LandmarkSet, fixed: View, moving: View, transform: Transform
) -> tuple[float, float]:
    """Radius (fixed um) and longest step (moving um) that are used if none are given.

    Of many landmarks some are looked at: this is quick enough to be shown while they are placed.

    Parameters
    ----------
    landmarks : LandmarkSet
    fixed, moving : View
    transform : Transform

    Raises
    ------
    RefineError
        If there is nothing to refine, or the transform is flat at the landmarks.
    """
    chosen = _chosen(landmarks, None)
    chosen = chosen[:: -(-len(chosen) // _MOST_LOOKED_AT)]
    flat = _are_flat(fixed, moving)
    places = np.array([m.fixed_um for m in chosen], dtype=np.float64)
    stretch = float(np.median(_stretch(_derivatives(landmarks, transform, places, flat))))
    usual = LandmarkRefinementOptions()
    return _lengths(usual, fixed, moving, stretch, flat, _off_um(landmarks, flat))


def _are_flat(fixed: View, moving: View) -> bool:
    return fixed.image.grid.shape[0] == 1 and moving.image.grid.shape[0] == 1


def _chosen(landmarks: LandmarkSet, only: Sequence[str] | None) -> list[Landmark]:
    if only is None:
        found = [m for m in landmarks if m.enabled and m.is_pair]
        if not found:
            raise RefineError("no landmark is placed in both images and enabled")
        return found
    known = {m.id: m for m in landmarks}
    for name in only:
        if name not in known:
            raise RefineError(f"there is no landmark {name!r}; ids are as in the landmarks' file")
        if not known[name].is_pair:
            raise RefineError(f"landmark {name!r} is not placed in both images")
    return [m for m in landmarks if m.id in set(only)]


def _derivatives(
    landmarks: LandmarkSet, transform: Transform | None, places: FloatArray, flat: bool
) -> FloatArray:
    """(n, 3, 3) of the map at the landmarks."""
    if transform is None:
        transform = _linear_map(landmarks, flat).transform
    linear = np.array(transform.jacobian(places), dtype=np.float64)
    if not np.all(np.isfinite(linear)) or np.any(np.abs(np.linalg.det(linear)) < 1e-6):
        raise RefineError(
            "the transform is not defined, or flat, at some of the landmarks; check that it "
            "belongs to these images"
        )
    return linear


def _linear_map(landmarks: LandmarkSet, flat: bool) -> Fit:
    """The linear fit that predicts left-out landmarks best: few clicks do not tell a shear."""
    pairs = landmarks.pairs()
    fits, faults = [], []
    for model in _LINEAR_MODELS:
        try:
            fits.append(fit(pairs, FitOptions(model, dimensions=2 if flat else 3)))
        except FitError as error:
            faults.append(str(error))
    if not fits:
        raise RefineError(
            f"the landmarks alone tell no map ({faults[-1]}); give one with --transform"
        )
    # an exact fit leaves nothing to be predicted: it is taken where it is the only one
    return min(fits, key=_loo_um)


def _loo_um(found: Fit) -> float:
    value = found.diagnostics.loo_rms_um
    return value if np.isfinite(value) else np.inf


def _off_um(landmarks: LandmarkSet, flat: bool) -> float:
    """How far left-out landmarks lie from where the others put them; infinite if unknown."""
    try:
        return _loo_um(_linear_map(landmarks, flat))
    except RefineError:
        return np.inf


def _stretch(linear: FloatArray) -> FloatArray:
    return np.asarray(np.abs(np.linalg.det(linear)) ** (1 / 3))


def _lengths(
    options: LandmarkRefinementOptions,
    fixed: View,
    moving: View,
    stretch: float,
    flat: bool,
    off_um: float,
) -> tuple[float, float]:
    """Radius in fixed um and longest step in moving um."""
    sizes = [np.asarray(v.image.grid.voxel_size_um)[1 if flat else 0 :] for v in (fixed, moving)]
    larger = max(
        float(np.prod(s)) ** (1 / len(s)) / k for s, k in zip(sizes, (1, stretch), strict=True)
    )
    # a click is hardly farther off than it seems beside the others
    own, other = float(sizes[1].max()), float(sizes[0].max()) * stretch
    bound = _STEP_VOXELS * min(max(own, off_um), max(own, other))
    return options.radius_um or _RADIUS_VOXELS * larger, options.max_step_um or bound
