"""Pairs proposed from four given ones, against a phantom's truth."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.io.landmark_files import read_landmarks, write_landmarks
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.progress import Silent
from napari_bridgecorr.vessels import (
    SUGGESTED,
    Proposals,
    Suggestions,
    propose,
    suggest,
    suggest_pairs,
    with_suggestions,
)
from napari_bridgecorr.vessels.settled import Side, settled

sys.path.insert(0, str(Path(__file__).parent))
from vessel_net import COARSE_UM, VesselNet, vessel_net


@pytest.fixture(scope="module")
def net() -> VesselNet:
    return vessel_net(20261)


@dataclass(frozen=True, eq=False)
class Asked:
    """What a search asked to be settled, and what came of it."""

    net: VesselNet
    arguments: tuple[Any, ...]
    answer: tuple[np.ndarray, np.ndarray]

    @property
    def partners(self) -> np.ndarray:
        return self.arguments[4]

    @property
    def confidence(self) -> np.ndarray:
        return self.arguments[5]

    def with_partners(self, partners: np.ndarray) -> tuple[Any, ...]:
        return (*self.arguments[:4], partners, *self.arguments[5:])

    def errors(self, partners: np.ndarray) -> np.ndarray:
        """In coarse voxels."""
        off = self.net.to_moving(partners) - self.arguments[3]
        return np.linalg.norm(off, axis=1) / COARSE_UM


@pytest.fixture(scope="module")
def search(net: VesselNet) -> tuple[Suggestions, Asked]:
    kept = []

    def keep(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        kept.append((arguments, settled(*arguments)))
        return kept[0][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suggest, "settled", keep)
        found = suggest_pairs(net.fixed, net.moving, net.given)
    return found, Asked(net, *kept[0])


@pytest.fixture(scope="module")
def found(search: tuple[Suggestions, Asked]) -> Suggestions:
    return search[0]


@pytest.fixture(scope="module")
def asked(search: tuple[Suggestions, Asked]) -> Asked:
    return search[1]


def _errors(net: VesselNet, found: Suggestions) -> np.ndarray:
    sure = found.above()
    fixed = np.array([s.fixed_um for s in sure])
    return np.linalg.norm(net.to_moving(fixed) - [s.moving_um for s in sure], axis=1)


def test_proposes_twenty_pairs_that_are_right(net: VesselNet, found: Suggestions) -> None:
    assert (found.fixed_vessels, found.moving_vessels) == ("dark", "bright")
    errors = _errors(net, found)
    assert len(errors) >= 20
    assert np.mean(errors < 1.5 * COARSE_UM) >= 0.95


def test_more_pairs_halve_the_target_error(net: VesselNet, found: Suggestions) -> None:
    def target_error(landmarks: LandmarkSet, model: str) -> float:
        map_ = fit(landmarks.pairs(), FitOptions(model, dimensions=2)).transform
        return float(np.median(np.linalg.norm(map_.map(net.targets[0]) - net.targets[1], axis=1)))

    alone = min(target_error(net.given, m) for m in ("similarity", "affine"))
    all_pairs = with_suggestions(net.given, found.above())
    assert target_error(all_pairs, "gp") < alone / 2


def test_roles_may_be_swapped(net: VesselNet) -> None:
    given = LandmarkSet.from_pairs(net.given.pairs().moving_um, net.given.pairs().fixed_um)
    swapped = suggest_pairs(net.moving, net.fixed, given)
    sure = swapped.above()
    errors = net.to_moving(np.array([s.moving_um for s in sure])) - [s.fixed_um for s in sure]
    assert len(sure) >= 20
    assert np.mean(np.linalg.norm(errors, axis=1) < 1.5 * COARSE_UM) >= 0.95


def test_pairs_lie_nearer_to_the_truth_and_are_believed_more(asked: Asked) -> None:
    partners, confidence = asked.answer
    was_sure, is_sure = asked.confidence >= 0.9, confidence >= 0.9
    before, after = asked.errors(asked.partners), asked.errors(partners)
    assert np.median(after[was_sure]) < np.median(before[was_sure])
    right = (after < 1.0) & (asked.confidence > 0)
    assert np.mean(confidence[right]) > np.mean(asked.confidence[right])
    assert np.mean(after[is_sure] < 1.5) >= 0.95


def test_a_match_beside_the_truth_is_drawn_to_it_and_believed_less(asked: Asked) -> None:
    surest = np.argsort(-asked.confidence)[5 : 5 + 3]
    moved = asked.partners.copy()
    moved[surest, 1] += 1.2 * COARSE_UM
    partners, confidence = settled(*asked.with_partners(moved))
    assert np.all(asked.errors(partners)[surest] < 0.7 * 1.2)
    assert np.all(confidence[surest] < asked.answer[1][surest])


def test_an_image_that_shows_nothing_changes_nothing(asked: Asked) -> None:
    coarse = asked.net.fixed
    level = coarse.levels[0]
    blank = replace(coarse, levels=(dask.array.full(level.shape, np.nan, dtype=level.dtype),))
    arguments = (Side(blank, 0), *asked.arguments[1:8], Silent())
    partners, confidence = settled(*arguments)
    np.testing.assert_array_equal(partners, asked.partners)
    np.testing.assert_array_equal(confidence, asked.confidence)


def test_unrelated_images_give_nothing_sure(net: VesselNet) -> None:
    other = vessel_net(20262)
    assert len(suggest_pairs(net.fixed, other.moving, net.given).above()) <= 2


def test_judged_pairs_are_not_proposed_again(net: VesselNet, found: Suggestions) -> None:
    all_ = Proposals(found.pairs, *(np.empty((0, 3)),) * 2, "dark", "bright", found.scale_um)
    accepted, refused = found.pairs[0], found.pairs[1]
    grown = with_suggestions(net.given, (accepted,))
    assert all_.to_judge(net.given) == found.pairs
    left = all_.to_judge(grown, (refused,))
    assert accepted not in left
    assert refused not in left
    assert len(left) >= len(found.pairs) - 4  # and those next to them
    # the same place with another partner is another proposal
    moved = replace(refused, moving_um=(0.0, *(v + 3 * COARSE_UM for v in refused.moving_um[1:])))
    assert refused in all_.to_judge(grown, (moved,))


def test_three_pairs_give_the_branchings_of_both_images(net: VesselNet) -> None:
    three = propose(net.fixed, net.moving, LandmarkSet(net.given.landmarks[:3]))
    assert not three.pairs
    assert len(three.fixed_um) > 10
    carried = net.to_moving(three.fixed_um)
    gaps = np.linalg.norm(carried[:, None] - three.moving_um[None], axis=2).min(axis=1)
    assert np.mean(gaps < 1.5 * COARSE_UM) > 0.6


def test_three_pairs_are_too_few(net: VesselNet) -> None:
    with pytest.raises(FitError, match="place 1 more"):
        suggest_pairs(net.fixed, net.moving, LandmarkSet(net.given.landmarks[:3]))


def test_accepted_pairs_stay_marked_in_the_file(
    net: VesselNet, found: Suggestions, tmp_path: Path
) -> None:
    both = with_suggestions(net.given, found.above()[:2])
    assert [m.id for m in both][4:] == ["L05", "L06"]
    write_landmarks(both, tmp_path / "l.csv")
    back = read_landmarks(tmp_path / "l.csv")
    assert back == both
    assert [m.source for m in back] == [""] * 4 + [SUGGESTED] * 2


def test_the_command_adds_pairs_to_the_file(
    net: VesselNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [tmp_path / "coarse.nii", tmp_path / "fine.nii"]
    for image, path in zip((net.fixed, net.moving), images, strict=True):
        write_image(image, path)
    write_landmarks(net.given, tmp_path / "four.csv")
    out = tmp_path / "more.csv"
    arguments = ["--fixed", str(images[0]), "--moving", str(images[1]), "-o", str(out)]
    assert main(["suggest", *arguments, "--landmarks", str(tmp_path / "four.csv")]) == 0
    said = capsys.readouterr().out
    added = [m for m in read_landmarks(out) if m.source == SUGGESTED]
    assert said.startswith(f"{len(added)} pairs added (dark vessels in the fixed image")
    assert len(added) >= 20
