"""Warp a volume on its own grid: SimpleITK, SciPy, VTK."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import SimpleITK as sitk
import vtk
from bench_spline import landmarks, vtk_spline
from scipy.ndimage import map_coordinates
from timing import best_of, once, show
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.resampling import resample
from napari_bridgecorr.transform import Affine, Transform

SHAPE = (64, 512, 512)
SPACING_UM = (18.75, 4.6875, 4.6875)


def main() -> None:
    """Print."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=[n // 8 for n in SHAPE]).astype(np.float32)
    data = np.kron(coarse, np.ones((8, 8, 8), np.float32))
    grid = Grid.from_spacing(SHAPE, SPACING_UM)
    level = da.from_array(data[None, None], chunks=(1, 1, 32, 256, 256))
    image = SpatialImage((level,), (grid,), (Channel("a"),), Source(Path("memory"), "memory"))
    _affine(image, data, grid)
    for n in (60, 300):
        _spline(image, data, grid, n)


def _ours(image: SpatialImage, transform: Transform, grid: Grid) -> np.ndarray:
    return resample(image, transform, grid).data.compute(scheduler="synchronous")[0, 0]


def _affine(image: SpatialImage, data: np.ndarray, grid: Grid) -> None:
    angle = np.deg2rad(7.0)
    turn = np.array(
        [
            [np.cos(angle), -np.sin(angle), 0],
            [np.sin(angle), np.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    centre = grid.centre_um
    transform = Affine.from_parts(turn, centre - turn @ centre)
    ours, warped = best_of(lambda: _ours(image, transform, grid))

    itk_image = sitk.GetImageFromArray(data)
    itk_image.SetSpacing(SPACING_UM[::-1])
    itk_transform = sitk.AffineTransform(3)
    itk_transform.SetMatrix(transform.matrix[:3, :3][::-1, ::-1].ravel())
    itk_transform.SetTranslation(transform.matrix[:3, 3][::-1])
    itk_s, by_itk = best_of(
        lambda: sitk.GetArrayFromImage(
            sitk.Resample(itk_image, itk_image, itk_transform, sitk.sitkLinear, np.nan)
        )
    )
    index = (np.linalg.inv(grid.index_to_world) @ transform.matrix @ grid.index_to_world)[:3]
    scipy_s, _ = once(
        lambda: map_coordinates(
            data,
            np.tensordot(index[:, :3], np.indices(SHAPE), axes=1) + index[:, 3, None, None, None],
            order=1,
            cval=np.nan,
        )
    )
    both = np.isfinite(warped) & np.isfinite(by_itk)
    error = np.abs(warped - by_itk)[both].max() / np.ptp(data)
    if error > 1e-4 or both.mean() < 0.5:
        raise SystemExit(f"the warped volumes differ by {error} of the range")
    show(
        "warp 512 x 512 x 64, affine",
        ours,
        {"SimpleITK": itk_s, "SciPy": scipy_s},
        f"largest difference {error:.1e} of the range",
    )


def _spline(image: SpatialImage, data: np.ndarray, grid: Grid, n: int) -> None:
    fixed, moving = landmarks(n)
    pairs = LandmarkSet.from_pairs(fixed, moving).pairs()
    transform = fit(pairs, FitOptions("tps", 0.0)).transform
    ours, warped = best_of(lambda: _ours(image, transform, grid))

    def by_vtk() -> np.ndarray:
        volume = vtk.vtkImageData()
        volume.SetDimensions(*SHAPE[::-1])
        volume.SetSpacing(*SPACING_UM[::-1])
        volume.GetPointData().SetScalars(numpy_to_vtk(data.ravel(), deep=False))
        reslice = vtk.vtkImageReslice()
        reslice.SetInputData(volume)
        # VTK lists x first
        reslice.SetResliceTransform(vtk_spline(fixed[:, ::-1], moving[:, ::-1]))
        reslice.SetInterpolationModeToLinear()
        reslice.SetBackgroundLevel(float("nan"))
        reslice.Update()
        return vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(SHAPE)

    vtk_s, other = once(by_vtk)
    both = np.isfinite(warped) & np.isfinite(other)
    error = np.abs(warped - other)[both].max() / np.ptp(data)
    if error > 1e-3 or both.mean() < 0.5:
        raise SystemExit(f"the warped volumes differ by {error} of the range")
    show(
        f"warp 512 x 512 x 64, {n} landmarks",
        ours,
        {"VTK": vtk_s},
        f"largest difference {error:.1e} of the range",
    )
