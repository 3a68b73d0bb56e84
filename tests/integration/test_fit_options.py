"""Weights, localisation errors, robust mode and direction from files to files."""

import json
from pathlib import Path

import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.io.landmark_files import read_landmark_file, write_landmark_file
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.landmarks import Landmark, LandmarkSet
from napari_bridgecorr.workflow.landmarks import fit_of


def written(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 800, (20, 3))
    moving = fixed + 15 * np.sin(fixed / 200) + rng.normal(0, 3, (20, 3))
    moving[4] += (0, 200, 0)
    marks = LandmarkSet(
        tuple(
            Landmark(
                f"L{i + 1}",
                f"L{i + 1}",
                True,
                tuple(map(float, fixed[i])),
                tuple(map(float, moving[i])),
                0.25 if i < 3 else 1.0,
            )
            for i in range(20)
        )
    )
    path = folder / "marks.csv"
    write_landmark_file(marks, path)
    assert tuple(read_landmark_file(path).landmarks) == tuple(marks)
    return path


def test_all_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marks, out = written(tmp_path), tmp_path / "T.json"
    words = "--fixed-sigma 50,12,12 --moving-sigma 5,2,2 --robust leave-out --slicer-direction"
    assert main(["fit", str(marks), "-o", str(out), "--json", *words.split()]) == 0
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert values["left_out"] == ["L5"]
    assert values["suspects"][0]["id"] == "L5"
    assert values["options"]["direction"] == "moving_to_fixed"
    assert values["options"]["fixed_sigma_um"] == [50, 12, 12]
    assert values["n"] == 19
    assert "'L5' is suspect" in captured.err
    assert "left out" in captured.err
    source = read_transform(out)
    assert source.options is not None
    assert source.pairs is not None
    assert source.pairs.weights.tolist() == [0.25] * 3 + [1.0] * 16
    again = fit_of(source)
    assert again is not None
    points = source.pairs.fixed_um + 7
    np.testing.assert_allclose(
        again.transform.map(points), source.transform.map(points), rtol=0, atol=1e-5
    )
    assert again.diagnostics.loo_rms_um == pytest.approx(values["loo_rms_um"])


def test_bad_weights_and_sigmas_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = written(tmp_path)
    marks.write_text(marks.read_text().replace(",0.25\n", ",-1\n"))
    with pytest.raises(ReadError, match="line 2: the weight '-1' is not a positive number"):
        read_landmark_file(marks)
    with pytest.raises(SystemExit):
        main(["fit", str(marks), "-o", str(tmp_path / "T.json"), "--fixed-sigma", "1,2"])
    assert "not three positive lengths in um" in capsys.readouterr().err
