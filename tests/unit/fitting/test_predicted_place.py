"""Where a partner is expected: the place, the outline, the map that few pairs give."""

from __future__ import annotations

import numpy as np
import pytest

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.fitting.predicted_error import error_of_fit
from napari_bridgecorr.fitting.predicted_place import (
    PredictedPlace,
    guide_fit,
    predicted_partner,
)
from napari_bridgecorr.landmarks import LandmarkSet

TURN = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
SPREAD = np.array([[9.0, 2.0, 0.0], [2.0, 4.0, 1.0], [0.0, 1.0, 1.0]])


def test_the_outline_holds_what_it_says() -> None:
    rng = np.random.default_rng(3)
    centre, freedom = np.array([1.0, 2.0, 3.0]), 7.0
    few, many = (PredictedPlace(centre, SPREAD, nu) for nu in (freedom, 1e9))
    draws = rng.multivariate_normal(np.zeros(3), SPREAD, 40_000)
    size = np.sqrt((freedom - 2) / rng.chisquare(freedom, 40_000))
    for seen, errors in ((few, draws * size[:, None]), (many, draws)):
        outline = seen.ellipse((1, 2), 200) - seen.place_um
        assert np.all(outline[:, 0] == 0)
        # a point is within a convex outline round 0 if it is within the outline of its direction
        angle = np.arctan2(outline[:, 2], outline[:, 1])
        order = np.argsort(angle)
        radius = np.linalg.norm(outline, axis=1)[order]
        there = np.interp(
            np.arctan2(errors[:, 2], errors[:, 1]), angle[order], radius, period=2 * np.pi
        )
        within = np.mean(np.linalg.norm(errors[:, 1:], axis=1) < there)
        assert within == pytest.approx(0.95, abs=0.006)
        assert np.mean(np.abs(errors[:, 0]) < seen.half_width(0)) == pytest.approx(0.95, abs=0.006)


def test_the_ellipsoid_is_one_of_equal_probability() -> None:
    place = PredictedPlace(np.array([1.0, 2.0, 3.0]), SPREAD, 9.0)
    away = place.ellipsoid(16) - place.place_um
    distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(SPREAD), away)
    assert np.allclose(distance, distance[0])
    assert len(away) == 48
    for times in (0.0, 1.0, 2.5):
        point = place.place_um + times * away[5]
        assert place.outlines_away(point) == pytest.approx(times)


def test_the_outline_moves_with_the_coordinates() -> None:
    place = PredictedPlace(np.array([1.0, 2.0, 3.0]), SPREAD, 9.0)
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag([0.5, 2.0, 3.0])
    matrix[:3, 3] = 5, 6, 7
    seen = place.seen_through(matrix)
    assert np.allclose(seen.place_um, [5.5, 10, 16])
    assert seen.half_width(1) == pytest.approx(2 * place.half_width(1))


def test_few_pairs_give_a_stiffer_map() -> None:
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 500, (6, 3))
    moving = fixed @ TURN.T + [10, 20, 30]
    options = FitOptions("tps")
    for n, model in ((2, None), (3, "rigid"), (4, "similarity"), (5, "similarity"), (6, "affine")):
        guide = guide_fit(LandmarkSet.from_pairs(fixed[:n], moving[:n]).pairs(), options)
        assert (None if guide is None else guide.options.model) == model
        if guide is not None:
            assert np.allclose(guide.transform.map(fixed), moving, atol=1e-6)
    line = fixed[0] + np.arange(4)[:, None] * [10.0, 0, 0]
    assert guide_fit(LandmarkSet.from_pairs(line, line).pairs(), options) is None


def test_both_ways() -> None:
    rng = np.random.default_rng(5)
    fixed = rng.uniform(0, 500, (12, 3))
    stretch = np.diag([2.0, 1.0, 0.5]) @ TURN
    moving = fixed @ stretch.T + rng.normal(0, 2, (12, 3))
    made = fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions("affine"))
    error = error_of_fit(made)
    there = predicted_partner(made.transform, fixed[0], "fixed", error)
    back = predicted_partner(made.transform, made.transform.map(fixed[:1])[0], "moving", error)
    assert there is not None
    assert back is not None
    assert np.allclose(back.place_um, fixed[0])
    assert np.sqrt(np.trace(there.spread_um2)) == pytest.approx(error.predict(fixed[:1])[0])
    jacobian = made.transform.jacobian(fixed[:1])[0]
    assert np.allclose(jacobian @ back.spread_um2 @ jacobian.T, there.spread_um2)
    bare = predicted_partner(made.transform, fixed[0], "fixed")
    assert bare is not None
    assert not bare.is_spread_known
