"""The map that landmarks and images make together: iterated, the landmarks as a soft constraint.

At the map so far the images are asked, cell by cell, for the shift that they want and how sure they
are of it; shifts and landmarks are joined in :class:`.posterior.Posterior`; the map moves there;
again. From a blurred to a sharp view, so that the first steps may be long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ..fitting.spline_system import SplineSystem
from ..geometry import Grid
from ..landmarks import LandmarkPairs
from ..transform import Transform
from .evidence import Evidence, ImageEvidence
from .posterior import (
    LENGTHS,
    Measurements,
    Posterior,
    Prior,
    fitted_prior,
    landmark_measurements,
)

FloatArray = NDArray[np.float64]

FEWEST_LANDMARKS = 10
"""With fewer the images refine the map there is; with more, what the landmarks alone make of it."""

NODES = 450
"""Of the spline that a refined map is kept as."""

# the residuals of neighbouring voxels are no independent noise
_INFLATION = 2.0
# what all cells have in common (an affine map) is trusted this many times less, as a standard
# error: edges of the sample and slow changes of brightness pull all cells one way
_COMMON_DOUBT = 2.0
_LONGEST_ASKED_UM = 1000.0
_ITERATIONS = 4
_STILL = 0.006  # of a voxel
# a map without landmarks may bend by about a voxel, over a quarter of the image
_FREE_STRENGTH, _FREE_SCALE = 1.0, 0.25
# a shorter length of the field is taken where it is worth so many log units
_WORTH = 2.0
_MARGIN = 0.02
_NEARBY_BLURS = (0.5, 0.0)


@dataclass(frozen=True, eq=False)
class SoftMap:
    """A map of the fixed into the moving world.

    Parameters
    ----------
    posterior : Posterior
    base : Transform or None
        To which the posterior is added; None where it is the map itself.
    dimensions : {3, 2}
    shift_um : float
        Added to z of flat images.
    """

    posterior: Posterior
    base: Transform | None
    dimensions: int
    shift_um: float

    def map(self, points_um: FloatArray) -> FloatArray:
        """(n, 3) moving points (z, y, x) in um."""
        first = 3 - self.dimensions
        out = points_um.copy() if self.base is None else self.base.map(points_um)
        found = self.posterior.values(points_um[:, first:])
        if self.base is None:
            out[:, first:] = found
            if first:
                out[:, 0] += self.shift_um
        else:
            out[:, first:] += found
        return out


def refine_softly(
    images: ImageEvidence,
    start: Transform,
    pairs: LandmarkPairs | None,
    from_landmarks: bool,
    left_out_cells: NDArray[np.int64] | None = None,
    on_iteration: Callable[[SoftMap], None] | None = None,
) -> SoftMap:
    """The map of images and landmarks.

    Parameters
    ----------
    images : ImageEvidence
    start : Transform
        Where to begin.
    pairs : LandmarkPairs or None
    from_landmarks : bool
        Whether the landmarks are enough to be mapped by themselves; else what is found is added to
        `start`.
    left_out_cells : (m,) int64, optional
        Cells whose evidence is not used.
    on_iteration : callable, optional
        Told of the map after each iteration.

    Raises
    ------
    RefineError
        If the images hardly overlap.
    """
    d = images.dimensions
    first = 3 - d
    is_map = from_landmarks and pairs is not None
    if is_map and pairs is not None:
        prior = fitted_prior(
            pairs.fixed_um[:, first:], pairs.moving_um[:, first:], pairs.weights, _voxel(images)
        )
        shift = float(np.mean(pairs.moving_um[:, 0] - pairs.fixed_um[:, 0]))
    else:
        prior, shift = _free_prior(images), 0.0
    landmarks = _landmarks(prior, start, pairs, first, is_map)
    moved = start.map(images.points_um)
    found: SoftMap | None = None
    here: Callable[[FloatArray], FloatArray] = start.map
    # sharply once more, with the length that the images ask for
    views = [*_blurs(images, prior.click_um), 0.0]
    for stage, blur in enumerate(views):
        for k in range(_ITERATIONS):
            seen = images.at(moved, blur)
            data = _cell_measurements(seen, here, start, prior, blur, left_out_cells, d, is_map)
            if is_map and pairs is not None and stage == len(views) - 1 and k == 0:
                prior = _likeliest(prior, data, start, pairs, first, _voxel(images))
                landmarks = _landmarks(prior, start, pairs, first, is_map)
            whole = data if landmarks is None else landmarks.joined(data)
            found = SoftMap(Posterior(prior, whole), None if is_map else start, d, shift)
            here = found.map
            before, moved = moved, found.map(images.points_um)
            if on_iteration is not None:
                on_iteration(found)
            if np.sqrt(np.nanmean((moved - before) ** 2)) < _STILL * images.voxel_um:
                break
    assert found is not None
    return found


def joined_map(
    images: ImageEvidence,
    start: Transform,
    prior: Prior,
    measured: Measurements,
    within_um: float,
    shift_um: float = 0.0,
    on_iteration: Callable[[SoftMap], None] | None = None,
) -> SoftMap:
    """The map of images and of places that were measured before, under a prior that is given.

    It begins with what was measured and is right to about half a voxel.

    Parameters
    ----------
    images : ImageEvidence
    start : Transform
        An affine map nearby.
    prior : Prior
    measured : Measurements
        Of the map.
    within_um : float
        The images are asked as far as this from what was measured: farther away the map may be off
        by more than they can tell.
    shift_um : float
        Added to z of flat images.
    on_iteration : callable, optional

    Raises
    ------
    RefineError
        If the images hardly overlap.
    numpy.linalg.LinAlgError
        If the places do not determine an affine map.
    """
    d = images.dimensions
    found = SoftMap(Posterior(prior, measured), None, d, shift_um)
    moved = found.map(images.points_um)
    images = images.without_what_differs(moved)
    for blur in _NEARBY_BLURS:
        for _ in range(_ITERATIONS):
            seen = images.at(moved, blur)
            gaps = cdist(seen.centres_um, measured.points_um).min(axis=1)
            far = seen.cells[gaps > within_um]
            cells = _cell_measurements(seen, found.map, start, prior, blur, far, d, True)
            found = SoftMap(Posterior(prior, measured.joined(cells)), None, d, shift_um)
            before, moved = moved, found.map(images.points_um)
            if on_iteration is not None:
                on_iteration(found)
            if np.sqrt(np.nanmean((moved - before) ** 2)) < _STILL * images.voxel_um:
                break
    return found


def as_spline(
    found: Callable[[FloatArray], FloatArray],
    images: ImageEvidence,
    pairs: LandmarkPairs | None,
    n_nodes: int = NODES,
) -> Transform:
    """The map as a thin-plate spline through a lattice over the images, and landmarks beyond it.

    What is found is smoother than the spline, so the spline through its values at nodes this close
    differs from it by a small part of a voxel. (Of a displacement field more nodes are taken.)
    """
    grid, d = images.grid, images.dimensions
    size = np.asarray(grid.shape) * np.asarray(grid.voxel_size_um)
    free = np.arange(3) >= 3 - d
    side = node_distance_um(grid, d, n_nodes)
    counts = np.where(free, np.maximum(2, np.round(size / side).astype(int) + 1), 1)
    shape = np.asarray(grid.shape)
    axes = [
        np.linspace(-0.5 - _MARGIN * n, n - 0.5 + _MARGIN * n, k) if k > 1 else np.zeros(1)
        for n, k in zip(shape, counts, strict=True)
    ]
    nodes = grid.to_world(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))
    if pairs is not None:
        beyond = ~grid.contains(pairs.fixed_um)
        nodes = np.concatenate([nodes, _apart(pairs.fixed_um[beyond], side / 4)])
    values = found(nodes)
    known = np.all(np.isfinite(values), axis=1)
    return SplineSystem(nodes[known], d).solve(values[known], 0.0)


def node_distance_um(grid: Grid, dimensions: int, n_nodes: int = NODES) -> float:
    """How far the nodes of :func:`as_spline` are from each other."""
    size = np.asarray(grid.shape) * np.asarray(grid.voxel_size_um)
    return float((np.prod(size[3 - dimensions :]) / n_nodes) ** (1 / dimensions))


def _apart(points_um: FloatArray, gap_um: float) -> FloatArray:
    """The points without those that are nearer than a gap to one before them."""
    kept: list[FloatArray] = []
    for point in points_um:
        if all(np.linalg.norm(point - other) >= gap_um for other in kept):
            kept.append(point)
    return np.array(kept).reshape(-1, 3)


def _voxel(images: ImageEvidence) -> float:
    return float(max(images.grid.voxel_size_um[3 - images.dimensions :]))


def _free_prior(images: ImageEvidence) -> Prior:
    grid, first = images.grid, 3 - images.dimensions
    radius = float(np.linalg.norm((grid.corners() - grid.centre_um)[:, first:], axis=1).max())
    voxel = _voxel(images)
    return Prior(grid.centre_um[first:], _FREE_SCALE * radius, _FREE_STRENGTH * voxel, voxel / 3)


def _landmarks(
    prior: Prior, start: Transform, pairs: LandmarkPairs | None, first: int, is_map: bool
) -> Measurements | None:
    if pairs is None or not len(pairs):
        return None
    values = pairs.moving_um if is_map else pairs.moving_um - start.map(pairs.fixed_um)
    return landmark_measurements(
        pairs.fixed_um[:, first:], values[:, first:], pairs.weights, prior.click_um
    )


def _likeliest(
    prior: Prior,
    cells: Measurements,
    start: Transform,
    pairs: LandmarkPairs,
    first: int,
    voxel_um: float,
) -> Prior:
    """The prior, of the lengths there are, under which landmarks and cells are most probable."""
    fixed, moving = pairs.fixed_um[:, first:], pairs.moving_um[:, first:]
    best, highest = prior, -np.inf
    for length in LENGTHS:
        other = fitted_prior(fixed, moving, pairs.weights, voxel_um, length)
        landmarks = _landmarks(other, start, pairs, first, True)
        assert landmarks is not None
        found = Posterior(other, landmarks.joined(cells)).log_likelihood
        if found > highest + _WORTH:
            best, highest = other, found
    return best


def _blurs(images: ImageEvidence, click_um: float) -> list[float]:
    """Gaussians in voxels: as wide as the landmarks' error, halved until it is no use."""
    widest = min(max(click_um / images.voxel_um, 0.5), 4.0)
    found = []
    while widest >= 0.5:
        found.append(widest)
        widest /= 2
    return [*found, 0.0]


def _cell_measurements(
    seen: Evidence,
    here: Callable[[FloatArray], FloatArray],
    start: Transform,
    prior: Prior,
    blur: float,
    left_out: NDArray[np.int64] | None,
    d: int,
    is_map: bool,
) -> Measurements:
    first = 3 - d
    use = np.ones(len(seen.cells), dtype=np.bool_)
    if left_out is not None:
        use = ~np.isin(seen.cells, left_out)
    centres, information, score = seen.centres_um[use], seen.information[use], seen.score[use]
    # noise that was blurred is alike over as many voxels as the Gaussian squared holds
    inflation = _INFLATION * (1 + 4 * np.pi * blur**2) ** (d / 2)
    bounded = information + np.eye(d) / _LONGEST_ASKED_UM**2
    covariance = np.linalg.inv(bounded)
    shift = np.einsum("nij,nj->ni", covariance, score)
    points = np.zeros((len(centres), 3))
    points[:, first:] = centres
    if first:
        points[:, 0] = 0.0
    values = here(points)
    if not is_map:
        values = values - start.map(points)
    return Measurements(
        centres,
        values[:, first:] + shift,
        inflation * covariance,
        _common_error(centres, bounded, prior),
    )


def _common_error(centres: FloatArray, information: FloatArray, prior: Prior) -> FloatArray:
    """Factor (m d, k) of an affine error of all cells, as large as their own knowledge of it."""
    m, d = centres.shape
    trend = np.column_stack([np.ones(m), (centres - centres.mean(axis=0)) / prior.scale_um])
    modes = np.kron(trend, np.eye(d))
    weighed = np.einsum("nij,njk->nik", information, modes.reshape(m, d, -1)).reshape(m * d, -1)
    known = modes.T @ weighed
    known += 1e-9 * np.trace(known) / len(known) * np.eye(len(known))
    root = np.linalg.cholesky(np.linalg.inv(known))
    return np.asarray(_COMMON_DOUBT * modes @ root)
