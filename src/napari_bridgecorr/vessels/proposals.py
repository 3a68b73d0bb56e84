"""What a window offers of vessels: branchings of both images, and the pairs still to be judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..image import SpatialImage
from ..landmarks import LandmarkSet, Point
from ..progress import Progress
from .detect import Bifurcations, find_bifurcations, scale_grid
from .ridges import Polarity
from .suggest import FEWEST_PAIRS, Suggestion, SuggestionOptions, suggest_pairs

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Proposals:
    """Branchings of both images and, where there are pairs enough, further pairs.

    Parameters
    ----------
    pairs : tuple of Suggestion
        Surest first.
    fixed_um, moving_um : (n, 3) float64
        Every branching found in either image, world (z, y, x).
    fixed_vessels, moving_vessels : {"bright", "dark"}
    scale_um : float
        Radius of the thinnest vessels that were looked at.
    """

    pairs: tuple[Suggestion, ...]
    fixed_um: FloatArray
    moving_um: FloatArray
    fixed_vessels: Polarity
    moving_vessels: Polarity
    scale_um: float

    def to_judge(
        self, landmarks: LandmarkSet, rejected: Iterable[Suggestion] = ()
    ) -> tuple[Suggestion, ...]:
        """The proposed pairs that are no landmarks by now and were not rejected.

        A pair is taken where a complete landmark lies within the scale of it in either image. One
        that is like a rejected one in both images stays away; with another partner it is new.

        Parameters
        ----------
        landmarks : LandmarkSet
        rejected : iterable of Suggestion
        """
        taken = [m for m in landmarks if m.is_pair]
        fixed = _array([m.fixed_um for m in taken if m.fixed_um])
        moving = _array([m.moving_um for m in taken if m.moving_um])
        refused = tuple(rejected)
        refused_fixed = _array([s.fixed_um for s in refused])
        refused_moving = _array([s.moving_um for s in refused])
        kept = []
        for pair in self.pairs:
            on = [_near(pair.fixed_um, fixed, self.scale_um)]
            on.append(_near(pair.moving_um, moving, self.scale_um))
            was_refused = _near(pair.fixed_um, refused_fixed, self.scale_um) & _near(
                pair.moving_um, refused_moving, self.scale_um
            )
            if not (on[0].any() or on[1].any() or was_refused.any()):
                kept.append(pair)
        return tuple(kept)


def propose(
    fixed: SpatialImage,
    moving: SpatialImage,
    landmarks: LandmarkSet,
    options: SuggestionOptions | None = None,
    *,
    fixed_channel: str | int = 0,
    moving_channel: str | int = 0,
    progress: Progress | None = None,
) -> Proposals:
    """Find the branchings of both images and, from four enabled pairs on, propose more.

    Parameters
    ----------
    fixed, moving : SpatialImage
        Their first time points are looked at.
    landmarks : LandmarkSet
    options : SuggestionOptions, optional
    fixed_channel, moving_channel : str or int
        That show the vessels.
    progress : Progress, optional

    Raises
    ------
    FitError, GeometryError
    """
    options = options or SuggestionOptions()
    channels = (fixed_channel, moving_channel)

    def branchings(side: int, polarity: Polarity | None, scale_um: float) -> Bifurcations:
        return find_bifurcations(
            (fixed, moving)[side],
            scale_um=scale_um,
            polarity=polarity,
            channel=channels[side],
            progress=progress,
        )

    if len(landmarks.pairs()) < FEWEST_PAIRS:
        scale = options.scale_um or max(scale_grid(image)[1] for image in (fixed, moving))
        one = branchings(0, options.fixed_vessels, scale)
        other = branchings(1, options.moving_vessels, scale)
        return Proposals((), one.points_um, other.points_um, one.polarity, other.polarity, scale)
    found = suggest_pairs(
        fixed,
        moving,
        landmarks,
        options,
        fixed_channel=fixed_channel,
        moving_channel=moving_channel,
        progress=progress,
    )
    made = Proposals(
        found.pairs,
        found.fixed_um,
        found.moving_um,
        found.fixed_vessels,
        found.moving_vessels,
        found.scale_um,
    )
    # of the coarser image only the ridges were needed to match: its branchings are shown
    if len(found.fixed_um):
        return replace(
            made, moving_um=branchings(1, found.moving_vessels, found.scale_um).points_um
        )
    return replace(made, fixed_um=branchings(0, found.fixed_vessels, found.scale_um).points_um)


def _array(points: list[Point]) -> FloatArray:
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def _near(point: Point, points: FloatArray, within_um: float) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(points - np.array(point), axis=1) < within_um)
