"""Warp and tabulate a 4-gigavoxel OME-Zarr; resident memory of the command, sampled."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import psutil

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.transform_files import transform_document, write_document
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.transform import Affine

SHAPE = (1000, 2000, 2000)
SPACING_UM = (2.0, 1.0, 1.0)
LIMIT_MB = 1500


def main() -> None:
    """Print."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        start = time.perf_counter()
        write_image(_big(), folder / "big.ome.zarr")
        print(f"made {SHAPE} uint16 in {time.perf_counter() - start:.0f} s")
        coarse = Grid.from_spacing((40, 40, 40), (50.0, 50.0, 50.0), (24.5, 24.5, 24.5))
        write_image(
            _image(da.zeros((1, 1, *coarse.shape), dtype=np.float32), coarse), folder / "mri.nii.gz"
        )
        angle = np.deg2rad(1.5)
        turn = np.array(
            [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]]
        )
        centre = np.array([1000.0, 1000.0, 1000.0])
        affine = Affine.from_parts(turn, centre - turn @ centre)
        write_document(transform_document(affine), folder / "T.json")
        moving = ["--moving", folder / "big.ome.zarr", "--transform", folder / "T.json"]
        _run(
            "warp onto its own grid",
            "warp",
            "--fixed",
            folder / "big.ome.zarr",
            *moving,
            "-o",
            folder / "warped.ome.zarr",
        )
        _run(
            "tabulate over 64,000 MRI voxels",
            "table",
            "--fixed",
            folder / "mri.nii.gz",
            *moving,
            "-o",
            folder / "voxels.parquet",
        )


def _run(what: str, *arguments: object) -> None:
    start = time.perf_counter()
    command = [sys.executable, "-m", "napari_bridgecorr.cli", *map(str, arguments)]
    process = psutil.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    if process.wait() != 0:
        raise SystemExit(f"{what} failed")
    megabytes = peak / 2**20
    verdict = "within" if megabytes <= LIMIT_MB else "ABOVE"
    print(
        f"{what:36s} {time.perf_counter() - start:6.0f} s   peak {megabytes:6.0f} MB "
        f"({verdict} {LIMIT_MB} MB)",
        flush=True,
    )


def _big() -> SpatialImage:
    """A lazy volume with structure at every scale, made chunk by chunk."""

    def block(block_info: dict | None = None) -> np.ndarray:
        where = block_info[None]["array-location"][2:]
        z, y, x = (np.arange(a, b, dtype=np.float32) for a, b in where)
        wave = np.sin(z / 17)[:, None, None] + np.sin(y / 23)[:, None] + np.sin(x / 29)
        rng = np.random.default_rng([a for a, _ in where])
        noise = rng.integers(0, 64, wave.shape, dtype=np.uint16)
        return ((wave + 3) * 500).astype(np.uint16)[None, None] + noise

    chunks = da.core.normalize_chunks((1, 1, 64, 256, 256), (1, 1, *SHAPE))
    data = da.map_blocks(block, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 5, np.uint16))
    return _image(data, Grid.from_spacing(SHAPE, SPACING_UM))


def _image(data: da.Array, grid: Grid) -> SpatialImage:
    return SpatialImage((data,), (grid,), (Channel("signal"),), Source(Path("made"), "made"))
