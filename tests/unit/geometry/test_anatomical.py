"""RAS and LPS millimetres against nibabel's and SimpleITK's own idea of them."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry.anatomical import (
    index_to_millimetres,
    index_to_world_from_millimetres,
    map_from_millimetres,
    map_to_millimetres,
    millimetres_to_world,
    points_from_millimetres,
    points_to_millimetres,
)


@pytest.fixture
def oblique() -> np.ndarray:
    matrix = np.array([[0.9, 0.1, -0.2], [-0.1, 0.8, 0.3], [0.2, -0.3, 0.7]])
    affine = np.eye(4)
    affine[:3, :3] = matrix @ np.diag([0.1, 0.2, 0.5])
    affine[:3, 3] = [4.0, -5.0, 6.0]
    return affine


def test_right_anterior_superior_points_lie_where_the_convention_says() -> None:
    assert points_from_millimetres([[1, 2, 3]], "RAS").tolist() == [[3000, 2000, 1000]]
    assert points_from_millimetres([[1, 2, 3]], "LPS").tolist() == [[3000, -2000, -1000]]


def test_the_same_voxel_lies_at_the_same_place_by_nibabel_and_by_itk(tmp_path, oblique) -> None:
    # orthonormal directions only: ITK takes no shear
    q, _ = np.linalg.qr(oblique[:3, :3])
    oblique[:3, :3] = q @ np.diag([0.1, 0.2, 0.5])
    file = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), oblique), file)
    image = sitk.ReadImage(str(file))
    by_itk = np.array(image.TransformIndexToPhysicalPoint((1, 2, 3)))
    by_nibabel = oblique @ [1, 2, 3, 1]
    ours = index_to_world_from_millimetres(oblique, "RAS") @ [3, 2, 1, 1]
    assert points_from_millimetres(by_nibabel[None, :3], "RAS")[0] == pytest.approx(ours[:3])
    # the header keeps float32
    assert points_from_millimetres(by_itk[None], "LPS")[0] == pytest.approx(ours[:3], abs=1e-2)


@pytest.mark.parametrize("frame", ["RAS", "LPS"])
def test_there_and_back(frame, oblique) -> None:
    points = np.random.default_rng(0).normal(size=(20, 3)) * 1e4
    back = points_from_millimetres(points_to_millimetres(points, frame), frame)
    assert back == pytest.approx(points)
    assert map_from_millimetres(map_to_millimetres(oblique, frame), frame) == pytest.approx(oblique)
    there = index_to_world_from_millimetres(oblique, frame)
    assert index_to_millimetres(there, frame) == pytest.approx(oblique)


@pytest.mark.parametrize("frame", ["RAS", "LPS"])
def test_a_map_maps_the_same_points_in_either_world(frame, oblique) -> None:
    points_mm = np.random.default_rng(1).normal(size=(20, 3))
    moved_mm = points_mm @ oblique[:3, :3].T + oblique[:3, 3]
    matrix = map_from_millimetres(oblique, frame)
    points = points_from_millimetres(points_mm, frame)
    moved = points @ matrix[:3, :3].T + matrix[:3, 3]
    assert points_from_millimetres(moved_mm, frame) == pytest.approx(moved)


def test_other_frames_are_refused() -> None:
    with pytest.raises(GeometryError, match="give RAS or LPS"):
        millimetres_to_world("XYZ")  # type: ignore[arg-type]
