"""What two images say about the map between them, place by place, with its uncertainty.

The moving channels are averaged over the fixed voxels through the map. Around each voxel the fixed
image is explained by them with a linear regression of its own (a smooth window), which asks neither
for the same contrast nor for its sign. What is left over, and how the explained part changes when
the map is shifted, give per cell of the fixed image the score and the information matrix (Gauss and
Newton) of a shift of the moving image. Cells where nothing is to be seen have no information, and
along a vessel there is little; nothing has to be found or thresholded for that.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, label

from ..errors import RefineError
from ..geometry.grid import Grid
from .pull_kernels import pull_means
from .working_image import WorkingImage

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# the window of the local regression: a Gaussian of so many voxels
_WINDOW = 2.0
# of a channel's variance: a window in which it hardly varies tells nothing
_RIDGE = 0.02
# of the mean residual variance: no window is so well explained that it rules all others
_VARIANCE_FLOOR = 0.05
# residuals beyond so many standard deviations count less (Huber)
_HUBER = 2.0
_FULL_COVERAGE = 0.999
_LEAST_OF_A_CELL = 0.3
_CELLS = 300
_FEWEST_VOXELS = 200
# a background is darker than this part of the bright tissue, and larger than this part of the image
_DARK, _LARGE = 0.4, 0.01
_STEEPEST_FLATTENING = 1.5
# what one image shows and the other does not: residuals that, as means over a voxel or so, lie
# beyond so many of their standard deviations (a map that is off leaves pairs of opposite sign,
# which cancel); but not more than this part of all, or it would be the rule
_UNLIKE_BEYOND, _UNLIKE_SIGMA, _UNLIKE_ROUNDS, _MOST_UNLIKE = 4.0, 1.0, 3, 0.25
_SIGMA_OF_MEDIAN = 1.4826


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the images say at one map.

    Parameters
    ----------
    centres_um : (m, d) float64
        Middle of each cell, in the fixed world.
    information : (m, d, d) float64
        Of a shift of the moving points, per um^2.
    score : (m, d) float64
        Per um; ``information^-1 score`` is the shift that a cell asks for.
    cells : (m,) int64
        Their numbers.
    voxel_cells : (v,) int64
        The cell of each voxel.
    residual : (v,) float64
        Of each voxel, in the fixed image's unit; NaN where it does not count.
    deviation : (v,) float64
        Squared difference of each voxel from the fixed image's local mean.
    """

    centres_um: FloatArray
    information: FloatArray
    score: FloatArray
    cells: NDArray[np.int64]
    voxel_cells: NDArray[np.int64]
    residual: FloatArray
    deviation: FloatArray

    @property
    def misfit(self) -> FloatArray:
        """(v,) squared residual."""
        return self.residual**2

    def explained(self, among: BoolArray | None = None) -> float:
        """Share of the fixed image's local variance that the moving channels explain (0-1).

        Parameters
        ----------
        among : (v,) bool, optional
            Only these voxels, as those that count at another map too.
        """
        known = np.isfinite(self.misfit)
        if among is not None:
            known &= among
        total = float(self.deviation[known].sum())
        return 1 - float(self.misfit[known].sum()) / total if total > 0 else 0.0


class ImageEvidence:
    """A fixed image and the moving channels that explain it.

    Parameters
    ----------
    fixed : WorkingImage
        A grid of moderate size.
    moving : tuple of WorkingImage
        Channels on one grid, some times finer than `fixed`.
    dimensions : {3, 2}

    Raises
    ------
    RefineError
        If too little is left to compare.
    """

    def __init__(
        self, fixed: WorkingImage, moving: tuple[WorkingImage, ...], dimensions: int = 3
    ) -> None:
        self.grid, self.dimensions = fixed.grid, dimensions
        self.counts = fixed.valid & ~_background(fixed)
        self._fixed = np.where(self.counts, fixed.array, 0).astype(np.float64)
        if self.counts.sum() < _FEWEST_VOXELS:
            raise RefineError(
                f"only {int(self.counts.sum())} voxels of the fixed image count; choose a larger "
                f"region, a finer spacing or another mask"
            )
        self._moving_grid = moving[0].grid
        self._moving = [_ready(image) for image in moving]
        size = np.asarray(fixed.grid.voxel_size_um)
        fine = max(self._moving_grid.voxel_size_um[3 - dimensions :])
        self._samples = np.maximum(1, np.ceil(size / fine - 1e-6)).astype(np.int64)
        if dimensions == 2:
            self._samples[0] = 1
        index = np.indices(fixed.grid.shape).reshape(3, -1).T
        self.points_um = fixed.grid.to_world(index)
        self.voxel_cells, self.n_cells = _cells(fixed.grid, dimensions)

    @property
    def voxel_um(self) -> float:
        """The shortest side of a voxel (of a flat image: in its plane)."""
        return float(min(self.grid.voxel_size_um[3 - self.dimensions :]))

    def at(self, moved_um: FloatArray, blur: float = 0.0) -> Evidence:
        """What the images say where the map carries `points_um` to `moved_um`.

        Parameters
        ----------
        moved_um : (v, 3) float64
        blur : float
            Both images are looked at through a Gaussian of so many voxels: a farther and a
            coarser view.

        Raises
        ------
        RefineError
            If the images hardly overlap.
        """
        shape, d = self.grid.shape, self.dimensions
        pulled = [self._pull(channel, moved_um) for channel in self._moving]
        counts = self.counts & (pulled[0][2] >= _FULL_COVERAGE)
        if counts.sum() < _FEWEST_VOXELS:
            raise RefineError(
                "the images hardly overlap through this map; check the landmarks or the transform, "
                "its direction and the voxel sizes"
            )
        weight = counts.astype(np.float64)
        seen = _Window(weight, blur)
        target = _centred(seen.mean(self._fixed), counts)
        values: list[FloatArray] = []
        slopes: list[FloatArray] = []
        for value, slope, _ in pulled:
            value = np.where(counts, seen.mean(value), 0.0)
            spread = float(value[counts].std()) or 1.0
            values.append(_centred(value, counts) / spread)
            slopes.extend(seen.mean(slope[..., i]) / spread for i in range(3 - d, 3))
        window = _Window(weight, _WINDOW)
        fitted, steepness, mean = _regression(target, values, slopes, window)
        residual = (target - fitted[..., 0]) * weight
        variance = window.mean(residual**2)
        typical = float(variance[counts].mean()) or 1.0
        trusted = weight / (variance + _VARIANCE_FLOOR * typical)
        with np.errstate(divide="ignore"):
            outlying = _HUBER * np.sqrt(variance + _VARIANCE_FLOOR * typical) / np.abs(residual)
        trusted = trusted * np.minimum(1.0, outlying)
        change = np.zeros((*shape, d))
        for c in range(len(values)):
            own = slice(c * d, (c + 1) * d)
            local = np.stack(slopes[own], axis=-1) - fitted[..., 1 + c * d : 1 + (c + 1) * d]
            change += steepness[..., c, None] * local
        return self._by_cell(weight, trusted, residual, change, (target - mean).ravel() ** 2)

    def without_what_differs(self, moved_um: FloatArray) -> ImageEvidence:
        """The same, but for the voxels of the fixed image that no map can explain.

        Voxels that the sample's surface runs through, a label that only one image shows, artefacts:
        near them the local regression would be theirs.

        Parameters
        ----------
        moved_um : (v, 3) float64
            Where a map that is right to about a voxel carries `points_um`.

        Raises
        ------
        RefineError
            If the images hardly overlap.
        """
        found = copy(self)
        for _ in range(_UNLIKE_ROUNDS):
            residual = found.at(moved_um).residual.reshape(self.counts.shape)
            known = np.isfinite(residual)
            near = _Window(known.astype(np.float64), _UNLIKE_SIGMA)
            smooth = near.mean(np.where(known, residual, 0.0))
            typical = _SIGMA_OF_MEDIAN * float(np.median(np.abs(smooth[known])))
            differs = known & (np.abs(smooth) > _UNLIKE_BEYOND * typical)
            counts = found.counts & ~differs
            if not differs.any() or counts.sum() < (1 - _MOST_UNLIKE) * self.counts.sum():
                break
            if (known & ~differs).sum() < _FEWEST_VOXELS:
                break
            found.counts = counts
            found._fixed = np.where(counts, self._fixed, 0.0)
        return found

    def _by_cell(
        self,
        weight: FloatArray,
        trusted: FloatArray,
        residual: FloatArray,
        change: FloatArray,
        deviation: FloatArray,
    ) -> Evidence:
        d, n = self.dimensions, self.n_cells

        def gather(values: FloatArray) -> FloatArray:
            return np.asarray(np.bincount(self.voxel_cells, values.ravel(), n), dtype=np.float64)

        count = gather(weight)
        full = np.bincount(self.voxel_cells, minlength=n).max()
        kept = count >= _LEAST_OF_A_CELL * full
        information, score = np.empty((n, d, d)), np.empty((n, d))
        for i in range(d):
            score[:, i] = gather(trusted * residual * change[..., i])
            for j in range(i, d):
                information[:, i, j] = gather(trusted * change[..., i] * change[..., j])
                information[:, j, i] = information[:, i, j]
        middle = np.stack(
            [gather(weight * self.points_um[:, i].reshape(weight.shape)) for i in range(3 - d, 3)],
            axis=1,
        )
        return Evidence(
            middle[kept] / count[kept, None],
            information[kept],
            score[kept],
            np.flatnonzero(kept),
            self.voxel_cells,
            np.where(weight > 0, residual, np.nan).ravel(),
            deviation,
        )

    def _pull(
        self, channel: NDArray[np.float32], moved_um: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean (z, y, x), its slope by the moved world (z, y, x, 3) per um, and the coverage."""
        shape = self.grid.shape
        index = self._moving_grid.to_index(moved_um)
        if self.dimensions == 2:
            index[:, 0] = 0.0
        lattice = index.reshape(*shape, 3)
        steps = np.zeros((*shape, 3, 3))
        for a in range(3):
            if shape[a] > 1:
                steps[..., a] = np.gradient(lattice, axis=a)
        n = len(index)
        mean, slope, coverage = np.empty(n), np.empty((n, 3)), np.empty(n)
        pull_means(channel, index, steps.reshape(-1, 3, 3), self._samples, mean, slope, coverage)
        by_world = slope @ self._moving_grid.world_to_index[:3, :3]
        return mean.reshape(shape), by_world.reshape(*shape, 3), coverage.reshape(shape)


class _Window:
    """Gaussian means of what counts."""

    def __init__(self, weight: FloatArray, sigma: float) -> None:
        # not along an axis of one voxel
        self._sigma = [sigma if n > 1 else 0.0 for n in weight.shape]
        self._weight = weight
        self._is_narrow = sigma <= 0
        self._sum = np.maximum(self._smooth(weight), 1e-6)

    def _smooth(self, values: FloatArray) -> FloatArray:
        if self._is_narrow:
            return values
        return np.asarray(gaussian_filter(values, self._sigma, mode="constant", truncate=3.0))

    def mean(self, values: FloatArray) -> FloatArray:
        if self._is_narrow:
            return values
        return self._smooth(self._weight * values) / self._sum


def _regression(
    target: FloatArray, values: list[FloatArray], slopes: list[FloatArray], window: _Window
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Regress target and slopes on 1 and the values, in a window round every voxel.

    Returns
    -------
    fitted : (z, y, x, 1 + slopes) float64
        What the regression makes of the target and of each slope.
    steepness : (z, y, x, values) float64
        The target's coefficients.
    mean : (z, y, x) float64
        The target's mean in the window.
    """
    rights = [target, *slopes]
    n = len(values)
    mean_value = [window.mean(v) for v in values]
    mean_right = [window.mean(r) for r in rights]
    left = np.empty((*target.shape, n, n))
    right = np.empty((*target.shape, n, len(rights)))
    for a in range(n):
        for b in range(a, n):
            left[..., a, b] = window.mean(values[a] * values[b]) - mean_value[a] * mean_value[b]
            left[..., b, a] = left[..., a, b]
        left[..., a, a] += _RIDGE
        for k, value in enumerate(rights):
            right[..., a, k] = window.mean(values[a] * value) - mean_value[a] * mean_right[k]
    coefficients = np.linalg.solve(left, right)
    away = np.stack([v - m for v, m in zip(values, mean_value, strict=True)], axis=-1)
    fitted = np.einsum("...a,...ak->...k", away, coefficients) + np.stack(mean_right, axis=-1)
    return fitted, coefficients[..., 0], mean_right[0]


def _centred(values: FloatArray, counts: BoolArray) -> FloatArray:
    return np.where(counts, values - values[counts].mean(), 0.0)


def _cells(grid: Grid, dimensions: int) -> tuple[NDArray[np.int64], int]:
    """(v,) number of each voxel's cell, and how many cells there are: about cubes."""
    size, shape = np.asarray(grid.voxel_size_um), np.asarray(grid.shape)
    free = np.arange(3) >= 3 - dimensions
    extent = np.prod((size * shape)[free])
    side = max((extent / _CELLS) ** (1 / dimensions), 1.5 * size[free].min())
    voxels = np.where(free, np.maximum(1, np.round(side / size)), shape).astype(np.int64)
    numbers = [np.arange(n) // k for n, k in zip(grid.shape, voxels, strict=True)]
    counts = [int(n[-1]) + 1 for n in numbers]
    z, y, x = np.meshgrid(*numbers, indexing="ij")
    return ((z * counts[1] + y) * counts[2] + x).ravel(), counts[0] * counts[1] * counts[2]


def _background(fixed: WorkingImage) -> BoolArray:
    """Dark surroundings of the sample and the voxels next to them.

    Where the sample ends the fixed image has an edge that the moving one may not have, next to
    which it would pull the map along; a user's mask stands for it where there is one.
    """
    nothing = np.zeros(fixed.array.shape, dtype=np.bool_)
    if fixed.mask is not None or not fixed.valid.any():
        return nothing
    values = np.where(fixed.valid, fixed.array, np.median(fixed.array[fixed.valid]))
    smooth = gaussian_filter(values.astype(np.float64), 0.7, mode="nearest")
    low = float(np.percentile(smooth, 0.5))
    dark = smooth - min(low, 0.0) < _DARK * (np.percentile(smooth, 75) - min(low, 0.0))
    numbers, n = label(dark)
    found = nothing.copy()
    for k in range(1, n + 1):
        part = numbers == k
        if part.sum() > _LARGE * part.size and _touches_border(part):
            found |= part
    if not found.any():
        return nothing
    sizes = np.where(np.asarray(fixed.grid.shape) > 1, 3, 1)
    grown = np.ones(tuple(sizes.tolist()), dtype=np.bool_)
    return np.asarray(binary_dilation(found, grown), dtype=np.bool_)


def _touches_border(part: BoolArray) -> bool:
    return any(
        bool(np.take(part, end, axis=a).any())
        for a in range(3)
        if part.shape[a] > 1
        for end in (0, -1)
    )


def _ready(image: WorkingImage) -> NDArray[np.float32]:
    """The moving channel with the slow change of its brightness along each axis undone.

    With depth a microscope's light fades by more than an e over a volume, and within one fixed
    voxel by enough to shift the mean of what is seen.
    """
    values = np.where(image.valid, image.array, np.nan).astype(np.float32)
    if not np.isfinite(values).any():
        raise RefineError("the moving image has no data here; check the mask and the transform")
    base = np.nanmedian(values)
    values -= base
    for axis in range(3):
        n = values.shape[axis]
        if n < 8:
            continue
        others = tuple(a for a in range(3) if a != axis)
        known = np.isfinite(values)
        square = np.sum(np.where(known, values, 0.0) ** 2, axis=others, dtype=np.float64)
        strength = np.sqrt(square / np.maximum(known.sum(axis=others), 1))
        bright = strength > 0
        if bright.sum() < 8:
            continue
        along = np.linspace(-1, 1, n)
        slope = np.polyfit(along[bright], np.log(strength[bright]), 1)[0]
        slope = float(np.clip(slope, -_STEEPEST_FLATTENING, _STEEPEST_FLATTENING))
        form = [1, 1, 1]
        form[axis] = n
        values *= np.exp(-slope * along).reshape(form).astype(np.float32)
    # the kernel interpolates between two voxels along each axis
    repeats = [(0, 1) if n == 1 else (0, 0) for n in values.shape]
    return np.ascontiguousarray(np.pad(values, repeats, mode="edge"))
