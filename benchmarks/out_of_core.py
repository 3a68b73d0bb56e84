"""Warp an OME-Zarr larger than memory: against reading and writing alone, by workers, and killed.

    python benchmarks/out_of_core.py                        # 1 gigavoxel
    python benchmarks/out_of_core.py --gigavoxels 8 --folder /large/disk

Prints throughput against reading plus writing the same arrays (same chunks, shards and codec, no
pyramid), one worker against two, peak resident memory of the whole process tree, and whether a run
that is killed with SIGKILL half-way and run again gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
import zarr

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.transform_files import transform_document, write_document
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.transform import Affine

LIMIT_MB = 1500
N_LANDMARKS = 100


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigavoxels", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--only", nargs="*", choices=["affine", "spline", "workers", "kill"])
    options = parser.parse_args([] if arguments is None else arguments)
    side = round((options.gigavoxels * 2e9) ** (1 / 3) / 64) * 64
    shape = (side // 2, side, side)
    wanted = options.only or ["affine", "spline", "workers", "kill"]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        start = time.perf_counter()
        write_image(_big(shape), folder / "big.ome.zarr")
        gigabytes = np.prod(shape, dtype=float) * 2 / 1e9
        print(f"made {shape} uint16 ({gigabytes:.1f} GB) in {time.perf_counter() - start:.0f} s")
        _write_transforms(folder, shape)
        alone = _read_and_write(folder)
        print(f"{'reading and writing alone, 2 threads':44s} {alone:7.1f} s", flush=True)
        for what in ("affine", "spline"):
            if what in wanted:
                seconds = _warp(folder, what, f"{what}.ome.zarr")
                print(f"{'':44s} x {seconds / alone:.2f} of reading and writing alone")
                shutil.rmtree(folder / f"{what}.ome.zarr")
        if "workers" in wanted:
            one = _warp(folder, "affine", "one.ome.zarr", "--workers", "1")
            two = _warp(folder, "affine", "two.ome.zarr", "--workers", "2")
            same = _checksum(folder / "one.ome.zarr") == _checksum(folder / "two.ome.zarr")
            print(f"{'two workers against one':44s} x {one / two:.2f}   same bytes: {same}")
            shutil.rmtree(folder / "one.ome.zarr")
        if "kill" in wanted:
            _kill_and_go_on(folder)


def _write_transforms(folder: Path, shape: tuple[int, int, int]) -> None:
    size = np.array(shape) * (2.0, 1.0, 1.0)
    angle = np.deg2rad(1.5)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    affine = Affine.from_parts(turn, size / 2 - turn @ (size / 2))
    write_document(transform_document(affine), folder / "affine.json")
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0.05, 0.95, (N_LANDMARKS, 3)) * size
    moving = affine.map(fixed) + rng.normal(0, 5, fixed.shape)
    pairs = LandmarkPairs(tuple(map(str, range(N_LANDMARKS))), fixed, moving)
    spline = fit(pairs, FitOptions("tps", 0.0)).transform
    write_document(transform_document(spline), folder / "spline.json")


def _command(folder: Path, transform: str, out: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "napari_bridgecorr.cli", "warp",
        "--fixed", str(folder / "big.ome.zarr"), "--moving", str(folder / "big.ome.zarr"),
        "--transform", str(folder / f"{transform}.json"), "--dtype", "same",
        "-o", str(folder / out), *more,
    ]  # fmt: skip


def _warp(folder: Path, transform: str, out: str, *more: str) -> float:
    start = time.perf_counter()
    process = psutil.Popen(_command(folder, transform, out, *more), stderr=subprocess.PIPE)
    tree, largest = 0.0, 0.0
    while process.poll() is None:
        sizes = _resident(process)
        tree, largest = max(tree, sum(sizes)), max([largest, *sizes])
        time.sleep(0.05)
    if process.wait() != 0:
        raise SystemExit(process.stderr.read().decode())
    seconds = time.perf_counter() - start
    verdict = "within" if tree <= LIMIT_MB else "ABOVE"
    print(
        f"{' '.join(['warp', transform, *more]):44s} {seconds:7.1f} s   peak {tree:5.0f} MB in all "
        f"processes, {largest:5.0f} MB in one ({verdict} {LIMIT_MB} MB)",
        flush=True,
    )
    return seconds


def _resident(process: psutil.Process) -> list[float]:
    """Megabytes of a process and of all that it started."""
    sizes = []
    try:
        for one in (process, *process.children(recursive=True)):
            sizes.append(one.memory_info().rss / 2**20)
    except psutil.NoSuchProcess:
        pass
    return sizes


def _kill_and_go_on(folder: Path) -> None:
    """Kill a run when half of its blocks are finished, run it again, compare checksums."""
    reference = folder / "two.ome.zarr"
    if not reference.exists():
        _warp(folder, "affine", reference.name)
    unfinished = folder / ".unfinished.killed.ome.zarr"
    n_files = _count_files(reference)
    process = subprocess.Popen(_command(folder, "affine", "killed.ome.zarr"))
    while process.poll() is None and _count_files(unfinished) < n_files / 2:
        time.sleep(0.2)
    process.kill()
    process.wait()
    kept = _count_files(unfinished)
    if not 0 < kept < n_files:
        raise SystemExit(f"the run was not killed in the middle: {kept} of {n_files} files")
    _warp(folder, "affine", "killed.ome.zarr")
    same = _checksum(folder / "killed.ome.zarr") == _checksum(reference)
    print(f"killed at {kept} of {n_files} files, run again: same bytes as undisturbed: {same}")


def _count_files(folder: Path) -> int:
    return sum(1 for p in folder.rglob("*") if p.is_file())


def _checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _read_and_write(folder: Path) -> float:
    """Seconds to copy the full resolution, shard by shard, by zarr alone in two threads."""
    source = zarr.open_array(str(folder / "big.ome.zarr" / "0"), mode="r")
    target = zarr.create_array(
        str(folder / "copy.zarr"), shape=source.shape, dtype=source.dtype, chunks=source.chunks,
        shards=source.shards, compressors=source.compressors, fill_value=0,
    )  # fmt: skip
    size = source.shards or source.chunks
    places = list(np.ndindex(*(-(-n // s) for n, s in zip(source.shape, size, strict=True))))

    def copy(place: tuple[int, ...]) -> None:
        where = tuple(slice(i * s, (i + 1) * s) for i, s in zip(place, size, strict=True))
        target[where] = source[where]

    start = time.perf_counter()
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        list(pool.map(copy, places))
    seconds = time.perf_counter() - start
    shutil.rmtree(folder / "copy.zarr")
    return seconds


def _big(shape: tuple[int, int, int]) -> SpatialImage:
    """A lazy volume with structure at every scale, made chunk by chunk."""

    def block(block_info: dict | None = None) -> np.ndarray:
        where = block_info[None]["array-location"][2:]
        z, y, x = (np.arange(a, b, dtype=np.float32) for a, b in where)
        wave = np.sin(z / 17)[:, None, None] + np.sin(y / 23)[:, None] + np.sin(x / 29)
        rng = np.random.default_rng([a for a, _ in where])
        noise = rng.integers(0, 64, wave.shape, dtype=np.uint16)
        return ((wave + 3) * 500).astype(np.uint16)[None, None] + noise

    chunks = da.core.normalize_chunks((1, 1, 64, 256, 256), (1, 1, *shape))
    data = da.map_blocks(block, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 5, np.uint16))
    grid = Grid.from_spacing(shape, (2.0, 1.0, 1.0))
    return SpatialImage((data,), (grid,), (Channel("signal"),), Source(Path("made"), "made"))


if __name__ == "__main__":
    main(sys.argv[1:])
