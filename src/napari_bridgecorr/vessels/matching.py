"""Where the surroundings of many places lie in another image, all places helping each other.

Each place has a likelihood over shifts (how alike its surroundings are) and an expectation (what
the other places say, through a smooth field). What is found for sure joins the field, as sharp as
it is along each direction, which then tells more of the rest: so matches grow outwards from the
given pairs, and an earlier one that no longer agrees with its neighbours is let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..progress import Progress
from . import windows
from .likeness import likeness
from .posterior import Posterior, ShiftJudge
from .ridges import Float32Array
from .smooth_shifts import ShiftPrior, SmoothShifts

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# how far is searched in each round, in lengths of the scale
REACHES = (4.0, 3.0, 3.0, 2.0)
# a click's standard error, in the same
_CLICK = 0.4
# what is open of the map before any match
_STRAIN = 0.03
_BEND = 1.0
_SHIFT = 1.0
_LENGTH_SHARE = 0.3
_SURE = 0.85
_LATTICE_STEP = 3


@dataclass(frozen=True, eq=False)
class Matches:
    """What was found for n places.

    Parameters
    ----------
    shifts_um : (n, 3) float64
        Along the array's axes.
    probability : (n,) float64
        That the shift is right within 1.5 of the scale, as the model has it (not calibrated).
    likeness : (n,) float64
        Correlation of the windows there, 0 to 1.
    expected_error_um : (n,) float64
        Standard deviation, per axis, of what all others say of the shift.
    error_um : (n,) float64
        The same of the shift by all that is known.
    deviation_um : (n,) float64
        How far it lies from what all others say.
    runner_up : (n,) float64
        Likeness of the best shift elsewhere as a share of its own.
    """

    shifts_um: FloatArray
    probability: FloatArray
    likeness: FloatArray
    expected_error_um: FloatArray
    error_um: FloatArray
    deviation_um: FloatArray
    runner_up: FloatArray


def match_places(
    first: Sequence[Float32Array],
    second: Sequence[Float32Array],
    spacing_um: FloatArray,
    scale_um: float,
    index: FloatArray,
    given_index: FloatArray,
    given_shifts_um: FloatArray,
    progress: Progress,
    rounds: int = len(REACHES),
) -> Matches:
    """Match places of one array in another that a rough map has brought near.

    Parameters
    ----------
    first, second : one or two (z, y, x) float32
        What shows the vessels of either image, all on one grid; NaN outside of the data.
    spacing_um : (3,) float64
    scale_um : float
        Voxel size of the coarser image.
    index : (n, 3) float64
        Places, in voxels of the grid.
    given_index, given_shifts_um : (m, 3) float64
        What is known.
    progress : Progress
    rounds : int
    """
    spacing = np.asarray(spacing_um, dtype=np.float64)
    shape = first[0].shape
    free = np.asarray(shape) > 1
    places, given = index * spacing, given_index * spacing
    window = windows.weights(shape, spacing, scale_um)
    samples = [
        windows.samples_by_chance(a, b, index, window) for a, b in zip(first, second, strict=True)
    ]
    # what a window says is said of where its edges lie
    anchors = windows.centres_of_edges(first[0], index, window) * spacing
    shared = windows.overlap(anchors, windows.window_width(shape, scale_um))
    prior = _prior(np.asarray(shape) * spacing, free, given_shifts_um, scale_um)
    click = np.tile(np.eye(3) / (_CLICK * scale_um) ** 2, (len(given), 1, 1))
    n = len(places)
    seen, precision = np.zeros((n, 3)), np.zeros((n, 3, 3))
    found = Matches(np.zeros((n, 3)), *(np.zeros(n) for _ in range(6)))
    if not n:
        return found
    field = before = SmoothShifts(prior, given, given_shifts_um, click)
    for reach_scales in REACHES[:rounds]:
        mean, spread = field.at(anchors)
        expected, expected_spread = _without_own(mean, spread, seen, precision)
        reach = (np.ceil(reach_scales * scale_um / spacing).astype(int) * free).tolist()
        alike = [
            likeness(a, _carried(b, field, spacing), index, window, tuple(reach))
            for a, b in zip(first, second, strict=True)
        ]
        judge = ShiftJudge(tuple(reach), spacing, scale_um, samples)
        own = np.ix_(free, free)
        judged = [
            judge([a[i] for a in alike], (expected - mean)[i, free], expected_spread[i][own])
            for i in range(n)
        ]
        sure = np.array([j.across > _SURE and not j.is_at_edge for j in judged], dtype=bool)
        found = _gathered(judged, free, anchors, field, expected, expected_spread)
        seen, precision = _sites(judged, free, anchors, field)
        # windows that overlap say the same several times
        precision *= (sure / np.maximum(shared @ sure, 1.0))[:, None, None]
        before = field
        field = SmoothShifts(
            prior,
            np.concatenate([given, anchors[sure]]),
            np.concatenate([given_shifts_um, seen[sure]]),
            np.concatenate([click, precision[sure]]),
        )
        progress.advance()
    lever = before.mean(places) - before.mean(anchors)
    return replace(found, shifts_um=found.shifts_um + lever)


def _without_own(
    mean: FloatArray, spread: FloatArray, seen: FloatArray, precision: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What all others say: (n, 3) shifts and (n, 3, 3) covariances."""
    least = 1e-9 * np.trace(spread, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    whole = np.linalg.inv(spread + least)
    others = np.linalg.inv(whole - precision)
    others = (others + others.transpose(0, 2, 1)) / 2
    pull = np.einsum("nij,nj->ni", whole, mean) - np.einsum("nij,nj->ni", precision, seen)
    return np.einsum("nij,nj->ni", others, pull), others


def _gathered(
    judged: list[Posterior],
    free: BoolArray,
    anchors: FloatArray,
    field: SmoothShifts,
    expected: FloatArray,
    expected_spread: FloatArray,
) -> Matches:
    shifts = np.zeros_like(anchors)
    shifts[:, free] = np.array([j.shift_um for j in judged]).reshape(len(judged), -1)
    # seen at x + shift in the carried image: there the field has carried it already
    shifts += field.mean(anchors + shifts)
    variance = np.trace(expected_spread[:, free][:, :, free], axis1=1, axis2=2) / free.sum()
    return Matches(
        shifts,
        np.array([0.0 if j.is_at_edge else j.near for j in judged]),
        np.array([j.likeness for j in judged]),
        np.sqrt(np.maximum(variance, 0.0)),
        np.array([j.error_um for j in judged]),
        np.linalg.norm((shifts - expected)[:, free], axis=1),
        np.array([j.runner_up for j in judged]),
    )


def _sites(
    judged: list[Posterior], free: BoolArray, anchors: FloatArray, field: SmoothShifts
) -> tuple[FloatArray, FloatArray]:
    """What each place's own surroundings say: (n, 3) shifts and (n, 3, 3) precisions."""
    n = len(judged)
    seen, precision = np.zeros((n, 3)), np.zeros((n, 3, 3))
    seen[:, free] = np.array([j.seen_um for j in judged]).reshape(n, -1)
    for i, one in enumerate(judged):
        precision[i][np.ix_(free, free)] = one.precision
    return seen + field.mean(anchors + seen), precision


def _prior(
    extent_um: FloatArray, free: BoolArray, given_shifts_um: FloatArray, scale_um: float
) -> ShiftPrior:
    # given pairs that the rough map misses by more than usual say that more is open
    rms = float(np.sqrt(np.mean(given_shifts_um[:, free] ** 2))) / scale_um
    more = max(1.0, rms / 1.5)
    mean_extent = float(np.prod(extent_um[free]) ** (1 / free.sum()))
    return ShiftPrior(
        extent_um / 2,
        _SHIFT * more * scale_um,
        _STRAIN * more,
        _BEND * more * scale_um,
        max(6 * scale_um, _LENGTH_SHARE * mean_extent),
    )


def _carried(second: Float32Array, field: SmoothShifts, spacing: FloatArray) -> Float32Array:
    """The second array where the field so far carries it."""
    shape = second.shape
    nodes = [
        np.arange(0, n + _LATTICE_STEP, _LATTICE_STEP) if n > 1 else np.zeros(1) for n in shape
    ]
    lattice = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    flat = lattice.reshape(-1, 3) * spacing
    means = np.concatenate(
        [field.mean(part) for part in np.array_split(flat, 1 + len(flat) // 9000)]
    )
    coarse = (means / spacing).reshape(lattice.shape)
    out = np.empty(shape, dtype=np.float32)
    y, x = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    for z in range(shape[0]):  # plane by plane: the lattice is small, the coordinates are not
        here = np.stack([np.full(y.shape, z), y, x]).astype(np.float64)
        at = here / np.array([_LATTICE_STEP if n > 1 else 1 for n in shape])[:, None, None]
        shift = [
            ndimage.map_coordinates(coarse[..., a], at, order=1, mode="nearest") for a in range(3)
        ]
        out[z] = ndimage.map_coordinates(
            second, here + np.array(shift), order=1, mode="constant", cval=np.nan
        )
    return out
