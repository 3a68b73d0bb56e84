"""Volume-weighted means over MRI voxels, and writing them: SciPy supersampling, pandas."""

from __future__ import annotations

import tempfile
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
from bench_spline import landmarks
from scipy.ndimage import map_coordinates
from timing import best_of, once, show

from napari_bridgecorr.fitting import FitOptions, error_model, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.table_file import write_table
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.voxels import VoxelTable


def main() -> None:
    """Print."""
    rng = np.random.default_rng(0)
    stack = rng.poisson(50, (2, 120, 300, 300)).astype(np.uint16)
    moving = _image(stack, Grid.from_spacing(stack.shape[1:], (10, 8, 8)), ("vessels", "tumour"))
    mri = rng.normal(size=(1, 24, 48, 48)).astype(np.float32)
    fixed = _image(mri, Grid.from_spacing(mri.shape[1:], 50, (24.5, 24.5, 24.5)), ("T2w",))
    pairs = LandmarkSet.from_pairs(*landmarks(30)).pairs()
    transform = fit(pairs, FitOptions("tps", 0.0)).transform
    table = VoxelTable(fixed, moving, transform, error_model(pairs, transform, "tps"))
    ours, rows = best_of(lambda: list(table.rows()))
    samples = table.sampling()["samples_per_voxel_zyx"]

    def by_scipy() -> np.ndarray:
        index = np.indices(fixed.grid.shape).reshape(3, -1).T
        offsets = (np.arange(5) + 0.5) / 5 - 0.5
        total = np.zeros((2, len(index)))
        for z in offsets:
            for y in offsets:
                for x in offsets:
                    world = fixed.grid.to_world(index + np.array([z, y, x]))
                    where = moving.grid.to_index(transform.map(world)).T
                    for c in range(2):
                        total[c] += map_coordinates(
                            stack[c], where, output=np.float32, order=1, cval=np.nan
                        )
        return total / 125

    scipy_s, other = once(by_scipy)
    known = np.isfinite(other[0])
    agreement = np.corrcoef(other[0][known], rows[0]["vessels"][known])[0, 1]
    show(
        f"means over 55,296 voxels, 2 channels ({'x'.join(map(str, samples))} samples)",
        ours,
        {"SciPy 5x5x5": scipy_s},
        f"correlation {agreement:.4f} (white noise, different samples)",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        frame = pd.DataFrame({k: np.tile(v, 20) for k, v in rows[0].items()})
        wide = _Rows(table, {k: np.tile(v, 20) for k, v in rows[0].items()})
        for ending, by_pandas in (
            ("parquet", lambda: frame.to_parquet(path / "p.parquet", compression="zstd")),
            ("csv", lambda: frame.to_csv(path / "p.csv", index=False)),
        ):
            ours, _ = best_of(lambda e=ending: write_table(wide, path / f"o.{e}", {}), 2)
            pandas_s, _ = best_of(by_pandas, 1)
            show(f"write 1.1 million rows as {ending}", ours, {"pandas": pandas_s})


class _Rows:
    """Rows that are there already, in the shape of a voxel table."""

    def __init__(self, table: VoxelTable, rows: dict[str, np.ndarray]) -> None:
        self.columns, self.channel_columns = table.columns, table.channel_columns
        self._rows = rows

    def slabs(self) -> list[int]:
        return [0]

    def rows(self) -> list[dict[str, np.ndarray]]:
        return [self._rows]

    def sampling(self) -> dict[str, object]:
        return {}


def _image(data: np.ndarray, grid: Grid, names: tuple[str, ...]) -> SpatialImage:
    level = da.from_array(data[None], chunks=(1, 1, 32, 256, 256))
    channels = tuple(Channel(n) for n in names)
    return SpatialImage((level,), (grid,), channels, Source(Path("memory"), "memory", axes="czyx"))
