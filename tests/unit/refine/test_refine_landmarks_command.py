"""``bridgecorr refine-landmarks`` on files."""

import json
from pathlib import Path

import numpy as np
import pytest
from tube_samples import Tubes, tubes

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.io.landmark_files import read_landmarks, write_landmarks
from napari_bridgecorr.io.writers import write_image


@pytest.fixture(scope="module")
def sample() -> Tubes:
    return tubes(0)


@pytest.fixture(scope="module")
def arguments(sample: Tubes, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("refine")
    found = ["refine-landmarks"]
    for name, image in (("fixed", sample.fixed), ("moving", sample.moving)):
        write_image(image, folder / f"{name}.ome.zarr")
        found += [f"--{name}", str(folder / f"{name}.ome.zarr")]
    write_landmarks(sample.clicks, folder / "landmarks.csv")
    return [*found, "--landmarks", str(folder / "landmarks.csv")]


def test_files_are_refined(
    sample: Tubes, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "refined.csv"
    assert main([*arguments, "-o", str(out), "--only", "L1", "L3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in told["landmarks"]] == ["L1", "L3"]
    assert told["max_step_um"] == pytest.approx(30)
    after = read_landmarks(out)
    errors = sample.errors_voxels(after)
    for i, mark in enumerate(sample.clicks):
        if mark.id not in ("L1", "L3"):
            assert after[mark.id] == mark
        else:
            row = next(r for r in told["landmarks"] if r["id"] == mark.id)
            shift = np.subtract(after[mark.id].moving_um, mark.moving_um)
            np.testing.assert_allclose(shift, row["shift_um"], atol=1e-9)
            assert errors[i] < 0.5 if row["accepted"] else errors[i] == pytest.approx(2.0)
    assert told["n_accepted"] >= 1


def test_the_bound_and_the_reasons_are_told(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "refined.csv"
    wanted = ["--max-step-um", "5", "--radius-um", "50", "--only", "L2"]
    assert main([*arguments, "-o", str(out), *wanted]) == 0
    said = capsys.readouterr().out
    assert "surroundings of 50 um, at most 5 um" in said
    assert "L2: left, " in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--only", "nobody"], "there is no landmark 'nobody'"),
        (["--channel", "7"], "has no channel '7'"),
        (["--radius-um", "-1"], "the radius must be a positive length"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    wrong: list[str],
    said: str,
) -> None:
    out = tmp_path / "refined.csv"
    assert main([*arguments, "-o", str(out), *wrong]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert said in lines[-1]
    assert not out.exists()
