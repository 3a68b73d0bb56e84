"""``bridgecorr refine`` by SimpleITK on two small volumes, repeated from its session."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import SessionError
from napari_bridgecorr.fitting import HeldOutErrorModel
from napari_bridgecorr.io.landmark_files import write_landmark_file
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.session import Output, load_session, save_session
from napari_bridgecorr.workflow.replay import run_session

SHAPE, VOXEL_UM = (20, 22, 24), 10.0


def write_volume(values: np.ndarray, path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm")
    affine = np.diag([VOXEL_UM / 1000] * 3 + [1.0])
    nib.save(nib.Nifti1Image(values.astype(np.float32), affine, header), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One texture and its negative, in place; landmarks that were clicked half a voxel off."""
    rng = np.random.default_rng(0)
    texture = 1000 * gaussian_filter(rng.normal(size=SHAPE), 1.7)
    write_volume(texture, tmp_path / "fixed.nii.gz")
    write_volume(400 - 0.7 * texture + rng.normal(0, 2, SHAPE), tmp_path / "moving.nii.gz")
    mask = np.ones(SHAPE)
    mask[:2] = 0
    write_volume(mask, tmp_path / "mask.nii.gz")
    fixed = rng.uniform(30, 160, (12, 3))
    marks = LandmarkSet.from_pairs(fixed, fixed + [0.0, 9.0, -6.0] + rng.normal(0, 5, (12, 3)))
    write_landmark_file(marks, tmp_path / "L.csv")
    return tmp_path


def test_a_session_repeats_a_refinement(folder: Path) -> None:
    out, session, picture = folder / "refined.json", folder / "s.json", folder / "report.png"
    arguments = ["refine", "--fixed", str(folder / "fixed.nii.gz"), "--moving"]
    arguments += [str(folder / "moving.nii.gz"), "--landmarks", str(folder / "L.csv")]
    arguments += ["--fixed-mask", str(folder / "mask.nii.gz"), "--model", "rigid"]
    arguments += ["--seed", "3", "-o", str(out), "--write-session", str(session)]
    arguments += ["--report", str(picture)]
    assert main(arguments) == 0
    before = json.loads(out.read_text())
    (output,) = load_session(session).outputs
    assert output.options == {
        "model": "rigid",
        "fixed_channel": "0",
        "seed": 3,
        "fixed_mask": "fixed_mask",
    }
    out.unlink()
    # a table of the refined map, as the window asks for it
    kept = load_session(session)
    table = Output("table", "v.csv", "registration", {"transform": "refined.json"})
    warped = Output("warp", "w.nii.gz", "registration", {"transform": "refined.json"})
    save_session(replace(kept, outputs=(output, table, warped)), session)
    assert main(["run", str(session)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    again = json.loads(out.read_text())
    assert again == before
    refined = read_transform(out)
    # the warp shows the moving texture, a negative, where the refined map says
    seen = nib.load(folder / "w.nii.gz").get_fdata().squeeze()
    fixed = nib.load(folder / "fixed.nii.gz").get_fdata()
    known = np.isfinite(seen) & (seen != 0)
    assert np.corrcoef(seen[known], fixed[known])[0, 1] < -0.9
    rows = np.genfromtxt(folder / "v.csv", delimiter=",", names=True)
    assert refined.held_out_um is not None
    told = HeldOutErrorModel(refined.pairs, refined.transform, refined.held_out_um)
    points = np.column_stack([rows[f"{axis}_um"] for axis in "zyx"])[::97]
    assert rows["registration_error_um"][::97] == pytest.approx(told.predict(points), rel=1e-5)
    save_session(replace(kept, outputs=(table, output)), session)
    with pytest.raises(SessionError, match="no output before it"):
        run_session(session)

    save_session(
        replace(kept, outputs=(replace(output, options={"fixed_mask": "brain"}),)), session
    )
    with pytest.raises(SessionError, match="no image 'brain'"):
        run_session(session)
    save_session(replace(kept, outputs=(replace(output, options={"rounds": 2}),)), session)
    with pytest.raises(SessionError, match="not understood"):
        run_session(session)


def test_a_start_that_is_no_fit_has_no_session(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = folder / "T.json"
    bare.write_text(
        json.dumps(
            {
                "format": "bridgecorr-transform",
                "version": 1,
                "direction": "fixed_to_moving",
                "transform": {"type": "affine", "matrix": np.eye(4).tolist()},
            }
        )
    )
    out = folder / "refined.json"
    arguments = ["refine", "--fixed", str(folder / "fixed.nii.gz"), "--moving"]
    arguments += [str(folder / "moving.nii.gz"), "--transform", str(bare), "-o", str(out)]
    assert main([*arguments, "--write-session", str(folder / "s.json")]) == 1
    assert "does not start from one" in capsys.readouterr().err
    assert not out.exists()
