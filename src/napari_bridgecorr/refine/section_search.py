"""Which slice of a volume a section is, from nowhere: every slice, turn and shift is tried.

The joint histograms of a section with a slice at all shifts at once are correlations of their bins'
indicator images, which Fourier transforms give (Ofverstedt et al., Pattern Recognit. Lett. 159,
2022): the information at every shift, without a start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Plane
from ..progress import Progress, Silent
from .section_kernels import sample_slab
from .section_pose import SectionPose

FloatArray = NDArray[np.float64]

_SECTION_BINS = 5
_SLICE_BINS = 5
_LEAST_OVERLAP = 0.6
_PIXELS_ALONG = 24


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pose that may be the section's.

    Parameters
    ----------
    score : float
        Information (nats) per pixel of the section or slice, whichever has fewer, less what chance
        would give.
    slice_number : int
        Of the slices that were tried.
    is_flipped : bool
        Whether the section would lie upside down.
    pose : SectionPose
    """

    score: float
    slice_number: int
    is_flipped: bool
    pose: SectionPose


@dataclass(frozen=True, eq=False)
class CoarseSection:
    """A section's pixels, small enough to try thousands of poses.

    Parameters
    ----------
    values : (y, x) float32
        NaN where the section tells nothing.
    grid : Grid
        (1, y, x) with square pixels.
    """

    values: NDArray[np.float32]
    grid: Grid

    @property
    def spacing_um(self) -> float:
        """Edge of a pixel."""
        return self.grid.voxel_size_um[1]


def search_pixel_um(section: Grid, volume: Grid) -> float:
    """A pixel coarse enough to try everything, and no finer than the volume's voxels."""
    extent = max(n * s for n, s in zip(section.shape[1:], section.voxel_size_um[1:], strict=True))
    return float(max(extent / _PIXELS_ALONG, np.median(volume.voxel_size_um)))


def search(
    section: CoarseSection,
    volume: NDArray[np.float32],
    grid: Grid,
    planes: Sequence[Plane],
    thickness_um: float,
    turns_degrees: Sequence[float],
    flips: Sequence[bool] = (False, True),
    progress: Progress | None = None,
) -> list[Candidate]:
    """The best shift for every slice, turn and side; unordered.

    Parameters
    ----------
    section : CoarseSection
    volume : (z, y, x) float32
        NaN where there is nothing; with voxels of about the section's pixels.
    grid : Grid
    planes : sequence of Plane
        The slices that are tried. Their origins are the slices' middles.
    thickness_um : float
    turns_degrees : sequence of float
        From the section's axes to the slice's.
    flips : sequence of bool
    progress : Progress, optional
    """
    watched = progress or Silent()
    watched.begin("Trying every slice", len(planes))
    step = section.spacing_um
    turned = [(f, a, *_turned(section, f, a)) for f in flips for a in turns_degrees]
    levels = _edges(section.values, _SECTION_BINS)
    found = []
    side = max(max(picture.shape) for _, _, picture, _ in turned)
    reach = _slice_reach(grid, planes)
    n = int(np.ceil(2 * reach / step)) + 1
    size = _fast_length(n + side)
    spectra = [_spectra(_indicators(p, levels), size).conj() for _, _, p, _ in turned]
    for number, plane in enumerate(planes):
        picture = _slice(volume, grid, plane, thickness_um, n, step)
        edges = _edges(picture, _SLICE_BINS)
        bins = _indicators(picture, edges)
        n_slice = float(bins.sum())
        if n_slice < 16:
            watched.advance()
            continue
        there = _spectra(bins, size)
        for (flipped, angle, small, to_section), here in zip(turned, spectra, strict=True):
            score, shift = _best_shift(here, there, size, np.isfinite(small).sum(), n_slice)
            if not np.isfinite(score):
                continue
            first = np.where(shift >= n, shift - size, shift)
            # the turned picture's pixel (0, 0) lies on the slice's pixel `first`
            corner = (first - (n - 1) / 2) * step
            pose = _pose(plane, flipped, angle, corner, to_section, section.grid)
            found.append(Candidate(score, number, flipped, pose))
        watched.advance()
    return found


def _pose(
    plane: Plane, flipped: bool, angle: float, corner: FloatArray, origin: FloatArray, grid: Grid
) -> SectionPose:
    """From where the turned picture's first pixel is in the slice's (y, x)."""
    linear = _rotation(angle)
    middle = float(grid.index_to_world[0, 3])
    if not flipped:
        # place = linear @ (q - origin) + corner
        return SectionPose(plane, linear, corner - linear @ origin, middle)
    # seen from the other side x runs backward: the plane is turned over
    mirror = np.diag([1.0, -1.0])
    whole = linear @ mirror
    return SectionPose(plane.flipped(), mirror @ whole, mirror @ (corner - whole @ origin), middle)


def _rotation(angle: float) -> FloatArray:
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[c, s], [-s, c]])


def _turned(
    section: CoarseSection, flipped: bool, angle: float
) -> tuple[NDArray[np.float32], FloatArray]:
    """The section on a frame turned against it, and the section's point at its first pixel."""
    step = section.spacing_um
    linear = _rotation(angle)
    if flipped:
        linear = linear @ np.diag([1.0, -1.0])
    corners = section.grid.corners()[:, 1:] @ linear.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = np.ceil((high - low) / step).astype(int)
    index = np.indices(tuple(shape)).reshape(2, -1).T
    places = low + (index + 0.5) * step
    points = places @ linear  # the inverse of an orthogonal matrix
    at = section.grid.to_index(np.column_stack([np.zeros(len(points)), points]))
    at[:, 0] = 0
    values, _ = sample_slab(section.values[None], at, np.zeros((1, 3)))
    picture = values.reshape(tuple(shape)).astype(np.float32)
    return picture, np.asarray((low + 0.5 * step) @ linear)


def _slice_reach(grid: Grid, planes: Sequence[Plane]) -> float:
    """How far from a slice's middle the volume reaches within the slice."""
    corners = grid.corners()
    return max(
        float(np.abs(plane.place(corners)[:, 1:]).max()) for plane in (planes[0], planes[-1])
    )


def _slice(
    volume: NDArray[np.float32], grid: Grid, plane: Plane, thickness_um: float, n: int, step: float
) -> NDArray[np.float32]:
    axis = (np.arange(n) - (n - 1) / 2) * step
    places = np.stack(np.meshgrid([0.0], axis, axis, indexing="ij"), -1).reshape(-1, 3)
    along = grid.world_to_index[:3, :3] @ plane.normal
    k = int(np.clip(np.ceil(2 * thickness_um * np.abs(along).max()), 1, 8))
    offsets = (((np.arange(k) + 0.5) / k - 0.5) * thickness_um)[:, None] * along
    values, _ = sample_slab(volume, grid.to_index(plane.points(places)), offsets)
    return values.reshape(n, n).astype(np.float32)


def _edges(picture: NDArray[np.float32], n: int) -> FloatArray:
    known = picture[np.isfinite(picture)]
    if known.size == 0:
        return np.empty(0)
    return np.unique(np.quantile(known, np.linspace(0, 1, n + 1)[1:-1]))


def _indicators(picture: NDArray[np.float32], edges: FloatArray) -> NDArray[np.float32]:
    """(bins, y, x) where the picture's values are in each bin."""
    numbers = np.where(np.isfinite(picture), np.searchsorted(edges, picture, "right"), -1)
    return np.stack([numbers == k for k in range(len(edges) + 1)]).astype(np.float32)


def _spectra(bins: NDArray[np.float32], size: int) -> NDArray[np.complex64]:
    from scipy.fft import rfft2

    found: NDArray[np.complex64] = rfft2(bins, (size, size))
    return found


def _best_shift(
    here: NDArray[np.complex64],
    there: NDArray[np.complex64],
    size: int,
    n_section: float,
    n_slice: float,
) -> tuple[float, NDArray[np.intp]]:
    """The shift of the most information, and that."""
    from scipy.fft import irfft2

    counts = irfft2(here[:, None] * there[None], (size, size))
    flat = counts.reshape(len(here), len(there), -1)
    overlap = flat.sum(axis=(0, 1))
    fewer = min(float(n_section), n_slice)
    chosen = np.flatnonzero(overlap >= _LEAST_OVERLAP * fewer)
    if len(chosen) == 0:
        return -np.inf, np.zeros(2, dtype=np.intp)
    joint = np.maximum(flat[:, :, chosen], 0.0)
    total = overlap[chosen]
    by_a, by_b = joint.sum(axis=1), joint.sum(axis=0)
    n_log_n = _x_log_x(joint).sum(axis=(0, 1)) + _x_log_x(total)
    information = n_log_n - _x_log_x(by_a).sum(axis=0) - _x_log_x(by_b).sum(axis=0)
    # what two pictures that have nothing in common share by chance
    chance = 0.5 * (len(here) - 1) * (len(there) - 1)
    score = (information - chance) / fewer
    best = int(np.argmax(score))
    return float(score[best]), np.array(np.unravel_index(chosen[best], (size, size)))


def _x_log_x(x: NDArray[np.float32]) -> NDArray[np.float32]:
    # counts are whole numbers but for rounding
    return np.asarray(x * np.log(np.maximum(x, 0.25)))


def _fast_length(n: int) -> int:
    from scipy.fft import next_fast_len

    return int(next_fast_len(n, real=True))
