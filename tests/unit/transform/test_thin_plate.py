"""The thin-plate spline against SciPy, VTK and ITK."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator
from scipy.spatial.transform import Rotation
from transform_samples import BOX_UM, landmarks

from napari_bridgecorr.errors import TransformError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import ThinPlateSpline


def fitted(
    fixed: np.ndarray, moving: np.ndarray, smoothing: float, dimensions: int = 3
) -> ThinPlateSpline:
    pairs = LandmarkSet.from_pairs(fixed, moving).pairs()
    result = fit(pairs, FitOptions("tps", smoothing, dimensions)).transform
    assert isinstance(result, ThinPlateSpline)
    assert result.smoothing_um == pytest.approx(smoothing, rel=1e-12)
    return result


@pytest.mark.parametrize("offset_um", [0.0, 1e5, -1e5])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 10.0, 1e3, 1e5])
def test_equals_scipy(smoothing: float, offset_um: float) -> None:
    fixed, moving = landmarks(2, 40, 5.0)
    targets = np.random.default_rng(0).uniform(-0.5, 1.5, (300, 3)) * BOX_UM
    # SciPy works in the coordinates it is given: far from the origin it is given them centred
    reference = RBFInterpolator(fixed, moving, kernel="linear", degree=1, smoothing=smoothing)
    expected = reference(targets) + offset_um
    ours = fitted(fixed + offset_um, moving + offset_um, smoothing)
    np.testing.assert_allclose(ours.map(targets + offset_um), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("offset_um", [0.0, 1e5])
@pytest.mark.parametrize("smoothing", [0.0, 100.0, 1e5])
def test_planar_equals_scipy(smoothing: float, offset_um: float) -> None:
    rng = np.random.default_rng(1)
    fixed = rng.uniform(0, 1, (30, 3)) * BOX_UM
    turned = Rotation.from_rotvec((0.7, 0, 0)).as_matrix()
    moving = fixed @ turned.T + (70, 400, -30) + 20 * np.sin(fixed / 300)
    targets = rng.uniform(-0.5, 1.5, (300, 3)) * BOX_UM
    reference = RBFInterpolator(
        fixed[:, 1:], moving[:, 1:], kernel="thin_plate_spline", degree=1, smoothing=smoothing
    )
    ours = fitted(fixed + offset_um, moving + offset_um, smoothing, 2).map(targets + offset_um)
    np.testing.assert_allclose(ours[:, 1:] - offset_um, reference(targets[:, 1:]), atol=1e-6)
    # z is only shifted, by the mean difference
    shift = np.mean(moving[:, 0] - fixed[:, 0])
    np.testing.assert_allclose(ours[:, 0] - offset_um, targets[:, 0] + shift, rtol=0, atol=1e-6)


def test_equals_vtk() -> None:
    core = pytest.importorskip("vtkmodules.vtkCommonCore")
    transforms = pytest.importorskip("vtkmodules.vtkCommonTransforms")
    fixed, moving = landmarks(3, 25, 5.0)

    def vtk_points(points: np.ndarray) -> object:
        out = core.vtkPoints()
        out.SetDataTypeToDouble()
        for z, y, x in points.tolist():
            out.InsertNextPoint(x, y, z)
        return out

    theirs = transforms.vtkThinPlateSplineTransform()
    theirs.SetBasisToR()
    theirs.SetSourceLandmarks(vtk_points(fixed))
    theirs.SetTargetLandmarks(vtk_points(moving))
    theirs.Update()
    targets = np.random.default_rng(0).uniform(-0.5, 1.5, (200, 3)) * BOX_UM
    expected = [theirs.TransformPoint(*p[::-1])[::-1] for p in targets.tolist()]
    np.testing.assert_allclose(fitted(fixed, moving, 0.0).map(targets), expected, rtol=0, atol=1e-6)


# in a process of its own: ITK's libraries do not load beside those of the window
ITK_SPLINE = """
import sys
import itk
import numpy as np
folder = sys.argv[1]
spline = itk.ThinPlateSplineKernelTransform[itk.D, 3].New()
for name, placed in (
    ("fixed", spline.GetSourceLandmarks()),
    ("moving", spline.GetTargetLandmarks()),
):
    for index, point in enumerate(np.load(f"{folder}/{name}.npy").tolist()):
        placed.SetPoint(index, itk.Point[itk.D, 3](point[::-1]))
spline.ComputeWMatrix()
targets = [itk.Point[itk.D, 3](p[::-1]) for p in np.load(f"{folder}/targets.npy").tolist()]
np.save(f"{folder}/mapped.npy", [list(spline.TransformPoint(p))[::-1] for p in targets])
"""


@pytest.mark.skipif(find_spec("itk") is None, reason="ITK is not installed")
def test_equals_itk(tmp_path: Path) -> None:
    fixed, moving = landmarks(3, 25, 5.0)
    targets = np.random.default_rng(0).uniform(-0.5, 1.5, (200, 3)) * BOX_UM
    for name, points in (("fixed", fixed), ("moving", moving), ("targets", targets)):
        np.save(tmp_path / f"{name}.npy", points)
    subprocess.run([sys.executable, "-c", ITK_SPLINE, str(tmp_path)], check=True)
    expected = np.load(tmp_path / "mapped.npy")
    np.testing.assert_allclose(fitted(fixed, moving, 0.0).map(targets), expected, rtol=0, atol=1e-6)


def test_a_landmark_on_a_landmark_is_no_singularity() -> None:
    fixed, moving = landmarks(2, 20, 5.0)
    for dimensions in (2, 3):
        ours = fitted(fixed, moving, 0.0, dimensions)
        assert np.isfinite(ours.jacobian(fixed)).all()
    np.testing.assert_allclose(fitted(fixed, moving, 0.0).map(fixed), moving, rtol=0, atol=1e-9)


def test_it_does_not_follow_the_caller_s_arrays() -> None:
    fixed, moving = landmarks(2, 10, 5.0)
    ours = fitted(fixed, moving, 0.0)
    before = ours.map([[1.0, 2.0, 3.0]])
    fixed += 100
    np.testing.assert_array_equal(ours.map([[1.0, 2.0, 3.0]]), before)
    with pytest.raises(ValueError, match="read-only"):
        ours.weights_um[0, 0] = 1


def test_lambda_must_be_a_number() -> None:
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(TransformError, match="lambda"):
            ThinPlateSpline(
                np.eye(3), np.eye(3), np.zeros((3, 3)), np.eye(3, 4), np.zeros(3), 1.0, wrong
            )
