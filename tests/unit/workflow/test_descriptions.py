"""`info` of landmarks and transforms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.io.landmark_files import read_landmarks, write_landmarks
from napari_bridgecorr.io.transform_files import fit_document, write_document
from napari_bridgecorr.landmarks import Landmark, LandmarkSet
from napari_bridgecorr.workflow.descriptions import describe_landmarks, describe_transform


@pytest.fixture
def landmarks(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    points = np.random.default_rng(0).uniform(0, 100, (8, 3))
    pairs = list(LandmarkSet.from_pairs(points, points * 1.1 + 3))
    half = Landmark("half", "half", False, (1.0, 2.0, 3.0), None)
    write_landmarks(LandmarkSet((*pairs, half)), path)
    return path


def test_landmarks_are_counted(landmarks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = describe_landmarks(landmarks)
    assert described["landmarks"] == {
        "n": 9, "n_pairs": 8, "n_disabled": 1, "unit_is_stated": True, "warnings": [],
    }  # fmt: skip
    assert main(["info", str(landmarks)]) == 0
    assert "9 landmarks, 8 of them pairs, 1 disabled" in capsys.readouterr().out
    assert main(["info", "--json", str(landmarks)]) == 0
    assert json.loads(capsys.readouterr().out) == described


def test_a_missing_unit_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "big.csv"
    path.write_text('"Pt-0","true","1","2","3","4","5","6"\n')
    assert main(["info", str(path)]) == 0
    assert "--unit" in capsys.readouterr().out


def test_a_transform_names_its_parts(
    landmarks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "T.json"
    fitted = fit(read_landmarks(landmarks).pairs(), FitOptions("tps", 0.0))
    write_document(fit_document(fitted), path)
    described = describe_transform(path)["transform"]
    assert (described["types"], described["model"]) == (["ThinPlateSpline"], "tps")
    assert described["n_landmarks"] == 8
    assert main(["info", str(path)]) == 0
    assert "fitted       tps to 8 landmarks" in capsys.readouterr().out


def test_damage_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "T.tfm"
    path.write_text("#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\n")
    assert main(["info", str(path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
