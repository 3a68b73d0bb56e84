"""Mistakes of the hand are named, with which mistake it is; good pairs are left alone."""

import numpy as np
import pytest
from fitting_samples import clicked, named
from scipy.spatial import cKDTree

from napari_bridgecorr.fitting import FitOptions, find_mismatches
from napari_bridgecorr.landmarks import LandmarkPairs


def mistaken(pairs: LandmarkPairs, rows: list[int]) -> LandmarkPairs:
    """Pairs of which some moving points went round in turn."""
    moving = pairs.moving_um.copy()
    moving[rows] = moving[rows[1:] + rows[:1]]
    return named(pairs.fixed_um, moving)


def test_good_pairs_are_seldom_flagged() -> None:
    flagged = 0
    for seed in range(4):
        pairs, _, _ = clicked(seed, 25, 10.0, 30.0)
        flagged += len(find_mismatches(pairs, FitOptions(("tps", "affine")[seed % 2])))
    assert flagged <= 1  # of 100


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_swapped_neighbours_are_named(seed: int) -> None:
    pairs, _, _ = clicked(seed, 24, 8.0, 25.0)
    i = seed * 5
    j = int(cKDTree(pairs.fixed_um).query(pairs.fixed_um[i], 2)[1][1])
    found = {m.id: m for m in find_mismatches(mistaken(pairs, [i, j]), FitOptions())}
    one, two = sorted([f"L{i + 1}", f"L{j + 1}"])
    assert set(found) == {one, two}
    assert found[one].belongs_to == two
    assert found[two].belongs_to == one
    assert f"{one} and {two} look swapped" in found[one].reason


def test_points_that_went_round_in_turn_are_named() -> None:
    pairs, _, _ = clicked(4, 24, 8.0, 25.0)
    found = {m.id: m for m in find_mismatches(mistaken(pairs, [3, 9, 17]), FitOptions())}
    # row 3 has the point of row 9
    assert {k: m.belongs_to for k, m in found.items()} == {"L4": "L10", "L10": "L18", "L18": "L4"}
    assert all("look mixed up" in m.reason for m in found.values())


def test_a_wrong_slice_is_told_in_words_and_numbers() -> None:
    pairs, truth, _ = clicked(5, 24, 6.0, 25.0)
    moving = pairs.moving_um.copy()
    moving[7] = truth(pairs.fixed_um[7:8])[0] + (160.0, 0.0, 0.0)
    wrong = named(pairs.fixed_um, moving)
    (found,) = find_mismatches(wrong, FitOptions())
    assert found.id == "L8"
    assert found.belongs_to == ""
    assert found.error_um == pytest.approx(160, rel=0.2)
    assert found.times_usual > 5
    assert "nearly all in depth (z)" in found.reason
    assert 0 < found.gain < 1
    assert f"without it the others fit {100 * found.gain:.0f} % better" in found.reason


def test_exact_few_and_undetermined_pairs_are_not_judged() -> None:
    pairs, _, _ = clicked(6, 12, 8.0, 25.0)
    assert find_mismatches(pairs.subset(np.arange(7)), FitOptions()) == ()
    flat = named(pairs.fixed_um * (0, 1, 1), pairs.moving_um)
    assert find_mismatches(flat, FitOptions()) == ()
    exact = named(pairs.fixed_um, pairs.fixed_um + 5.0)
    assert find_mismatches(exact, FitOptions("affine")) == ()
