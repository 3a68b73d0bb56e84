"""Transforms with known properties, built without the fitting under test where that matters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import (
    Affine,
    Chain,
    DisplacementField,
    ThinPlateSpline,
    Transform,
)

BOX_UM = np.array([600.0, 1000.0, 1000.0])
FIELD_GRID = Grid.from_spacing((9, 12, 13), (100.0, 110.0, 100.0), (-120.0, -80.0, -90.0))


def affine() -> Affine:
    """Turned by about 60 degrees, sheared and moved."""
    rotation = Rotation.from_rotvec((0.4, -0.9, 0.3)).as_matrix()
    shear = np.eye(3) + 0.05 * np.arange(9).reshape(3, 3) / 9
    return Affine.from_parts(rotation @ shear, (250.0, -1300.0, 40.0))


def landmarks(seed: int, n: int, noise_um: float) -> tuple[np.ndarray, np.ndarray]:
    """Fixed and moving landmarks: an affine, a smooth bend of some 40 um, and clicks' noise."""
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(0, 1, (n, 3)) * BOX_UM
    bend = 40 * np.sin(fixed / 400 + rng.uniform(0, 6, 3))[:, [1, 2, 0]]
    return fixed, affine().map(fixed) + bend + rng.normal(0, noise_um, (n, 3))


def spline(
    seed: int = 0, n: int = 30, noise_um: float = 5.0, smoothing: float = 0.0, dimensions: int = 3
) -> ThinPlateSpline:
    """A spline through simulated clicks."""
    fixed, moving = landmarks(seed, n, noise_um)
    if dimensions == 2:
        turned = Rotation.from_rotvec((0.7, 0, 0)).as_matrix()
        rng = np.random.default_rng(seed)
        moving = fixed @ turned.T + (70.0, 400.0, -30.0) + 20 * np.sin(fixed / 300)
        moving += rng.normal(0, noise_um, fixed.shape)
    pairs = LandmarkSet.from_pairs(fixed, moving).pairs()
    result = fit(pairs, FitOptions("tps", smoothing, dimensions)).transform
    assert isinstance(result, ThinPlateSpline)
    return result


def field(dtype: type = np.float64) -> DisplacementField:
    """Displacements of about 15 um on an axis-aligned grid."""
    rng = np.random.default_rng(3)
    return DisplacementField(FIELD_GRID, rng.normal(0, 10, (3, *FIELD_GRID.shape)).astype(dtype))


def oblique_field() -> DisplacementField:
    """A field on a turned grid."""
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_rotvec((0.2, 0.3, -0.4)).as_matrix() * (100.0, 110.0, 100.0)
    turned[:3, 3] = BOX_UM / 2 - turned[:3, :3] @ (9.5, 9.5, 9.5)
    rng = np.random.default_rng(4)
    return DisplacementField(Grid((20, 20, 20), turned), rng.normal(0, 10, (3, 20, 20, 20)))


SAMPLES: dict[str, Callable[[], Transform]] = {
    "affine": affine,
    "spline": spline,
    "smoothed spline": lambda: spline(smoothing=50.0),
    "planar spline": lambda: spline(dimensions=2),
    "field": field,
    "float32 field": lambda: field(np.float32),
    "oblique field": oblique_field,
    "chain": lambda: Chain(field(), spline(), affine()),
    "inverse": lambda: spline().inverse(),
    "inverse of a chain": lambda: Chain(spline(), affine()).inverse(),
}


def inner_points(n: int, seed: int = 7) -> np.ndarray:
    """Points that every sample maps (they lie inside the fields' grids)."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, (n, 3)) * BOX_UM
