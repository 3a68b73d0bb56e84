"""`bridgecorr convert` of transforms: what SimpleITK does with them is what they say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry.anatomical import points_from_millimetres, points_to_millimetres
from napari_bridgecorr.io.transform_files import fit_document, read_transform, write_document
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import ThinPlateSpline

BOX_UM = np.array([300.0, 500.0, 500.0])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ThinPlateSpline]:
    """A thin-plate spline's file, and the spline."""
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 1, (14, 3)) * BOX_UM
    turned = fixed @ np.array([[1, 0.02, 0], [-0.02, 1, 0.05], [0, -0.05, 1.02]]) + 40
    moving = turned + 15 * np.sin(fixed / 120) + rng.normal(0, 2, fixed.shape)
    result = fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions("tps", 0.0))
    assert isinstance(result.transform, ThinPlateSpline)
    path = tmp_path_factory.mktemp("fit") / "T.json"
    write_document(fit_document(result), path)
    return path, result.transform


def stated_um(text: str) -> float:
    """The bound that the command printed."""
    found = re.search(r"maximum error of the field: ([\d.e+-]+) um \(proven", text)
    assert found is not None, text
    return float(found[1])


def by_simpleitk(path: Path, points_um: np.ndarray) -> np.ndarray:
    if path.name.endswith(".h5"):
        transform = sitk.ReadTransform(str(path))
    else:
        image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64)
        transform = sitk.DisplacementFieldTransform(image)
    points = points_to_millimetres(points_um, "LPS")
    moved = [transform.TransformPoint(p) for p in points.tolist()]
    return points_from_millimetres(moved, "LPS")


def hard_points(marks: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    near = [marks + rng.normal(0, size, (20, *marks.shape)) for size in (0, 0.01, 1.0, 8.0)]
    return np.concatenate(
        [rng.uniform(0, 1, (2000, 3)) * BOX_UM, np.concatenate(near).reshape(-1, 3)]
    )


@pytest.mark.parametrize("ending", [".h5", ".nii.gz", ".nrrd"])
def test_a_spline_for_others_is_within_the_stated_error(
    fitted: tuple[Path, ThinPlateSpline],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ending: str,
) -> None:
    path, spline = fitted
    out = tmp_path / f"field{ending}"
    assert main(["convert", str(path), str(out), "--tolerance", "2"]) == 0
    said = capsys.readouterr().out
    bound = stated_um(said)
    points = hard_points(spline.fixed_um)
    off = np.linalg.norm(by_simpleitk(out, points) - spline.map(points), axis=1)
    assert off.max() <= 1.005 * bound  # three digits are printed
    assert bound <= 2.0
    assert bound < 3 * off.max()
    assert "outside that box other programs leave points where they are" in said
    again = read_transform(out).transform
    ours = np.linalg.norm(again.map(points) - spline.map(points), axis=1)
    assert ours.max() <= 1.005 * bound


def test_the_inverse_of_a_spline(
    fitted: tuple[Path, ThinPlateSpline], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, spline = fitted
    out = tmp_path / "back.h5"
    assert main(["convert", str(path), str(out), "--inverse", "--spacing", "20,20,20"]) == 0
    said = capsys.readouterr().out
    assert "not proven" in said
    points = np.random.default_rng(2).uniform(0.1, 0.9, (300, 3)) * BOX_UM
    off = np.linalg.norm(by_simpleitk(out, spline.map(points)) - points, axis=1)
    found = re.search(r"about ([\d.e+-]+) um", said)
    assert found is not None
    assert 0 < off.max() < float(found[1])


def test_a_scene_holds_both_directions(
    fitted: tuple[Path, ThinPlateSpline], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, spline = fitted
    out = tmp_path / "t.ome.zarr"
    assert main(["convert", str(path), str(out), "--spacing", "25,25,25"]) == 0
    said = capsys.readouterr().out
    assert "maximum error of the inverse field" in said
    points = hard_points(spline.fixed_um)
    off = np.linalg.norm(read_transform(out).transform.map(points) - spline.map(points), axis=1)
    assert off.max() <= 1.005 * stated_um(said)


def test_json_keeps_the_landmarks_and_the_fit(
    fitted: tuple[Path, ThinPlateSpline], tmp_path: Path
) -> None:
    path, _ = fitted
    assert main(["convert", str(path), str(tmp_path / "copy.json")]) == 0
    assert (tmp_path / "copy.json").read_text() == path.read_text()


def test_like_gives_the_box(
    fitted: tuple[Path, ThinPlateSpline], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, spline = fitted
    image = sitk.Image(20, 30, 10, sitk.sitkFloat32)
    image.SetSpacing((0.01, 0.012, 0.02))
    image.SetOrigin((-0.3, -0.4, 0.05))
    angle = sitk.Euler3DTransform((0, 0, 0), 0.1, 0.2, 0.3)
    image.SetDirection(angle.GetMatrix())
    sitk.WriteImage(image, str(tmp_path / "fixed.nii.gz"))
    out = tmp_path / "field.nii.gz"
    arguments = ["convert", str(path), str(out), "--like", str(tmp_path / "fixed.nii.gz")]
    assert main(arguments) == 0
    bound = stated_um(capsys.readouterr().out)
    rng = np.random.default_rng(3)
    index = rng.uniform(-0.49, 0.49, (400, 3)) + rng.integers(0, [20, 30, 10], (400, 3))
    points_mm = [image.TransformContinuousIndexToPhysicalPoint(i) for i in index.tolist()]
    points = points_from_millimetres(points_mm, "LPS")
    off = np.linalg.norm(by_simpleitk(out, points) - spline.map(points), axis=1)
    assert off.max() <= 1.005 * bound <= 1.01


def test_points_are_mapped_through_foreign_files(tmp_path: Path) -> None:
    transform = sitk.Euler3DTransform((0.1, 0.2, 0.3), 0.1, 0.2, 0.3, (1.0, 2.0, 3.0))
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    (tmp_path / "p.csv").write_text("z_um,y_um,x_um\n100,200,300\n-5,7,9\n")
    for name in ("t.tfm", "t.h5", "t.ome.zarr", "TransformParameters.0.txt"):
        if name != "t.tfm":
            assert main(["convert", str(tmp_path / "t.tfm"), str(tmp_path / name)]) == 0
        out = tmp_path / f"{name}.csv"
        assert main(["map", str(tmp_path / name), str(tmp_path / "p.csv"), "-o", str(out)]) == 0
        rows = np.loadtxt(out, delimiter=",", skiprows=1)
        points = points_to_millimetres([[100, 200, 300], [-5, 7, 9]], "LPS")
        want = points_from_millimetres(
            [transform.TransformPoint(p) for p in points.tolist()], "LPS"
        )
        np.testing.assert_allclose(rows[:, :3], want, rtol=0, atol=1e-3)


def test_what_cannot_be_is_said(
    fitted: tuple[Path, ThinPlateSpline], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = fitted
    affine = sitk.TranslationTransform(3, (1, 2, 3))
    sitk.WriteTransform(affine, str(tmp_path / "t.tfm"))
    for arguments, said in (
        ([str(path), str(tmp_path / "o.tfm")], "matrices alone"),
        ([str(path), str(tmp_path / "o.doc")], "which transform format"),
        ([str(tmp_path / "t.tfm"), str(tmp_path / "o.nii.gz")], "--like IMAGE"),
        ([str(path), str(tmp_path / "o.h5"), "--spacing", "0.1,0.1,0.1"], "larger --spacing"),
        ([str(path), str(tmp_path / "o.h5"), "--tolerance", "-1"], "tolerance"),
    ):
        assert main(["convert", *arguments]) == 1
        assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["t.tfm"]
