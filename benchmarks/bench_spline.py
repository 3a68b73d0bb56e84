"""Fit and evaluate a thin-plate spline: SciPy, VTK."""

from __future__ import annotations

import numpy as np
import vtk
from scipy.interpolate import RBFInterpolator
from timing import best_of, once, show
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.landmarks import LandmarkSet


def landmarks(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy landmarks in a box of 1.2 x 2.4 x 2.4 mm."""
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(0, (1200, 2400, 2400), (n, 3))
    return fixed, fixed + 30 * np.sin(fixed / 500) + rng.normal(size=fixed.shape)


def vtk_spline(fixed: np.ndarray, moving: np.ndarray) -> vtk.vtkThinPlateSplineTransform:
    """VTK's spline from fixed to moving."""

    def points(values: np.ndarray) -> vtk.vtkPoints:
        out = vtk.vtkPoints()
        out.SetDataTypeToDouble()
        out.SetData(numpy_to_vtk(np.ascontiguousarray(values), deep=True))
        return out

    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(points(fixed))
    spline.SetTargetLandmarks(points(moving))
    spline.Update()
    return spline


def vtk_map(spline: vtk.vtkThinPlateSplineTransform, points: np.ndarray) -> np.ndarray:
    """Points through VTK's spline, in one call."""
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetDataTypeToDouble()
    target.SetDataTypeToDouble()
    source.SetData(numpy_to_vtk(points, deep=True))
    spline.TransformPoints(source, target)
    return vtk_to_numpy(target.GetData())


def main() -> None:
    """Print."""
    rng = np.random.default_rng(1)
    for n in (30, 300):
        fixed, moving = landmarks(n)
        pairs = LandmarkSet.from_pairs(fixed, moving).pairs()
        ours, result = best_of(lambda p=pairs: fit(p, FitOptions("tps", 0.0)))
        scipy_s, scipy_spline = best_of(
            lambda f=fixed, m=moving: RBFInterpolator(f, m, kernel="linear", degree=1)
        )
        vtk_s, spline = best_of(lambda f=fixed, m=moving: vtk_spline(f, m))
        show(f"fit {n} landmarks (ours: with diagnostics)", ours, {"SciPy": scipy_s, "VTK": vtk_s})
        auto, _ = best_of(lambda p=pairs: fit(p, FitOptions("tps", "auto")))
        print(f"{f'fit {n} landmarks, smoothing auto':44s} ours {auto:8.3f} s")
        points = rng.uniform(0, (1200, 2400, 2400), (1_000_000, 3))
        ours, mapped = best_of(lambda t=result.transform, p=points: t.map(p))
        scipy_s, by_scipy = once(lambda s=scipy_spline, p=points: s(p))
        vtk_s, by_vtk = once(lambda s=spline, p=points: vtk_map(s, p))
        error = max(np.abs(mapped - by_scipy).max(), np.abs(mapped - by_vtk).max())
        if error > 1e-6:
            raise SystemExit(f"the splines differ by {error} um")
        show(
            f"map 1e6 points through {n} landmarks",
            ours,
            {"SciPy": scipy_s, "VTK": vtk_s},
            f"largest difference {error:.1e} um",
        )
