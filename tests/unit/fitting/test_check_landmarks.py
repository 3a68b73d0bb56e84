"""Pairs that are set aside: spread, drawn by a seed, kept out of fits, and their error true."""

from pathlib import Path

import numpy as np
import pytest
from fitting_samples import clicked, rms_length

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, choose_check_landmarks, errors_at_checks
from napari_bridgecorr.fitting.fit import fit_map
from napari_bridgecorr.io.landmark_files import read_landmarks, write_landmarks
from napari_bridgecorr.landmarks import Landmark, LandmarkPairs, LandmarkSet
from napari_bridgecorr.session import LandmarkSetRecord, Session, load_session, save_session
from napari_bridgecorr.workflow.landmarks import fit_landmarks


def set_of(pairs: LandmarkPairs, checks: tuple[str, ...]) -> LandmarkSet:
    return LandmarkSet(
        tuple(
            Landmark(name, "", True, tuple(f), tuple(m), check=name in checks)
            for name, f, m in zip(
                pairs.ids, pairs.fixed_um.tolist(), pairs.moving_um.tolist(), strict=True
            )
        )
    )


def test_every_pair_is_as_likely_and_they_are_spread() -> None:
    pairs, _, _ = clicked(0, 30, 8.0, 25.0)
    counts = dict.fromkeys(pairs.ids, 0)
    nearest, by_chance = [], []
    rng = np.random.default_rng(1)
    for seed in range(400):
        chosen = choose_check_landmarks(pairs, 5, seed=seed)
        assert len(set(chosen)) == 5
        for name in chosen:
            counts[name] += 1
        for found, points in (
            (nearest, pairs.fixed_um[[pairs.ids.index(c) for c in chosen]]),
            (by_chance, rng.permutation(pairs.fixed_um)[:5]),
        ):
            gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
            found.append(gaps[gaps > 0].min())
    # binomial, 400 draws of 1 in 6: 5 standard deviations
    assert all(abs(c - 400 / 6) < 5 * np.sqrt(400 * 5 / 36) for c in counts.values())
    assert np.mean(nearest) > 1.3 * np.mean(by_chance)
    assert choose_check_landmarks(pairs, 5, seed=7) == choose_check_landmarks(pairs, 5, seed=7)


def test_the_error_at_them_is_that_of_the_map_and_the_clicks() -> None:
    squares, truths, ranges = [], [], []
    for seed in range(6):
        pairs, truth, targets = clicked(seed, 40, 10.0, 20.0)
        landmarks = set_of(pairs, choose_check_landmarks(pairs, 8, seed=seed))
        fitted, checks = landmarks.pairs(), landmarks.check_pairs()
        assert (len(fitted), len(checks)) == (32, 8)
        assert not set(fitted.ids) & set(checks.ids)
        made = fit_map(fitted)
        found = errors_at_checks(made, fitted, checks)
        squares.append(found.summary.rms_um**2)
        truths.append(rms_length(made.map(targets) - truth(targets)) ** 2 + 3 * 10.0**2)
        low, high = found.rms_range_um()
        ranges.append(low < np.sqrt(truths[-1]) < high)
    assert np.sqrt(np.mean(squares)) == pytest.approx(np.sqrt(np.mean(truths)), rel=0.2)
    assert sum(ranges) >= 4


def test_too_few_are_told_what_to_do() -> None:
    pairs, _, _ = clicked(3, 8, 8.0, 25.0)
    with pytest.raises(FitError, match="set 3 aside, or place 2 more"):
        choose_check_landmarks(pairs, 5)
    assert len(choose_check_landmarks(pairs, 3)) == 3
    flat = LandmarkPairs(pairs.ids, pairs.fixed_um * (0, 1, 1), pairs.moving_um)
    with pytest.raises(FitError, match="in one plane"):
        choose_check_landmarks(flat, 2)


def test_files_keep_who_was_set_aside(tmp_path: Path) -> None:
    pairs, _, _ = clicked(4, 12, 8.0, 25.0)
    landmarks = set_of(pairs, choose_check_landmarks(pairs, 4, seed=2))
    write_landmarks(landmarks, tmp_path / "pairs.csv")
    back = read_landmarks(tmp_path / "pairs.csv")
    made = fit_landmarks(tmp_path / "pairs.csv", tmp_path / "t.json", FitOptions("affine"))
    assert made.pairs.ids == landmarks.pairs().ids
    checks = landmarks.check_pairs()
    off = rms_length(made.transform.map(checks.fixed_um) - checks.moving_um)
    assert f"4 check pairs were kept out of the fit; the RMS error at them is {off:.3g} um" in (
        made.warnings
    )
    assert [m.id for m in back if m.check] == [m.id for m in landmarks if m.check]
    assert back.pairs().ids == landmarks.pairs().ids


def test_a_session_keeps_them_out_of_its_fit(tmp_path: Path) -> None:
    pairs, _, _ = clicked(4, 12, 8.0, 25.0)
    landmarks = set_of(pairs, ("L2", "L7"))
    record = LandmarkSetRecord("landmarks", tuple(landmarks))
    save_session(Session(landmark_sets=(record,)), tmp_path / "s.json")
    back = load_session(tmp_path / "s.json").landmark_set("landmarks").to_set()
    assert back == landmarks
    assert back.check_pairs().ids == ("L2", "L7")
    assert len(back.pairs()) == 10
