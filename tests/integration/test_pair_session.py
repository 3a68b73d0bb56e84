"""`align` and `refine-landmarks`: repeated from a session, given to ITK, interrupted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter, shift

from napari_bridgecorr.cli.console import ConsoleProgress
from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import SessionError
from napari_bridgecorr.io.landmark_files import read_landmarks, write_landmarks
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.session import load_session, save_session
from napari_bridgecorr.workflow.replay import run_session

VOXEL_UM = 10.0
SHAPE = (26, 28, 30)


def write_volume(values: np.ndarray, path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm")
    affine = np.diag([VOXEL_UM / 1000] * 3 + [1.0])
    nib.save(nib.Nifti1Image(values.astype(np.float32), affine, header), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A texture; the same shifted by a fraction of a voxel, in another contrast; eight clicks."""
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=SHAPE), 1.7, mode="wrap")
    texture *= 500 / texture.std()
    write_volume(texture, tmp_path / "fixed.nii.gz")
    moved = shift(texture, (0.4, 1.3, -0.7), order=3, mode="grid-wrap")
    write_volume(400 - 0.7 * moved + rng.normal(0, 5, texture.shape), tmp_path / "moving.nii.gz")
    fixed = rng.uniform(70, 190, (8, 3))
    # a NIfTI file's axes are x, y, z, the world's z, y, x
    marks = LandmarkSet.from_pairs(fixed, fixed + [-7.0, 13, 4] + rng.normal(0, 6, (8, 3)))
    write_landmarks(marks, tmp_path / "L.csv")
    flat = texture[:, :, :1]
    write_volume(flat, tmp_path / "flat_fixed.nii.gz")
    write_volume(
        400 - 0.7 * shift(flat, (0.4, 1.3, 0), order=3, mode="grid-wrap"),
        tmp_path / "flat_moving.nii.gz",
    )
    return tmp_path


def images(folder: Path, flat: str = "") -> list[str]:
    return [f"--{side}={folder / (flat + side)}.nii.gz" for side in ("fixed", "moving")]


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def interrupted_at(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    """Ctrl-C when a task begins, as if the user had pressed it."""
    before = ConsoleProgress.begin

    def begin(self: ConsoleProgress, name: str, total: int) -> None:
        before(self, name, total)
        if task in name:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ConsoleProgress, "begin", begin)


@pytest.fixture
def _keys_reach_us() -> Iterator[None]:
    """What a shell starts in its background ignores Ctrl-C: the tests may be such a thing."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_refined_landmarks_are_repeated(folder: Path) -> None:
    out, session = folder / "sub" / "L2.csv", folder / "s.json"
    out.parent.mkdir()
    marks = str(folder / "L.csv")
    arguments = ["refine-landmarks", *images(folder), "--landmarks", marks, "-o", str(out)]
    arguments += ["--radius-um", "45", "--only", "L1", "L3", "--write-session", str(session)]
    assert main(arguments) == 0
    before = out.read_bytes()
    after = read_landmarks(out)
    moved = [a.id for a, b in zip(after, read_landmarks(folder / "L.csv"), strict=True) if a != b]
    assert moved
    assert set(moved) <= {"L1", "L3"}
    out.unlink()
    (folder / "L.csv").unlink()  # the session holds them
    assert main(["run", str(session)]) == 0
    assert out.read_bytes() == before

    kept = load_session(session)
    (output,) = kept.outputs

    def refused(match: str, **changed: object) -> None:
        wrong = replace(output, options={**output.options, **changed})
        save_session(replace(kept, outputs=(wrong,)), session)
        with pytest.raises(SessionError, match=match):
            run_session(session)

    refused("no image 'x'", moving="x")
    refused("no landmark set 'x'", landmark_set="x")
    refused("not understood", rounds=2)


def test_an_alignment_is_repeated_and_read_by_itk(folder: Path) -> None:
    out, session = folder / "T.json", folder / "s.json"
    arguments = ["align", *images(folder, "flat_"), "--model", "rigid", "-o", str(out)]
    arguments += [f"--fixed-mask={folder / 'flat_fixed.nii.gz'}", "--write-session", str(session)]
    assert main(arguments) == 0
    before = out.read_bytes()
    out.unlink()
    assert main(["run", str(session)]) == 0
    assert out.read_bytes() == before

    exported = folder / "T.tfm"
    assert main(["convert", str(out), str(exported)]) == 0
    points = np.array([[50.0, 60, 70], [200, 210, 220]])
    there = read_transform(out).transform.map(points)
    by_itk = sitk.ReadTransform(str(exported))
    to_lps = np.array([-1.0, -1.0, 1.0]) / 1000  # from (x, y, z) in um
    for point, expected in zip(points, there, strict=True):
        found = by_itk.TransformPoint((point[::-1] * to_lps).tolist())
        np.testing.assert_allclose((found / to_lps)[::-1], expected, atol=1e-6)


@pytest.mark.usefixtures("_keys_reach_us")
@pytest.mark.parametrize("is_first", [True, False])
def test_ctrl_c_leaves_nothing_half_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    there = files(folder)
    out = folder / "out.json"
    session = ["--write-session", str(folder / "s.json")]
    if is_first:
        interrupted_at(monkeypatch, "refining landmarks")
        marks = str(folder / "L.csv")
        arguments = ["refine-landmarks", *images(folder), "--landmarks", marks, "-o"]
        assert main([*arguments, str(out), *session]) == 130
        assert files(folder) == there
    else:
        interrupted_at(monkeypatch, "")
        status = main(
            ["align", *images(folder, "flat_"), "--model", "rigid", "-o", str(out), *session]
        )
        if status == 130:
            assert files(folder) == there
        else:  # the best so far: a whole file that says so, and no session
            assert files(folder) == sorted([*there, "out.json"])
            assert not json.loads(out.read_text())["align"]["start"]["is_complete"]
            read_transform(out)
