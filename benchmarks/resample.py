"""Warp 512 x 512 x 64 voxels (float32, linear) through splines of 20, 100 and 300 landmarks.

Ours against VTK (``vtkImageReslice`` with ``vtkThinPlateSplineTransform``, what 3D Slicer runs),
ITK's kernel transform, SciPy (RBFInterpolator, then map_coordinates) and SimpleITK with a sampled
displacement field. ITK and SciPy warp one slice of 64 only, and their times are multiplied.
Ours is everything: planning the coarse grid, its error's proof, mapping and interpolation.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import dask.array as da
import itk
import numpy as np
import SimpleITK as sitk
import vtk
from bench_spline import vtk_spline
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates
from timing import best_of, once
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.resampling import PullSampler, resample
from napari_bridgecorr.transform import Affine, Transform

SHAPE = (64, 512, 512)
SPACING_UM = (18.75, 4.6875, 4.6875)
GRID = Grid.from_spacing(SHAPE, SPACING_UM)
# the slowest peers warp one slice of so many
SOME = 64
TOLERANCE_VOXELS = 0.02


def main() -> None:
    """Print; arguments that are numbers are numbers of landmarks."""
    rng = np.random.default_rng(0)
    data = np.kron(rng.normal(size=[n // 8 for n in SHAPE]).astype(np.float32), np.ones((8, 8, 8)))
    data = data.astype(np.float32)
    level = da.from_array(data[None, None], chunks=-1)
    image = SpatialImage((level,), (GRID,), (Channel("a"),), Source(Path("memory"), "memory"))
    with_itk(data, *landmarks(5), slice(1))  # ITK loads its modules at the first call
    affine_s = affine(image, data)
    for n in [int(a) for a in sys.argv if a.isdigit()] or [20, 100, 300]:
        spline(image, data, n, affine_s)
    slices(image)


def landmarks(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks all over the volume, bent smoothly, with 1 um of noise."""
    rng = np.random.default_rng(n)
    fixed = rng.uniform(0, 1, (n, 3)) * SHAPE * np.array(SPACING_UM)
    return fixed, fixed + 30 * np.sin(fixed / 500) + rng.normal(size=fixed.shape)


def ours(image: SpatialImage, transform: Transform) -> np.ndarray:
    """The whole volume at once."""
    sampler = PullSampler(image, transform, GRID, "linear", tolerance_voxels=TOLERANCE_VOXELS)
    return sampler.block(0, (0, 0, 0), SHAPE).values[0]


def report(name: str, seconds: float, ours_s: float, note: str = "") -> None:
    """One line."""
    print(f"  {name:34s} {seconds:9.3f} s   x {seconds / ours_s:7.1f}   {note}", flush=True)


def as_sitk(values: np.ndarray) -> sitk.Image:
    """With the volume's spacing; um stand for mm."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(SPACING_UM[::-1])
    return image


def affine(image: SpatialImage, data: np.ndarray) -> float:
    """A rotation by 7 degrees; our time."""
    angle = np.deg2rad(7.0)
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    centre = GRID.centre_um
    transform = Affine.from_parts(turn, centre - turn @ centre)
    seconds, warped = best_of(lambda: ours(image, transform), 7)
    source = as_sitk(data)
    map_ = sitk.AffineTransform(3)
    map_.SetMatrix(transform.matrix[:3, :3][::-1, ::-1].ravel())
    map_.SetTranslation(transform.matrix[:3, 3][::-1])
    sitk_s, other = best_of(lambda: sitk.Resample(source, source, map_, sitk.sitkLinear, np.nan), 5)
    print("affine")
    report("ours", seconds, seconds)
    report("SimpleITK", sitk_s, seconds, agreement(warped, sitk.GetArrayFromImage(other), data))
    return seconds


def spline(image: SpatialImage, data: np.ndarray, n: int, affine_s: float) -> None:
    """One number of landmarks."""
    fixed, moving = landmarks(n)
    transform = fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions("tps", 0.0)).transform
    seconds, warped = best_of(lambda: ours(image, transform), 7)
    print(f"thin-plate spline, {n} landmarks ({seconds / affine_s:.2f} x our affine)")
    report("ours", seconds, seconds, map_error(image, transform, fixed))
    lazy_s, _ = best_of(
        lambda: resample(image, transform, GRID).data.compute(scheduler="synchronous")
    )
    report("ours, block by block with dask", lazy_s, seconds)
    vtk_s, by_vtk = once(lambda: with_vtk(data, fixed, moving))
    report("VTK", vtk_s, seconds, agreement(warped, by_vtk, data))
    field_s, by_field = once(lambda: with_field(data, transform))
    report(
        "SimpleITK, field of every 8th voxel", field_s, seconds, agreement(warped, by_field, data)
    )
    some = slice(SOME // 2, None, SOME)
    scipy_s, by_scipy = once(lambda: with_scipy(data, fixed, moving, some))
    note = agreement(warped[some], by_scipy, data)
    report(f"SciPy ({SOME} x one slice)", SOME * scipy_s, seconds, note)
    itk_s, by_itk = once(lambda: with_itk(data, fixed, moving, some))
    note = agreement(warped[some], by_itk, data)
    report(f"ITK ({SOME} x one slice)", SOME * itk_s, seconds, note)


def map_error(image: SpatialImage, transform: Transform, fixed: np.ndarray) -> str:
    """Mapped voxels against the spline itself: 1e6 random ones, and all near landmarks."""
    rng = np.random.default_rng(7)
    quick = transform.lattice_map(GRID.index_to_world, image.grid.world_to_index)
    quick = quick.planned(SHAPE, TOLERANCE_VOXELS)
    near = np.round(GRID.to_index(fixed))[:, None] + rng.integers(-4, 5, (len(fixed), 200, 3))
    index = np.concatenate([rng.integers(0, SHAPE, (1_000_000, 3)), near.reshape(-1, 3)])
    index = np.clip(index, 0, np.array(SHAPE) - 1).astype(int)
    mapped = quick.positions(tuple(np.arange(s, dtype=float) for s in SHAPE)).reshape(*SHAPE, 3)
    exact = image.grid.to_index(transform.map(GRID.to_world(index.astype(float))))
    worst = np.linalg.norm(mapped[tuple(index.T)] - exact, axis=1).max()
    if not worst <= quick.error_bound_voxels <= TOLERANCE_VOXELS:
        raise SystemExit(f"a voxel is {worst} off, with a bound of {quick.error_bound_voxels}")
    return (
        f"map error {worst:.4f} voxels at {len(index)} of them, "
        f"proven {quick.error_bound_voxels:.4f}"
    )


def agreement(a: np.ndarray, b: np.ndarray, data: np.ndarray) -> str:
    """How far two warped volumes differ where both are known."""
    both = np.isfinite(a) & np.isfinite(b)
    worst = float(np.abs(a[both] - b[both]).max() / np.ptp(data))
    return f"largest difference {worst:.1e} of the range"


def with_vtk(data: np.ndarray, fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """What 3D Slicer runs. VTK lists x first."""
    volume = vtk.vtkImageData()
    volume.SetDimensions(*SHAPE[::-1])
    volume.SetSpacing(*SPACING_UM[::-1])
    volume.GetPointData().SetScalars(numpy_to_vtk(data.ravel(), deep=False))
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(volume)
    reslice.SetResliceTransform(vtk_spline(fixed[:, ::-1], moving[:, ::-1]))
    reslice.SetInterpolationModeToLinear()
    reslice.SetBackgroundLevel(float("nan"))
    reslice.Update()
    return vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(SHAPE)


def with_field(data: np.ndarray, transform: Transform) -> np.ndarray:
    """SimpleITK through a displacement field sampled at every 8th voxel of a slice, every 2nd z."""
    coarse = Grid.from_spacing((33, 65, 65), tuple(np.array(SPACING_UM) * (2, 8, 8)))
    points = coarse.to_world(np.indices(coarse.shape).reshape(3, -1).T)
    shift = (transform.map(points) - points)[:, ::-1].reshape(*coarse.shape, 3)
    field = sitk.GetImageFromArray(shift, isVector=True)
    field.SetSpacing(coarse.voxel_size_um[::-1])
    source = as_sitk(data)
    map_ = sitk.DisplacementFieldTransform(field)
    return sitk.GetArrayFromImage(sitk.Resample(source, source, map_, sitk.sitkLinear, np.nan))


def with_scipy(data: np.ndarray, fixed: np.ndarray, moving: np.ndarray, some: slice) -> np.ndarray:
    """Some slices."""
    rbf = RBFInterpolator(fixed, moving, kernel="linear", degree=1)
    z = np.arange(SHAPE[0])[some]
    index = np.stack(np.meshgrid(z, *map(np.arange, SHAPE[1:]), indexing="ij"), -1).reshape(-1, 3)
    mapped = GRID.to_index(rbf(GRID.to_world(index.astype(float))))
    found = map_coordinates(data, mapped.T, order=1, cval=np.nan, prefilter=False)
    return found.reshape(len(z), *SHAPE[1:])


def with_itk(data: np.ndarray, fixed: np.ndarray, moving: np.ndarray, some: slice) -> np.ndarray:
    """Some slices."""
    map_ = itk.ThinPlateSplineKernelTransform[itk.D, 3].New()
    for points, placed in (
        (fixed, map_.GetSourceLandmarks()),
        (moving, map_.GetTargetLandmarks()),
    ):
        for k, point in enumerate(points):
            placed.SetPoint(k, itk.Point[itk.D, 3](point[::-1].tolist()))
    map_.ComputeWMatrix()
    volume = itk.image_view_from_array(data)
    volume.SetSpacing(SPACING_UM[::-1])
    found = []
    for z in range(SHAPE[0])[some]:
        filter_ = itk.ResampleImageFilter.New(volume)
        filter_.SetTransform(map_)
        filter_.SetSize([512, 512, 1])
        filter_.SetOutputSpacing(SPACING_UM[::-1])
        filter_.SetOutputOrigin([0.0, 0.0, z * SPACING_UM[0]])
        filter_.SetDefaultPixelValue(float("nan"))
        filter_.Update()
        found.append(itk.array_from_image(filter_.GetOutput())[0])
    return np.array(found)


def slices(image: SpatialImage) -> None:
    """What a live preview shows: another oblique plane every time, at several zooms."""
    fixed, moving = landmarks(100)
    transform = fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions("tps", 0.0)).transform
    rng = np.random.default_rng(1)
    print("a slice of 1,024 x 1,024 through 100 landmarks, a new plane each time")
    for pixel_um in (0.3, 1.2, 2.4, 4.7, 10.0):
        times = []
        for k in range(24):
            normal = rng.normal(size=3) + [4, 0, 0]
            across = np.linalg.qr(np.column_stack([normal, rng.normal(size=(3, 2))]))[0]
            matrix = np.eye(4)
            matrix[:3, :3] = across * pixel_um
            middle = GRID.centre_um + rng.uniform(-50, 50, 3)
            matrix[:3, 3] = middle - matrix[:3, 1:3] @ [511.5, 511.5]
            plane = Grid((1, 1024, 1024), matrix)
            start = time.perf_counter()
            sampler = PullSampler(image, transform, plane, "linear")
            sampler.block(0, (0, 0, 0), plane.shape)
            if k >= 3:
                times.append(time.perf_counter() - start)
        print(
            f"  {pixel_um:5.1f} um a pixel   median {1e3 * statistics.median(times):6.1f} ms   "
            f"slowest {1e3 * max(times):6.1f} ms   proven {sampler.map_error_voxels:.4f} voxels",
            flush=True,
        )


if __name__ == "__main__":
    main()
