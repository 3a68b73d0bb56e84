"""Elastic registration from a linear start, as stiff as the images' own evidence asks.

How freely the map may bend is chosen by cross-checking: it is fitted to one half of the image (the
white squares of a chessboard) and judged by the agreement in the other half, which it has not seen.
Where no bending agrees better there than none, none is applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Cancelled, RefineError
from ..geometry import Grid
from ..image import SpatialImage
from ..progress import Progress, Silent
from ..transform import Affine, Chain, DisplacementField, Transform
from .elastic_match import ElasticMatch, match_elastic, resampled_shift
from .linear_match import Comparison
from .search import WINDOW_RADIUS, index_matrix, structure_pyramids
from .structure import Structure

FloatArray = NDArray[np.float64]

_CONTROLS = 16  # control points along the longest axis
_SQUARES = 8  # of the chessboard, along the longest axis
STIFFNESSES = (0.1, 0.03, 0.01, 0.003, 0.001)
"""Tried from the stiffest on; see :func:`~.elastic_match.match_elastic`."""
_ENOUGH = 0.8  # of the best gain: the stiffest map that has it is taken, as chance can bend too
_LEAST_GAIN = 0.01  # of the unbent agreement, in the half that was not seen
_LEAST_VOLUME = 0.1
_FIELD_VOXELS = {2: 128, 3: 48}  # along the longest axis
_MARGIN = 3  # field voxels about the image, so that its rim maps too


@dataclass(frozen=True)
class ElasticResult:
    """What :func:`refine_elastic` found.

    Parameters
    ----------
    transform : Transform
        Fixed to moving world: a displacement field, then the start's affine; or that alone.
    metric_before, metric_after : float
        Mean squared local correlation (negative correlations counting as negative where the sign
        is known).
    unseen_gain : float
        Gain of agreement in the half of the image that the map was not fitted to, as a share.
    stiffness : float or None
        None where no bending was worth it.
    least_volume : float
        Smallest Jacobian determinant of the bending; above 0, it does not fold.
    rms_um, largest_um : float
        Of the bending.
    is_complete : bool
        False where it was stopped early.
    """

    transform: Transform
    metric_before: float
    metric_after: float
    unseen_gain: float
    stiffness: float | None
    least_volume: float
    rms_um: float
    largest_um: float
    is_complete: bool = True

    @property
    def verdict(self) -> str:
        """In words."""
        early = "" if self.is_complete else "stopped early; "
        if self.stiffness is None:
            return (
                f"{early}not bent: bending did not improve the agreement where it was not fitted "
                f"({self.unseen_gain:+.1%})"
            )
        return (
            f"{early}bent by {self.rms_um:.3g} um RMS (at most {self.largest_um:.3g} um), no "
            f"folds; agreement {self.metric_before:.3f} before, {self.metric_after:.3f} after, "
            f"{self.unseen_gain:+.1%} where it was not fitted"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "metric_before": self.metric_before,
            "metric_after": self.metric_after,
            "unseen_gain": self.unseen_gain,
            "stiffness": self.stiffness,
            "least_jacobian": self.least_volume,
            "bending_rms_um": self.rms_um,
            "bending_largest_um": self.largest_um,
            "is_complete": self.is_complete,
            "verdict": self.verdict,
        }


def refine_elastic(
    fixed: SpatialImage,
    moving: SpatialImage,
    start: Affine,
    *,
    fixed_channel: str | int | None = None,
    moving_channel: str | int | None = None,
    fixed_mask: SpatialImage | None = None,
    moving_mask: SpatialImage | None = None,
    progress: Progress | None = None,
) -> ElasticResult:
    """Bend a linear registration to the images, as far as they agree that it bends.

    Parameters
    ----------
    fixed, moving : SpatialImage
        Both flat, or both volumes.
    start : Affine
        Fixed to moving world, as of :func:`~.search.find_start` or of landmarks.
    fixed_channel, moving_channel, fixed_mask, moving_mask
        As for :func:`~.search.find_start`.
    progress : Progress, optional
        Where it cancels, the best map so far is given back, the start if there is none.

    Raises
    ------
    RefineError
        If one image is flat and the other is not, or the start brings them to no overlap.
    """
    progress = progress or Silent()
    is_flat = fixed.grid.shape[0] == 1
    if is_flat != (moving.grid.shape[0] == 1):
        raise RefineError("one image is flat and the other is a volume: they cannot be bent alike")
    pyramid = structure_pyramids(
        fixed,
        moving,
        256 if is_flat else 96,
        64 if is_flat else 24,
        channels=(fixed_channel, moving_channel),
        masks=(fixed_mask, moving_mask),
    )
    work = _Bending(pyramid, start, progress)
    return work.run(fixed.grid)


class _Bending:
    def __init__(
        self, pyramid: list[tuple[Structure, Structure]], start: Affine, progress: Progress
    ) -> None:
        self._pyramid = pyramid[::-1]  # coarse to fine
        self._start = start
        self._progress = progress
        self._match: ElasticMatch | None = None
        self._at: Structure | None = None
        self._gain = 0.0
        self._stiffness: float | None = None

    def run(self, grid: Grid) -> ElasticResult:
        before = self._comparison(len(self._pyramid) - 1).evaluate(self._matrix(-1))
        if before.overlap <= 0:
            raise RefineError("the start brings the images to no overlap; find another start")
        is_complete = True
        try:
            self._stiffness = self._chosen()
            if self._stiffness is not None:
                self._climb(self._stiffness)
        except Cancelled:
            is_complete = False
        match, at = self._match, self._at
        if self._stiffness is None or match is None or at is None:
            return ElasticResult(
                self._start, before.metric, before.metric, self._gain, None, 1.0, 0, 0, is_complete
            )
        size = np.sqrt(np.sum(match.shift**2, axis=0)) * at.step_um
        return ElasticResult(
            Chain(_field(match, at, grid), self._start),
            before.metric,
            match.metric if is_complete else self._judged(match, at),
            self._gain,
            self._stiffness,
            match.least_volume,
            float(np.sqrt(np.mean(size**2))),
            float(size.max()),
            is_complete,
        )

    def _chosen(self) -> float | None:
        """The stiffest of those whose maps agree about best in the half that they did not see."""
        level = min(1, len(self._pyramid) - 1)
        fixed = self._pyramid[level][0]
        board = _chessboard(fixed.values.shape)
        self._progress.begin("how far it bends", 2 * len(STIFFNESSES))
        gains = np.zeros(len(STIFFNESSES))
        unbent = 0.0
        for seen in (board, 1 - board):
            unseen = self._comparison(level, 1 - seen)
            plain = unseen.evaluate(self._matrix(level)).metric
            unbent += abs(plain)
            shift = np.zeros((3, *fixed.values.shape))
            for k, stiffness in enumerate(STIFFNESSES):
                match = self._fitted(level, shift, stiffness, 20, seen)
                gains[k] += self._agreement(unseen, level, match) - plain
                shift = match.shift
                self._progress.advance()
        chosen = int(np.argmax(gains >= _ENOUGH * gains.max()))
        self._gain = float(gains[chosen] / max(unbent, 1e-9))
        return STIFFNESSES[chosen] if self._gain > _LEAST_GAIN else None

    def _climb(self, stiffness: float) -> None:
        """From coarse to fine; stiffer wherever it would fold."""
        self._progress.begin("bending", len(self._pyramid))
        for level, (fixed, _) in enumerate(self._pyramid):
            if self._match is None or self._at is None:
                shift = np.zeros((3, *fixed.values.shape))
            else:
                shift = resampled_shift(self._match.shift, self._at, fixed)
            harder = stiffness
            match = self._fitted(level, shift, harder, 30, None)
            while match.least_volume < _LEAST_VOLUME and harder < 100 * stiffness:
                harder *= 4
                match = self._fitted(level, shift, harder, 30, None)
            if match.least_volume < _LEAST_VOLUME:
                raise RefineError(
                    "the images can only be brought together by folding them; the start is "
                    "probably wrong. Keep the affine map, or set landmarks"
                )
            self._match, self._at, self._stiffness = match, fixed, harder
            self._progress.advance()

    def _fitted(
        self,
        level: int,
        shift: FloatArray,
        stiffness: float,
        iterations: int,
        weight: NDArray[np.float32] | None,
    ) -> ElasticMatch:
        comparison = self._comparison(level, weight)
        step = max(comparison.fixed.values.shape) / _CONTROLS
        return match_elastic(comparison, self._matrix(level), shift, step, stiffness, iterations)

    def _agreement(self, comparison: Comparison, level: int, match: ElasticMatch) -> float:
        return comparison.evaluate_shifted(self._matrix(level), match.shift)

    def _judged(self, match: ElasticMatch, at: Structure) -> float:
        finest = len(self._pyramid) - 1
        shift = resampled_shift(match.shift, at, self._pyramid[finest][0])
        return self._comparison(finest).evaluate_shifted(self._matrix(finest), shift)

    def _comparison(self, level: int, weight: NDArray[np.float32] | None = None) -> Comparison:
        return Comparison(*self._pyramid[level], WINDOW_RADIUS, weight)

    def _matrix(self, level: int) -> FloatArray:
        return index_matrix(self._start.matrix, self._pyramid[level])


def _chessboard(shape: tuple[int, ...]) -> NDArray[np.float32]:
    side = max(1, round(max(shape) / _SQUARES))
    index = np.indices(shape) // side
    return np.asarray(index.sum(axis=0) % 2, dtype=np.float32)


def _field(match: ElasticMatch, at: Structure, grid: Grid) -> DisplacementField:
    """The displacement in um on a coarse grid over the fixed image, and a little beyond."""
    size = np.asarray(grid.voxel_size_um)
    wide = np.asarray(grid.shape) > 1
    extent = float(np.max((size * grid.shape)[wide]))
    step = extent / _FIELD_VOXELS[int(wide.sum())]
    # a flat image's points may lie a little off its plane
    inner = grid.at_spacing(np.where(wide, step, size))
    matrix = inner.index_to_world.copy()
    pad = np.where(wide, _MARGIN, 0)
    matrix[:3, 3] = inner.to_world(-pad)[0]
    if not wide[0]:
        matrix[:3, 0] *= extent / size[0]
    shape = np.asarray(inner.shape) + 2 * pad
    wider = Grid((int(shape[0]), int(shape[1]), int(shape[2])), matrix)
    # in voxels of the structure, then along its axes in um
    target = Structure(
        np.zeros(wider.shape, np.float32), np.ones(wider.shape, np.float32), wider, False
    )
    shift = resampled_shift(match.shift, at, target, in_voxels=False)
    return DisplacementField(wider, shift.astype(np.float32))
