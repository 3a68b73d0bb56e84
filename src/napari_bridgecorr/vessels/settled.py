"""Where matches lie by all matches and by both images together: more exact than each by itself.

A match is told by a window, and a window that holds one stretch of vessel is open along it; what is
shaded there, or bent, pulls it too. The surest matches are near enough for all voxels of the
coarser image to say at once how a smooth map must change to explain them
(:mod:`..refine.evidence`). The places are then put on that map. A match that lies where the
images put it although its own surroundings were not sure is believed more; one that lies off is
believed less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, RefineError
from ..fitting import FitOptions, fit
from ..image import SpatialImage
from ..landmarks import LandmarkPairs
from ..progress import Progress
from ..refine.evidence import ImageEvidence
from ..refine.posterior import Measurements, Prior
from ..refine.preparation import working_pair
from ..refine.soft_landmarks import SoftMap, joined_map
from ..transform import Affine

FloatArray = NDArray[np.float64]

# standard errors per axis, in lengths of the scale: of a click, and of a match. Matches near each
# other err alike, so that each counts for less than its own error says.
_CLICK, _MATCH = 0.4, 1.0
# of the bend, in lengths of the scale, and of the radius of what is looked at
_BEND, _LENGTH = 1.0, 1.5
_FEWEST = 6
# matches with which the map begins: those as sure, or the surest few
_SURE, _ENOUGH, _LEAST = 0.9, 12, 0.5
_ROUNDS = 2
_MOST_VOXELS, _FINER = 60_000, 3.0
_STEPS = 12
# how far from matches the images are asked, in lengths of the scale
_NEAR = 4.0
# A place goes so far of the way from its match to the map: what its own window says is partly
# independent, and a fit of places that all lie on one smooth map would take them for exact.
_SHARE = 0.6
# log odds that a place on the map gains (less where the map was made of few), and loses per scale
# that its match lies off
_ON_THE_MAP, _BY_FEW, _PER_OFF = 1.5, 0.7, 1.5


@dataclass(frozen=True)
class Side:
    """One of the two images.

    Parameters
    ----------
    image : SpatialImage
    channel : str or int
    """

    image: SpatialImage
    channel: str | int


def settled(
    coarse: Side,
    fine: Side,
    given: LandmarkPairs,
    places_um: FloatArray,
    partners_um: FloatArray,
    confidence: FloatArray,
    rough: Affine,
    scale_um: float,
    progress: Progress,
) -> tuple[FloatArray, FloatArray]:
    """Partners, and their confidence, by all matches and the images together.

    Parameters
    ----------
    coarse, fine : Side
    given : LandmarkPairs
        From the finer image to the coarser one.
    places_um, partners_um : (n, 3) float64
        In the finer image, and where they were found in the coarser one.
    confidence : (n,) float64
    rough : Affine
        From the finer image to the coarser one.
    scale_um : float
        Voxel size of the coarser image, in um of the finer one.
    progress : Progress

    Returns
    -------
    partners_um : (n, 3) float64
    confidence : (n,) float64
        Both as they were where matches are too few, or the images say nothing.
    """
    flat = coarse.image.grid.shape[0] == 1
    first = 1 if flat else 0
    stretch = float(abs(np.linalg.det(rough.matrix[:3, :3])) ** (1 / 3))
    near = _NEAR * scale_um * stretch
    now, sure = partners_um, confidence
    found: SoftMap | None = None
    images: ImageEvidence | None = None
    progress.begin("settling the pairs", _ROUNDS)
    for _ in range(_ROUNDS):
        chosen = _surest(sure)
        if len(chosen) < _FEWEST:
            break
        q = np.concatenate([given.moving_um, partners_um[chosen]])
        p = np.concatenate([given.fixed_um, places_um[chosen]])
        error = np.r_[np.full(len(given), _CLICK), np.full(len(chosen), _MATCH)] * scale_um
        try:
            start = _affine(q, p, flat)
            if images is None:
                images = _images(coarse, fine, start, flat)
            eye = np.eye(3 - first)
            measured = Measurements(q[:, first:], p[:, first:], error[:, None, None] ** 2 * eye)
            prior = _prior(images, start, q, p, scale_um, first)
            shift = float(np.mean(p[:, 0] - q[:, 0])) if flat else 0.0
            found = joined_map(
                images, start, prior, measured, near, shift, lambda _: progress.advance(0)
            )
        except (FitError, RefineError, np.linalg.LinAlgError):
            # the images, or the pairs, do not tell more than the matches did
            break
        step = _on(found, places_um, partners_um, rough) - partners_um
        off = _lengths(rough, step, first) / scale_um
        now = partners_um + _SHARE * step
        odds = np.log(np.clip(confidence, 1e-9, 1 - 1e-9))
        odds -= np.log(1 - np.clip(confidence, 1e-9, 1 - 1e-9))
        gain = _ON_THE_MAP if int((confidence >= _SURE).sum()) >= _ENOUGH else _BY_FEW
        sure = np.asarray(1 / (1 + np.exp(-(odds + gain - _PER_OFF * off))))
        sure = np.where(confidence > 0, sure, 0.0)
        progress.advance()
    return (partners_um, confidence) if found is None else (now, sure)


def _surest(confidence: FloatArray) -> NDArray[np.intp]:
    order = np.argsort(-confidence, kind="stable")
    n = max(int((confidence >= _SURE).sum()), min(_ENOUGH, int((confidence >= _LEAST).sum())))
    return order[:n]


def _affine(q: FloatArray, p: FloatArray, flat: bool) -> Affine:
    ids = tuple(str(k) for k in range(len(q)))
    pairs = LandmarkPairs(ids, q, p)
    found = fit(pairs, FitOptions("affine", dimensions=2 if flat else 3)).transform
    if not isinstance(found, Affine):  # pragma: no cover - this model makes nothing else
        raise FitError("the pairs tell no map")
    return found


def _images(coarse: Side, fine: Side, start: Affine, flat: bool) -> ImageEvidence:
    fixed, moving = working_pair(
        coarse.image,
        fine.image,
        start,
        fixed_channel=coarse.channel,
        moving_channels=(fine.channel,),
        most_voxels=_MOST_VOXELS,
        finer=_FINER,
    )
    return ImageEvidence(fixed, moving, 2 if flat else 3)


def _prior(
    images: ImageEvidence, start: Affine, q: FloatArray, p: FloatArray, scale: float, first: int
) -> Prior:
    seen = images.points_um[images.counts.ravel()][:, first:]
    centre = seen.mean(axis=0)
    radius = float(np.sqrt(np.mean(np.sum((seen - centre) ** 2, axis=1))))
    # where the matches bend by more than usual, so may the map
    bend = float(np.sqrt(np.mean((start.map(q) - p)[:, first:] ** 2)))
    return Prior(centre, radius, max(_BEND * scale, bend), _CLICK * scale, _LENGTH)


def _on(
    found: SoftMap, places_um: FloatArray, partners_um: FloatArray, rough: Affine
) -> FloatArray:
    """Where the map, from the coarser image to the finer, reaches the places."""
    linear = rough.matrix[:3, :3].T
    now = partners_um.copy()
    for _ in range(_STEPS):
        now += (places_um - found.map(now)) @ linear
    return now


def _lengths(rough: Affine, vectors_um: FloatArray, first: int) -> FloatArray:
    """Of vectors in the coarser image, in um of the finer one."""
    back = vectors_um @ np.linalg.inv(rough.matrix[:3, :3]).T
    return np.asarray(np.linalg.norm(back[:, first:], axis=1))
