"""Small registrations to report on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from scipy.ndimage import gaussian_filter

from napari_bridgecorr.fitting import FitOptions, error_model, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.report import ReportContents
from napari_bridgecorr.transform import Affine, Transform
from napari_bridgecorr.voxels.table import VoxelTable


def image(
    data: Any, grid: Grid, name: str, channels: tuple[str, ...] = ("signal",), **more: Any
) -> SpatialImage:
    """Image of a (c, z, y, x) array."""
    level = (
        data if isinstance(data, da.Array) else da.from_array(data[None], chunks=(1, 1, 16, 32, 32))
    )
    described = tuple(Channel(c) for c in channels)
    return SpatialImage((level,), (grid,), described, Source(Path(name), "test"), **more)


def truth() -> Affine:
    """A slight turn, stretch and shift."""
    c, s = np.cos(0.1), np.sin(0.1)
    return Affine.from_parts([[1.05, 0, 0], [0, c, s], [0, -s, c]], [30.0, -20.0, 40.0])


def pairs(n: int, transform: Transform, seed: int = 0):
    """Clicked landmarks in the fixed image's box."""
    rng = np.random.default_rng(seed)
    fixed = rng.uniform([0, 0, 0], [350, 750, 750], (n, 3))
    return LandmarkSet.from_pairs(fixed, transform.map(fixed) + rng.normal(0, 8, (n, 3))).pairs()


def make_contents(
    model: str = "tps",
    n: int = 14,
    with_table: bool = True,
    names: tuple[str, str] = ("T2w", "GFP"),
) -> ReportContents:
    """A coarse fixed and a fine moving image of blobs, landmarks and the voxel table."""
    rng = np.random.default_rng(3)
    fixed_grid = Grid.from_spacing((8, 16, 16), 50.0)
    moving_grid = Grid.from_spacing((40, 70, 70), 12.5, (0, -50, 0))
    fixed = gaussian_filter(rng.random((8, 16, 16)), 1.2).astype(np.float32) * 1000
    moving = gaussian_filter(rng.random((40, 70, 70)), 4).astype(np.float32) * 500
    fixed_image = image(fixed[None], fixed_grid, "mouse.nii.gz", (names[0],))
    moving_image = image(
        moving[None], moving_grid, "mouse.czi", (names[1],), warnings=("the lens <b>was</b> warm",)
    )
    landmarks = pairs(n, truth())
    fitted = fit(landmarks, FitOptions(model))
    columns: dict[str, Any] = {}
    table = None
    if with_table:
        error = error_model(landmarks, fitted.transform, model)
        voxels = VoxelTable(fixed_image, moving_image, fitted.transform, error)
        slabs = list(voxels.rows())
        table = {k: np.concatenate([s[k] for s in slabs]) for k in slabs[0]}
        columns = {"fixed_columns": (names[0],), "moving_columns": (names[1],)}
    return ReportContents(
        "Mouse & <script>alert(1)</script>",
        fixed_image,
        moving_image,
        fitted.transform,
        fitted,
        table,
        n_rows=len(table["index"]) if table else None,
        facts={"landmarks": "a<b>.csv", "options": "tps"},
        truth_errors_um=rng.gamma(4, 5, 300),
        **columns,
    )
