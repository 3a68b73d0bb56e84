"""Further landmark pairs, proposed from the vessels of both images and a few given pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..fitting import FitOptions, fit
from ..geometry import Grid
from ..image import SpatialImage
from ..landmarks import Landmark, LandmarkPairs, LandmarkSet, Point
from ..progress import Progress, Silent
from ..refine.working_image import working_grid, working_image
from ..transform import Affine
from .confidence import calibrated
from .detect import find_bifurcations
from .matching import REACHES, Matches, match_places
from .places import along_vessels
from .ridges import Float32Array, Polarity, brightness_odds, ridge_strength, vessel_band
from .settled import Side, settled

FloatArray = NDArray[np.float64]

FEWEST_PAIRS = 4
DEFAULT_CONFIDENCE = 0.9
SUGGESTED = "suggested"
"""What a landmark's `source` says that was proposed and accepted."""

_MARGIN = 6
_MOST_VOXELS = 2**23
_MOST_CANDIDATES = 300
# a similarity that misses the given pairs by more of their own spread is none
_LARGEST_MISS = 0.12
# nothing new is proposed so near to what is there, in lengths of the scale
_APART = 1.5
_LEAST_CONFIDENCE = 0.5
_POLARITY_PLACES = 60
ALONG_A_VESSEL = 2
"""The branches that meet where a vessel only passes."""
POLARITIES: tuple[Polarity, Polarity] = ("bright", "dark")


@dataclass(frozen=True)
class SuggestionOptions:
    """What to propose.

    Parameters
    ----------
    fixed_vessels, moving_vessels : {"bright", "dark"} or None
        Beside the tissue, in either image; found from both images by default.
    scale_um : float or None
        Radius of the thinnest vessels that are looked at, in um of the finer image; by default the
        voxel size of the coarser one.
    most : int
        Not more pairs than this, the surest first.
    """

    fixed_vessels: Polarity | None = None
    moving_vessels: Polarity | None = None
    scale_um: float | None = None
    most: int = 200


@dataclass(frozen=True)
class Suggestion:
    """A proposed pair.

    Parameters
    ----------
    fixed_um, moving_um : (float, float, float)
        World (z, y, x) of either image.
    confidence : float
        How probable it is that the pair is right within 1.5 voxels of the coarser image.
    likeness : float
        Correlation of the vessels around both places.
    deviation_um : float
        How far the moving point lies from where all other pairs put it (um of the finer image).
    degree : int
        Branches that meet here; 2 along a vessel.
    error_um : float
        Standard error of the place in the coarser image, per axis (um of the finer image).
    """

    fixed_um: Point
    moving_um: Point
    confidence: float
    likeness: float
    deviation_um: float
    degree: int
    error_um: float = 0.0


@dataclass(frozen=True, eq=False)
class Suggestions:
    """What is proposed, surest first, and what it was proposed from.

    Parameters
    ----------
    pairs : tuple of Suggestion
    fixed_um, moving_um : (n, 3) float64
        Bifurcations of the finer image, matched or not, in whichever of the two it is; the other
        is empty: its vessels were searched, not its bifurcations.
    fixed_vessels, moving_vessels : {"bright", "dark"}
    scale_um : float
        Voxel size of the coarser image, in um of the finer one.
    """

    pairs: tuple[Suggestion, ...]
    fixed_um: FloatArray
    moving_um: FloatArray
    fixed_vessels: Polarity
    moving_vessels: Polarity
    scale_um: float

    def above(self, confidence: float = DEFAULT_CONFIDENCE) -> tuple[Suggestion, ...]:
        """Those at least so sure."""
        return tuple(p for p in self.pairs if p.confidence >= confidence)


def with_suggestions(landmarks: LandmarkSet, accepted: tuple[Suggestion, ...]) -> LandmarkSet:
    """The set with accepted pairs added as ordinary landmarks, ``source`` being "suggested".

    Ids go on from the highest number: L05, L06...
    """
    numbers = [int(m.id[1:]) for m in landmarks if m.id[:1] == "L" and m.id[1:].isdecimal()]
    first = max(numbers, default=0) + 1
    new = tuple(
        Landmark(
            f"L{first + k:02d}",
            f"L{first + k:02d}",
            True,
            s.fixed_um,
            s.moving_um,
            source=SUGGESTED,
        )
        for k, s in enumerate(accepted)
    )
    return LandmarkSet((*landmarks, *new))


def suggest_pairs(
    fixed: SpatialImage,
    moving: SpatialImage,
    landmarks: LandmarkSet,
    options: SuggestionOptions | None = None,
    *,
    fixed_channel: str | int = 0,
    moving_channel: str | int = 0,
    time: int = 0,
    progress: Progress | None = None,
) -> Suggestions:
    """Propose further pairs at vessel bifurcations, and along vessels between them.

    They are looked for in the finer image, at the resolution of the coarser one, and found again in
    the other by the vessels around them. Which of the places that look alike is meant is
    told by all others: matches grow outwards from the given pairs, and each is judged by what the
    rest says of it.

    Parameters
    ----------
    fixed, moving : SpatialImage
    landmarks : LandmarkSet
        With at least four enabled pairs.
    options : SuggestionOptions, optional
    fixed_channel, moving_channel : str or int
        That show the vessels.
    time : int
    progress : Progress, optional

    Raises
    ------
    FitError
        If fewer than four pairs are given, or they are no pairs of these images.
    GeometryError
    """
    options = options or SuggestionOptions()
    watch = progress or Silent()
    pairs = landmarks.pairs()
    if len(pairs) < FEWEST_PAIRS:
        raise FitError(
            f"suggestions need {FEWEST_PAIRS} enabled pairs, there are {len(pairs)}; place "
            f"{FEWEST_PAIRS - len(pairs)} more, far from each other"
        )
    views = [_View(fixed, fixed_channel, time), _View(moving, moving_channel, time)]
    flat = all(v.image.grid.shape[0] == 1 for v in views)
    is_swapped = _size(moving, flat) < _size(fixed, flat) / _stretch(pairs, flat)
    if is_swapped:
        views, pairs = views[::-1], pairs.swapped()
    told = (options.fixed_vessels, options.moving_vessels)
    vessels = told[::-1] if is_swapped else told
    rough = rough_map(pairs, flat)
    first, second = views
    shrink = _stretch(pairs, flat)
    own = max(_size(first.image, flat), _size(second.image, flat) / shrink)
    grid, scale = _matching_grid(first.image.grid, max(own, options.scale_um or 0.0))
    watch.begin("finding the vessels", 3)
    near = first.on(grid)
    watch.advance()
    far = second.on(grid, rough)
    watch.advance()
    given = grid.to_index(pairs.fixed_um)
    axes = np.asarray(grid.voxel_size_um)
    shifts = (grid.to_index(rough.inverse().map(pairs.moving_um)) - given) * axes
    polarities = _polarities(near, far, axes, scale, given, shifts, vessels)
    watch.advance()
    bifurcations = find_bifurcations(
        first.image,
        scale_um=scale,
        polarity=polarities[0],
        channel=first.channel,
        time=time,
        progress=watch,
    )
    ridges = [_ridges(a, axes, scale, p) for a, p in zip((near, far), polarities, strict=True)]
    index = grid.to_index(bifurcations.points_um)
    seen = _known_at(ridges[0], index) & _known_at(ridges[1], index)
    chosen = np.flatnonzero(seen)[:_MOST_CANDIDATES]
    watch.begin("matching the vessels", len(REACHES))
    every = np.concatenate(
        [index[chosen], along_vessels((ridges[0], ridges[1]), index[chosen], axes, scale)]
    )
    degree = np.full(len(every), ALONG_A_VESSEL)
    degree[: len(chosen)] = bifurcations.degree[chosen]
    # the band is sharp, ridges are robust where other things than vessels are bright or dark
    first_shown, second_shown = (
        (vessel_band(a, tuple(axes), scale, p), r)
        for a, p, r in zip((near, far), polarities, ridges, strict=True)
    )
    matches = match_places(first_shown, second_shown, axes, scale, every, given, shifts, watch)
    places = grid.to_world(every)
    partners = rough.map(grid.to_world(every + matches.shifts_um / axes))
    partners, confidence = settled(
        second.side(),
        first.side(),
        pairs,
        places,
        partners,
        calibrated(matches, scale),
        rough,
        scale,
        watch,
    )
    found = _surest(matches, places, partners, confidence, degree, pairs, scale, is_swapped)
    known, empty = bifurcations.points_um, np.empty((0, 3))
    return Suggestions(
        found[: options.most],
        empty if is_swapped else known,
        known if is_swapped else empty,
        polarities[1 if is_swapped else 0],
        polarities[0 if is_swapped else 1],
        scale,
    )


def rough_map(pairs: LandmarkPairs, flat: bool) -> Affine:
    """The stiffest map that four pairs justify: a similarity, or an affine map where that misses.

    Raises
    ------
    FitError
    """
    dimensions = 2 if flat else 3
    found = fit(pairs, FitOptions("similarity", dimensions=dimensions)).transform
    spread = float(np.sqrt(np.mean(np.var(pairs.moving_um, axis=0).sum())))
    miss = float(
        np.sqrt(np.mean(np.sum((found.map(pairs.fixed_um) - pairs.moving_um) ** 2, axis=1)))
    )
    if miss > _LARGEST_MISS * spread:
        # mirrored, or of other proportions
        found = fit(pairs, FitOptions("affine", dimensions=dimensions)).transform
    if not isinstance(found, Affine):  # pragma: no cover - these models make nothing else
        raise FitError("the landmarks tell no map")
    return found


@dataclass(frozen=True, eq=False)
class _View:
    image: SpatialImage
    channel: str | int
    time: int

    def on(self, grid: Grid, transform: Affine | None = None) -> Float32Array:
        found = working_image(self.image, grid, transform, channel=self.channel, time=self.time)
        return found.array

    def side(self) -> Side:
        image = self.image
        if image.n_times > 1:
            image = image.part(times=(self.time, self.time + 1))
        return Side(image, self.channel)


def _size(image: SpatialImage, flat: bool) -> float:
    size = np.asarray(image.grid.voxel_size_um)[1 if flat else 0 :]
    return float(np.exp(np.mean(np.log(size))))


def _stretch(pairs: LandmarkPairs, flat: bool) -> float:
    matrix = rough_map(pairs, flat).matrix[:3, :3]
    return float(abs(np.linalg.det(matrix)) ** (1 / (2 if flat else 3)))


def _matching_grid(own: Grid, scale_um: float) -> tuple[Grid, float]:
    """The finer image's extent, and some more, at the scale; a larger scale where it is too big."""
    grid = working_grid(own, scale_um, _MOST_VOXELS)
    margin = [_MARGIN if n > 1 else 0 for n in grid.shape]
    wide = grid.block(
        [-m for m in margin], [n + m for n, m in zip(grid.shape, margin, strict=True)]
    )
    free = [s for s, n in zip(grid.voxel_size_um, grid.shape, strict=True) if n > 1]
    return wide, max(scale_um, min(free, default=scale_um))


def _ridges(
    array: Float32Array, axes: FloatArray, scale: float, polarity: Polarity
) -> Float32Array:
    """Square roots: one thick vessel must not outweigh all thin ones."""
    found = np.sqrt(ridge_strength(array, tuple(axes), scale, polarity))
    found[~np.isfinite(array)] = np.nan
    return found


def _polarities(
    near: Float32Array,
    far: Float32Array,
    axes: FloatArray,
    scale: float,
    given: FloatArray,
    shifts: FloatArray,
    told: tuple[Polarity | None, ...],
) -> tuple[Polarity, Polarity]:
    """What was told, else the pair of polarities whose strongest ridges are most alike."""
    choices: list[tuple[Polarity, ...]] = [POLARITIES if t is None else (t,) for t in told]
    if all(len(c) == 1 for c in choices):
        return choices[0][0], choices[1][0]
    ridges = [
        {p: _ridges(a, axes, scale, p) for p in c}
        for a, c in zip((near, far), choices, strict=True)
    ]
    odds = [brightness_odds(a, tuple(axes), scale) for a in (near, far)]
    best: tuple[float, Polarity, Polarity] = (-1.0, "bright", "bright")
    for one, a in ridges[0].items():
        index = _strong_places(a, ridges[1])
        if not len(index):
            continue
        for other, b in ridges[1].items():
            matches = match_places([a], [b], axes, scale, index, given, shifts, Silent(), rounds=1)
            score = float(np.mean(matches.likeness * matches.probability))
            # what lies between vessels is a net too, and as much alike in both images
            score *= _share(one, odds[0]) * _share(other, odds[1])
            best = max(best, (score, one, other))
    return best[1], best[2]


def _share(polarity: Polarity, odds_of_bright: float) -> float:
    """Probability of a polarity by one image alone."""
    sign = 1.0 if polarity == "bright" else -1.0
    return float(1 / (1 + np.exp(-sign * odds_of_bright)))


def _strong_places(ridges: Float32Array, others: dict[Polarity, Float32Array]) -> FloatArray:
    """Voxels of the strongest ridges, spread evenly, that both images show."""
    known = np.isfinite(ridges)
    for other in others.values():
        known &= np.isfinite(other)
    values = np.where(known, ridges, 0)
    at = np.argwhere(values > np.quantile(values[known], 0.97)) if known.any() else np.empty((0, 3))
    return np.asarray(at[:: max(1, len(at) // _POLARITY_PLACES)], dtype=np.float64)


def _known_at(ridges: Float32Array, index: FloatArray) -> NDArray[np.bool_]:
    nearest = np.rint(index).astype(int)
    inside = np.all((nearest >= 0) & (nearest < ridges.shape), axis=1)
    known = np.zeros(len(index), dtype=bool)
    known[inside] = np.isfinite(ridges[tuple(nearest[inside].T)])
    return known


def _surest(
    matches: Matches,
    places: FloatArray,
    partners: FloatArray,
    confidence: FloatArray,
    degree: NDArray[np.int64],
    pairs: LandmarkPairs,
    scale: float,
    is_swapped: bool,
) -> tuple[Suggestion, ...]:
    found: list[Suggestion] = []
    for k in np.argsort(-confidence, kind="stable"):
        gap = np.linalg.norm(pairs.fixed_um - places[k], axis=1).min()
        if confidence[k] < _LEAST_CONFIDENCE or gap < _APART * scale:
            continue
        ends = (_point(places[k]), _point(partners[k]))
        found.append(
            Suggestion(
                *(ends[::-1] if is_swapped else ends),
                confidence=float(confidence[k]),
                likeness=float(matches.likeness[k]),
                deviation_um=float(matches.deviation_um[k]),
                degree=int(degree[k]),
                error_um=float(matches.error_um[k]),
            )
        )
    return tuple(found)


def _point(values: FloatArray) -> Point:
    z, y, x = (float(v) for v in values)
    return z, y, x
