"""Whether landmarks determine the transform that is asked for; if not, why and what to do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..landmarks import LandmarkPairs

FloatArray = NDArray[np.float64]

MODELS = ("translation", "rigid", "similarity", "affine", "tps", "gp")

# pairs needed, by model and dimensions
_MINIMUM = {
    3: {"translation": 1, "rigid": 3, "similarity": 3, "affine": 4, "tps": 5, "gp": 6},
    2: {"translation": 1, "rigid": 2, "similarity": 2, "affine": 3, "tps": 4, "gp": 5},
}
# rank that the fixed landmarks' scatter must have
_RANK = {"translation": 0, "rigid": 2, "similarity": 2, "affine": 3, "tps": 3, "gp": 3}

# thinner than this fraction of its length, a cloud of points counts as flat: clicks are no better
_FLATNESS = 1e-3
_COINCIDENT_UM = 1e-6


def check_pairs(pairs: LandmarkPairs, model: str, dimensions: int) -> None:
    """Raise FitError, with advice, if `model` cannot be fitted to `pairs`."""
    if model not in MODELS:
        raise FitError(f"the model {model!r} is not one of {', '.join(MODELS)}")
    if dimensions not in (2, 3):
        raise FitError(f"a fit has 2 or 3 dimensions, not {dimensions}")
    finite = np.isfinite(np.hstack([pairs.fixed_um, pairs.moving_um])).all(axis=1)
    if not finite.all():
        name = pairs.ids[int(np.argmin(finite))]
        raise FitError(
            f"the coordinates of landmark {name!r} are not finite numbers: "
            f"place it again or disable it"
        )
    check_weights(pairs)
    needed = _MINIMUM[dimensions][model]
    if len(pairs) < needed:
        raise FitError(
            f"{len(pairs)} complete, enabled landmark pairs are too few for {model}: "
            f"place at least {needed}{_simpler(model)}"
        )
    if model == "translation":
        return
    for side, points in (("fixed", pairs.fixed_um), ("moving", pairs.moving_um)):
        _check_distinct(pairs.ids, points[:, 3 - dimensions :], side)
        _check_spread(points, model, dimensions, side)


def _simpler(model: str) -> str:
    return {
        "gp": ", or use --model tps",
        "tps": ", or use --model affine",
        "affine": ", or use --model rigid",
        "similarity": ", or use --model translation",
        "rigid": ", or use --model translation",
    }.get(model, "")


def determined_without(pairs: LandmarkPairs, model: str, dimensions: int) -> NDArray[np.bool_]:
    """(n,) whether the others determine `model` without this landmark, of pairs that do."""
    n = len(pairs)
    if n - 1 < _MINIMUM[dimensions][model]:
        return np.zeros(n, dtype=bool)
    needed = _needed_rank(model, dimensions)
    determined = np.ones(n, dtype=bool)
    for points in (pairs.fixed_um, pairs.moving_um):
        centred = (points - points.mean(axis=0))[:, 3 - dimensions :]
        scatter = centred.T @ centred - n / (n - 1) * centred[:, :, None] * centred[:, None]
        values = np.linalg.eigvalsh(scatter)
        rank = np.sum(values > _FLATNESS**2 * values[:, -1:], axis=1)
        determined &= rank >= needed
    return determined


def check_weights(pairs: LandmarkPairs) -> None:
    """Raise FitError unless every weight is a positive number."""
    good = np.isfinite(pairs.weights) & (pairs.weights > 0)
    if not good.all():
        i = int(np.argmin(good))
        raise FitError(
            f"the weight of landmark {pairs.ids[i]!r} is {pairs.weights[i]:g}, not a positive "
            f"number: disable the landmark if it is not to count"
        )


def _needed_rank(model: str, dimensions: int) -> int:
    if dimensions == 3:
        return _RANK[model]
    return 1 if model in ("rigid", "similarity") else min(_RANK[model], 2)


def _check_distinct(ids: tuple[str, ...], points_um: FloatArray, side: str) -> None:
    if len(points_um) < 2:
        return
    # imported here: it takes 0.4 s, and opening a file needs none of it
    from scipy.spatial import KDTree

    distances, neighbours = KDTree(points_um).query(points_um, k=2)
    if distances[:, 1].min() <= _COINCIDENT_UM:
        i = int(np.argmax(distances[:, 1] <= _COINCIDENT_UM))
        j = next(int(k) for k in neighbours[i] if k != i)
        i, j = sorted((i, j))
        raise FitError(
            f"landmarks {ids[i]!r} and {ids[j]!r} lie at the same place in the {side} image: "
            f"remove or disable one"
        )


def _check_spread(points_um: FloatArray, model: str, dimensions: int, side: str) -> None:
    needed = _needed_rank(model, dimensions)
    flat = points_um[:, 3 - dimensions :]
    spread = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False)
    rank = int(np.sum(spread > _FLATNESS * spread[0])) if spread[0] > 0 else 0
    if rank >= needed:
        return
    shape = {0: "at one point", 1: "on one line", 2: "in one plane"}[rank]
    if dimensions == 3 and rank == 2:
        advice = (
            "add landmarks at other depths, use --model rigid or similarity, "
            "or --dimensions 2 if the images are flat"
        )
    else:
        advice = "add landmarks away from it"
    raise FitError(
        f"the landmarks lie {shape} in the {side} image, which does not determine {model}: {advice}"
    )
