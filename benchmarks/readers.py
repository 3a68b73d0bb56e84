"""Read CZI files: planes and tiles beside pylibCZIrw, czifile and tifffile; a first picture.

The big file has 8.6 gigabytes at full resolution and a pyramid. It is written by streaming into a
temporary folder (`--folder`, 12 GB) and goes again. ``--small`` leaves it out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import czifile
import numpy as np
import psutil
import tifffile
from pylibCZIrw import czi as pyczi
from timing import best_of, once, show

from napari_bridgecorr.io.czi.write import SceneToWrite, write_scenes
from napari_bridgecorr.io.registry import open_image

TILE_PX = 512
N_TILES = 200
BIG_PX = 65_536
SPACING_UM = (1.0, 0.5, 0.5)
FIRST_PICTURE_S, RESIDENT_MB, AT_MOST = 2.0, 500, 1.2


class Made:
    """A plane (t, c, z, y, x) of structure and noise, made where it is asked for.

    Parameters
    ----------
    side_px : int
    """

    dtype = np.dtype(np.uint16)
    ndim = 5

    def __init__(self, side_px: int) -> None:
        self.shape: tuple[int, ...] = (1, 1, 1, side_px, side_px)
        self._noise = np.random.default_rng(0).poisson(90, (2048, 2048)).astype(np.uint16)

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        if len(key) == 3:  # the plane, still to be made
            plane = object.__new__(Made)
            plane.shape, plane._noise = self.shape[3:], self._noise
            return plane
        y, x = (np.arange(*k.indices(n)) for k, n in zip(key, self.shape, strict=True))
        waves = (400 * (1.1 + np.sin(y / 700)))[:, None] * (1.1 + np.sin(x / 900))
        shift = (int(y[0]) * 7 + int(x[0]) * 3) % 1024 if y.size and x.size else 0
        return waves.astype(np.uint16) + self._noise[shift : shift + y.size, : x.size]


def main(arguments: list[str] | None = None) -> None:
    """Print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="leave out the big file")
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made")
    options = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        _stack(folder)
        for is_compressed in (False, True):
            path = folder / ("zstd.czi" if is_compressed else "plain.czi")
            _write(path, 8192, is_compressed)
            _tiles(path, "zstd" if is_compressed else "uncompressed")
            path.unlink()
        if not options.small:
            path = folder / "big.czi"
            _write(path, BIG_PX, is_compressed=False)
            _tiles(path, f"{path.stat().st_size / 2**30:.1f} GiB")
            _first_picture(path)


def _stack(folder: Path) -> None:
    rng = np.random.default_rng(0)
    data = rng.poisson(40, (1, 2, 40, 1024, 1024)).astype(np.uint16)
    path, tiff = folder / "stack.czi", folder / "stack.tif"
    # czifile knows no zstd
    write_scenes(path, [SceneToWrite(data)], SPACING_UM, ["a", "b"], is_compressed=False)
    tifffile.imwrite(tiff, data[0].swapaxes(0, 1), imagej=True, metadata={"axes": "ZCYX"})
    image, as_tiff = open_image(path), open_image(tiff)

    def direct() -> np.ndarray:
        with pyczi.open_czi(str(path)) as file:
            planes = [
                [file.read(plane={"C": c, "Z": z, "T": 0})[..., 0] for z in range(40)]
                for c in range(2)
            ]
        return np.array(planes)[None]

    ours_s, read = best_of(lambda: image.data.compute(scheduler="threads"))
    direct_s, by_library = best_of(direct)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        czifile_s, by_czifile = once(lambda: czifile.imread(str(path)))
    if not (np.array_equal(read, data) and np.array_equal(by_library, data)):
        raise SystemExit("the stacks read differ from the one written")
    found = np.squeeze(by_czifile)
    if found.shape[:2] == (40, 2):  # it lists the axes as a tile does
        found = found.swapaxes(0, 1)
    same = np.array_equal(found, data[0])
    show(
        "CZI 1024 x 1024 x 40 x 2, uncompressed",
        ours_s,
        {"pylibCZIrw": direct_s, "czifile": czifile_s},
        "equal" if same else "czifile reads other pixels",
    )
    ours_s, read = best_of(lambda: as_tiff.data.compute(scheduler="threads"))
    tifffile_s, by_tifffile = best_of(lambda: tifffile.imread(tiff))
    if not (np.array_equal(read, data) and np.array_equal(by_tifffile.swapaxes(0, 1), data[0])):
        raise SystemExit("the TIFF stacks read differ from the one written")
    show("TIFF of the same", ours_s, {"tifffile": tifffile_s}, "equal")


def _write(path: Path, side_px: int, is_compressed: bool) -> None:
    start = time.perf_counter()
    write_scenes(
        path, [SceneToWrite(Made(side_px))], SPACING_UM, ["signal"], is_compressed=is_compressed
    )
    took_s, size = time.perf_counter() - start, path.stat().st_size
    print(
        f"wrote {side_px} x {side_px}, {size / 2**30:.2f} GiB with its pyramid, in {took_s:.0f} s",
        flush=True,
    )


def _tiles(path: Path, what: str) -> None:
    """The same windows by both, which of them goes first taking turns."""
    image = open_image(path)
    rng = np.random.default_rng(1)
    limit = np.array(image.data.shape[3:]) - TILE_PX
    corners = [(int(y), int(x)) for y, x in rng.integers(0, limit, (N_TILES, 2))]

    def ours(y: int, x: int) -> np.ndarray:
        return image.read(0, (0, 0, 0, y, x), (1, 1, 1, y + TILE_PX, x + TILE_PX))[0, 0, 0]

    def by_dask(y: int, x: int) -> np.ndarray:
        return np.asarray(image.data[0, 0, 0, y : y + TILE_PX, x : x + TILE_PX].compute())

    with pyczi.open_czi(str(path)) as file:

        def direct(y: int, x: int) -> np.ndarray:
            found = file.read(roi=(x, y, TILE_PX, TILE_PX), plane={"C": 0, "Z": 0, "T": 0})
            return found[..., 0]

        for y, x in corners:  # both warm, and equal
            if not np.array_equal(ours(y, x), direct(y, x)):
                raise SystemExit(f"the tile at {(y, x)} differs from pylibCZIrw's")
        readers = [ours, direct, by_dask]
        took_s = np.zeros((len(readers), N_TILES))
        for i, corner in enumerate(corners):
            for k in np.roll(range(len(readers)), i):
                start = time.perf_counter()
                readers[k](*corner)
                took_s[k, i] = time.perf_counter() - start
    ours_s, direct_s, dask_s = took_s.sum(axis=1)
    ratio = ours_s / direct_s
    show(
        f"{N_TILES} random tiles of {TILE_PX} x {TILE_PX} ({what})",
        ours_s,
        {"pylibCZIrw": direct_s, "ours by dask": dask_s},
        f"{ratio:.2f} x pylibCZIrw ({'within' if ratio <= AT_MOST else 'ABOVE'} {AT_MOST})",
    )


def _first_picture(path: Path) -> None:
    """Open the file in a napari window of its own process."""
    here = Path(__file__).resolve().parent
    command = [here.parent / "tools" / "with_display", sys.executable, here / "first_picture.py"]
    done = subprocess.run(
        [*map(str, command), str(path)], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"no picture: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    after = found["resident_mb"]
    print(
        f"napari: first picture after {found['seconds']:.2f} s "
        f"({'within' if found['seconds'] <= FIRST_PICTURE_S else 'ABOVE'} {FIRST_PICTURE_S:g} s; "
        f"{found['cpu_seconds']:.2f} s of processor time), "
        f"resident {found['resident_before_mb']:.0f} MB before, {after:.0f} MB after, peak "
        f"{found['peak_mb']:.0f} MB ({'within' if after <= RESIDENT_MB else 'ABOVE'} "
        f"{RESIDENT_MB} MB); {psutil.virtual_memory().total / 2**30:.0f} GiB of memory here",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
