"""Place, drag and look in a real window over a stack of gigabytes: is it ever in the way?

    python benchmarks/workbench.py                       # 8 gigabytes, written and removed (9 GB)
    python benchmarks/workbench.py --gigabytes 1 --folder /large/disk

A script clicks pairs of landmarks with mouse events in both views, then drags them with the live
overlay on. Printed are how long the window was ever deaf (and where the program was then), how soon
the overlay shows a dragged landmark, and the peak memory, each against what was asked for. On a
machine that does other work, what counts is the processor time that stands beside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.writers import write_image

BLOCKED_MS, MEDIAN_MS, P95_MS, PEAK_MB = 100, 100, 250, 2000
COARSER = 10
MOST_TOLD = 8
TURN_DEG, SHIFT_UM, BEND_UM = 3.0, (12.0, -20.0, 15.0), 15.0


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args([] if arguments is None else arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        side = max(128, round((options.gigabytes * 1e9) ** (1 / 3) / 64) * 64)
        shape = (side // 2, side, side)
        start = time.perf_counter()
        write_image(_moving(shape), folder / "moving.ome.zarr")
        write_image(_fixed(shape), folder / "fixed.ome.zarr")
        _write_truth(folder, shape, options.pairs)
        gigabytes = np.prod(shape, dtype=float) * 2 / 1e9
        seconds = time.perf_counter() - start
        print(f"made {shape} uint16 ({gigabytes:.1f} GB) in {seconds:.0f} s", flush=True)
        _print(_in_window(folder))


def _in_window(folder: Path) -> dict:
    here = Path(__file__).resolve().parent
    command = [here.parent / "tools" / "with_display", sys.executable, here / "work_in_window.py"]
    done = subprocess.run([*command, folder], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the window ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def _print(seen: dict) -> None:
    drags, blocks = np.array(seen["refresh_ms"]), seen["blocks"]
    _line("pairs placed by mouse", f"{seen['pairs']} of {seen['asked']}", seen["all_placed"])
    _line("fit's error at the truth", f"{seen['truth_um']:.1f} um", seen["truth_um"] < BEND_UM)
    for part in ("open", "place", "drag"):
        mine = [b for b in blocks if b["part"] == part]
        longest = max((b["ms"] for b in mine), default=0.0)
        work = max((b["work_ms"] for b in mine), default=0.0)
        n = sum(b["ms"] > BLOCKED_MS for b in mine)
        words = f"{longest:.0f} ms (at work {work:.0f} ms), {n} times above {BLOCKED_MS}"
        _line(f"window deaf, {part}", words, longest <= BLOCKED_MS if part != "open" else None)
    median, p95 = np.median(drags), np.percentile(drags, 95)
    words = f"median {median:.0f} ms, 95 % {p95:.0f} ms of {drags.size} moves"
    _line("overlay after a drag's move", words, median <= MEDIAN_MS and p95 <= P95_MS)
    _line("    processor time of it", f"median {np.median(seen['work_ms']):.0f} ms, all threads")
    _line("overlay while the mouse keeps moving", f"{seen['pictures_per_s']:.1f} pictures a second")
    _line("sharp again after a drag", f"median {np.median(seen['sharp_ms']):.0f} ms")
    memory = ", ".join(f"{k} {v:.0f}" for k, v in seen["memory"].items())
    _line("peak memory", f"{seen['peak_mb']:.0f} MB ({memory})", seen["peak_mb"] <= PEAK_MB)
    worst = [b for b in blocks if b["ms"] > BLOCKED_MS and b["part"] != "open"]
    for block in sorted(worst, key=lambda b: -b["work_ms"])[:MOST_TOLD]:
        print(f"  {block['part']}, {block['ms']:.0f} ms, at work {block['work_ms']:.0f} ms:")
        for stack in block["stacks"]:
            print("      " + " > ".join(stack))


def _line(what: str, seen: str, is_met: bool | None = None) -> None:
    verdict = "" if is_met is None else "met" if is_met else "NOT MET"
    print(f"{what:38s} {seen:52s} {verdict}".rstrip(), flush=True)


def to_fixed(moving_um: np.ndarray, size_um: np.ndarray) -> np.ndarray:
    """The truth: (n, 3) places in the moving image to those in the fixed one, by a turn, a shift
    and a bend."""
    angle, middle = np.deg2rad(TURN_DEG), size_um / 2
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    bend = BEND_UM * np.sin(moving_um[:, [1, 2, 0]] / size_um[[1, 2, 0]] * 2 * np.pi)
    return (moving_um - middle) @ turn.T + middle + np.array(SHIFT_UM) + bend


def to_moving(fixed_um: np.ndarray, size_um: np.ndarray) -> np.ndarray:
    """The truth the other way round."""
    found = fixed_um.copy()
    for _ in range(100):
        found += fixed_um - to_fixed(found, size_um)
    return found


def _write_truth(folder: Path, shape: tuple[int, int, int], n: int) -> None:
    size = np.array(shape) * (2.0, 1.0, 1.0)
    rng = np.random.default_rng(1)
    places = rng.uniform(0.15, 0.85, (200, 3)) * size
    chosen = [0]
    while len(chosen) < n + 10:  # far from each other: one is not clicked for another
        gaps = np.linalg.norm((places[:, None] - places[chosen])[..., 1:] / size[1:], axis=-1)
        chosen.append(int(np.argmax(gaps.min(axis=1))))
    fixed = places[chosen]
    # on slices of the fixed image
    fixed[:, 0] = np.round(fixed[:, 0] / (2.0 * COARSER)) * 2.0 * COARSER
    moving = to_moving(fixed, size)
    found = {
        "fixed": fixed[:n].tolist(),
        "moving": moving[:n].tolist(),
        "fixed_probes": fixed[n:].tolist(),
        "moving_probes": moving[n:].tolist(),
    }
    (folder / "truth.json").write_text(json.dumps(found))


def _structure(fixed_um: np.ndarray) -> np.ndarray:
    """Intensity of the sample at places of the fixed image: structure at every scale."""
    z, y, x = fixed_um[..., 0], fixed_um[..., 1], fixed_um[..., 2]
    coarse = np.sin(z / 61) + np.sin(y / 83) + np.sin(x / 97)
    fine = np.sin(z / 19 + y / 31) * np.sin(x / 23)
    return (coarse + fine + 4) * 400


def _moving(shape: tuple[int, int, int]) -> SpatialImage:
    size = np.array(shape) * (2.0, 1.0, 1.0)

    def block(block_info: dict | None = None) -> np.ndarray:
        where = block_info[None]["array-location"][2:]
        # structure is coarser than two voxels: every second one is worked out
        axes = [np.arange(a, b, 2) * step for (a, b), step in zip(where, (2, 1, 1), strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float64)
        at = to_fixed(grid.reshape(-1, 3), size).reshape(grid.shape)
        rough = _structure(at).astype(np.uint16)
        for axis, (a, b) in enumerate(where):
            rough = np.repeat(rough, 2, axis=axis).take(np.arange(b - a), axis=axis)
        rng = np.random.default_rng([a for a, _ in where])
        return (rough + rng.integers(0, 64, rough.shape, dtype=np.uint16))[None, None]

    chunks = da.core.normalize_chunks((1, 1, 64, 256, 256), (1, 1, *shape))
    data = da.map_blocks(block, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 5, np.uint16))
    return _image(data, shape, (2.0, 1.0, 1.0))


def _fixed(shape: tuple[int, int, int]) -> SpatialImage:
    spacing = (2.0 * COARSER, 1.0 * COARSER, 1.0 * COARSER)
    few = (shape[0] // COARSER, shape[1] // COARSER, shape[2] // COARSER)
    axes = [np.arange(n) * s for n, s in zip(few, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = _structure(grid).astype(np.uint16)
    return _image(da.from_array(values[None, None], chunks=(1, 1, 64, 256, 256)), few, spacing)


def _image(data: da.Array, shape: tuple[int, int, int], spacing: tuple[float, ...]) -> SpatialImage:
    grid = Grid.from_spacing(shape, spacing)
    return SpatialImage((data,), (grid,), (Channel("signal"),), Source(Path("made"), "made"))


if __name__ == "__main__":
    main(sys.argv[1:])
