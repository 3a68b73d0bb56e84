"""What must not matter: blocks, bricks, threads. What must: only what is needed is read."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import dask.array as da
import numba
import numpy as np
import pytest
from resampling_samples import bent, image_of, rotation_about, smooth_noise

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.resampling import PullSampler, resample, sampler
from napari_bridgecorr.transform import Affine, Chain, DisplacementField, Transform
from napari_bridgecorr.voxel_source import in_memory

FIXED = Grid.from_spacing((4, 6, 5), (4.1, 3.1, 3.7), (-1, 0, 1))


def transforms() -> dict[str, Transform]:
    inner = Grid.from_spacing((4, 5, 5), (2.0, 2.5, 2.0), (2, 3, 4))
    bend = bent(FIXED, 1.0)
    turn = rotation_about((7, 7, 7), (1, 2, 3), 25)
    return {
        "affine": turn,
        "spline": bend,
        "field": DisplacementField.sample(bend, inner),
        "chain": Chain(turn, bend),
    }


def computed(which: str, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
    data = np.stack([smooth_noise((16, 17, 18), 0.5, seed) for seed in (0, 1)])
    data[0, 3:5, 6, 7] = np.nan
    image = image_of(data, chunks=(1, 1, 16, 17, 9))
    pull = PullSampler(image, transforms()[which], FIXED, interpolation)
    block = pull.block(0, (0, 0, 0), FIXED.shape)
    return block.values, block.coverage


@pytest.mark.parametrize(
    ("which", "interpolation"),
    [
        ("affine", "linear"),
        ("affine", "mean"),
        ("spline", "mean"),
        ("field", "nearest"),
        ("field", "mean"),
        ("chain", "linear"),
    ],
)
def test_neither_blocks_nor_bricks_nor_threads_change_a_digit(
    which: str, interpolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, coverage = computed(which, interpolation)
    assert np.isfinite(expected).sum() > 30
    threads = numba.get_num_threads()
    for region, samples, workers in [(3000, 100_000, threads), (10**9, 3000, 1)]:
        monkeypatch.setattr(sampler, "_MAX_REGION", region)
        monkeypatch.setattr(sampler, "_MAX_SAMPLES", samples)
        numba.set_num_threads(workers)
        try:
            found, found_coverage = computed(which, interpolation)
        finally:
            numba.set_num_threads(threads)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(found_coverage, coverage)


def test_a_voxel_of_more_samples_than_a_brick(monkeypatch: pytest.MonkeyPatch) -> None:
    data = smooth_noise((16, 17, 18), 0.5)
    pull = PullSampler(image_of(data), transforms()["affine"], FIXED, "mean")
    expected = pull.block(0, (1, 2, 2), (2, 3, 4))
    monkeypatch.setattr(sampler, "_MAX_SAMPLES", 40)
    found = pull.block(0, (1, 2, 2), (2, 3, 4))
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.coverage, expected.coverage)


@pytest.mark.parametrize("which", ["affine", "spline", "field", "chain"])
def test_any_part_asked_for_alone_is_that_part_of_the_whole(which: str) -> None:
    data = smooth_noise((16, 17, 18), 0.5)
    pull = PullSampler(image_of(data), transforms()[which], FIXED, "mean")
    whole = pull.block(0, (0, 0, 0), FIXED.shape).values
    rng = np.random.default_rng(0)
    for _ in range(10):
        start = rng.integers(0, FIXED.shape)
        stop = rng.integers(start + 1, np.asarray(FIXED.shape) + 1)
        part = pull.block(0, start.tolist(), stop.tolist()).values
        where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        np.testing.assert_array_equal(part, whole[(slice(None), *where)])


def test_a_map_that_bends_between_the_lattice_points_is_read_whole() -> None:
    """A narrow, tall bump that the corner lattice of a block does not see."""
    grid = Grid.from_spacing((1, 1, 81), 1.0)
    displacement = np.zeros((3, 1, 1, 81))
    displacement[2, 0, 0, 8:13] = 300.0  # between lattice points at 0 and 20
    field = DisplacementField(grid, displacement)
    data = np.arange(400, dtype=np.float32).reshape(1, 1, 400)
    image = image_of(data, chunks=(1, 1, 1, 1, 50))
    found = PullSampler(image, field, grid, "linear").block(0, (0, 0, 0), (1, 1, 81)).values
    expected = np.arange(81) + displacement[2, 0, 0]
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-4)


def test_a_gentle_bend_reads_little_more_than_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read holds every sample, and ends a few voxels beyond the outermost ones."""
    rng = np.random.default_rng(0)
    grid = Grid.from_spacing((160, 160, 160), 1.0)
    fixed = rng.uniform(0, 160, (40, 3))
    moving = fixed + rng.normal(0, 1, fixed.shape)
    pairs = LandmarkPairs(tuple(map(str, range(40))), fixed, moving)
    spline = fit(pairs, FitOptions("tps", 0.0)).transform
    boxes = []
    read = PullSampler._read

    def noted(self: PullSampler, time: int, box: np.ndarray) -> np.ndarray:
        boxes.append(box)
        return read(self, time, box)

    monkeypatch.setattr(PullSampler, "_read", noted)
    image = image_of(np.zeros(grid.shape, np.uint16))
    start, stop = np.array([40, 50, 60]), np.array([104, 114, 124])
    PullSampler(image, spline, grid, "linear").block(0, start.tolist(), stop.tolist())
    (box,) = boxes  # nothing was missed and read again
    voxels = np.stack(np.meshgrid(*map(np.arange, start, stop), indexing="ij"), -1).reshape(-1, 3)
    index = spline.map(voxels.astype(float))
    beyond = np.array([index.min(axis=0) - box[0], box[1] - 1 - index.max(axis=0)])
    assert (beyond >= 0).all()
    assert (beyond < 6).all()


def test_a_block_whose_corners_leave_the_image_may_come_back_into_it() -> None:
    grid = Grid.from_spacing((1, 1, 81), 1.0)
    displacement = np.full((3, 1, 1, 81), 0.0)
    displacement[2] = 120.0
    displacement[2, 0, 0, 8:13] = 0.0
    field = DisplacementField(grid, displacement)
    data = np.arange(100, dtype=np.float32).reshape(1, 1, 100)
    found = (
        PullSampler(image_of(data), field, grid, "linear").block(0, (0, 0, 0), (1, 1, 81)).values
    )
    expected = np.full(81, np.nan)
    expected[8:13] = np.arange(8, 13)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-4)


class CountedChunks:
    """A synthetic image that notes which of its chunks are computed."""

    def __init__(self, shape: tuple[int, int, int], chunk: int) -> None:
        self.read: Counter[tuple[int, ...]] = Counter()
        self._lock = threading.Lock()
        sizes = da.core.normalize_chunks((1, 1, chunk, chunk, chunk), (1, 1, *shape))
        self.data = da.map_blocks(self._make, chunks=sizes, dtype=np.uint16)

    def _make(self, block_info: Any = None) -> np.ndarray:
        place = block_info[None]
        with self._lock:
            self.read[tuple(place["chunk-location"][2:])] += 1
        return np.full(place["chunk-shape"], sum(place["chunk-location"]), np.uint16)


def test_only_needed_chunks_are_read_and_only_when_needed() -> None:
    counted = CountedChunks((80, 80, 80), 20)
    image = image_of(counted.data)
    grid = Grid.from_spacing((10, 10, 10), 1.0, (45, 45, 5))
    result = resample(image, Affine.identity(), grid)
    assert not counted.read
    result.data.compute()
    assert set(counted.read) == {(2, 2, 0)}
    counted.read.clear()
    nothing = Grid.from_spacing((10, 10, 10), 1.0, (500, 0, 0))
    assert np.all(np.isnan(resample(image, Affine.identity(), nothing).data.compute()))
    assert not counted.read


def test_a_field_that_ends_does_not_make_the_whole_image_be_read() -> None:
    counted = CountedChunks((100, 100, 100), 20)
    image = image_of(counted.data)
    domain = Grid.from_spacing((4, 4, 4), 3.0, (3, 3, 3))  # 1.5 to 13.5 um: in the first chunk
    field = DisplacementField(domain, np.zeros((3, 4, 4, 4)))
    grid = Grid.from_spacing((20, 20, 20), 1.0)
    found = resample(image, field, grid).data[0, 0].compute()
    assert np.isfinite(found).sum() == 12**3
    assert set(counted.read) == {(0, 0, 0)}


_GIGAVOXEL = """
import resource, sys
import dask.array as da, numpy as np
from pathlib import Path
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.resampling import resample
from napari_bridgecorr.transform import Affine

def plane(block_info=None):
    place = block_info[None]
    z = np.arange(*place["array-location"][2], dtype=np.uint16)
    out = np.empty(place["chunk-shape"], np.uint16)
    out[...] = z[:, None, None]
    return out

def image(shape, chunk):
    chunks = da.core.normalize_chunks((1, 1, *chunk), (1, 1, *shape))
    data = da.map_blocks(plane, chunks=chunks, dtype=np.uint16)
    return SpatialImage((data,), (Grid.from_spacing(shape, 1.0),), (Channel("c"),),
                        Source(Path("x"), "x"))

def coarse(source, factor):
    grid = source.grid.averaged((factor, factor, factor))
    result = resample(source, Affine.identity(), grid, interpolation=sys.argv[1])
    return result.data[0, 0].compute(scheduler="threads")

side = int(sys.argv[2])
coarse(image((64, 64, 64), (32, 32, 32)), 32)  # libraries and compiled loops are not what counts
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = coarse(image((side, side, side), (64, 256, 256)), 32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
expected = 32 * np.arange(side // 32) + 15.5
assert np.allclose(found, expected[:, None, None], atol=1e-3), found[:, 0, 0]
"""


@pytest.mark.parametrize(("interpolation", "side"), [("linear", 1024), ("mean", 512)])
def test_a_gigavoxel_is_warped_in_bounded_memory(interpolation: str, side: int) -> None:
    """The mean meets every voxel at least once, which takes time: a quarter of that image."""
    result = subprocess.run(
        [sys.executable, "-c", _GIGAVOXEL, interpolation, str(side)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) * 1024 < 500e6


@pytest.mark.parametrize("channels", [None, (1, 2), (2, 0)])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic", "mean"])
def test_an_image_in_memory_is_read_where_it_lies(
    channels: tuple[int, ...] | None, interpolation: str
) -> None:
    data = np.stack([smooth_noise((16, 17, 18), 0.5, seed) for seed in range(6)])
    data = data.astype(np.float32).reshape(2, 3, 16, 17, 18)
    whole = image_of(data, chunks=-1)
    held = in_memory(whole.data)
    assert held is not None
    assert in_memory(image_of(data).data) is None
    assert in_memory(whole.data[:1]) is None
    pulls = [
        PullSampler(image, bent(FIXED, 1.0), FIXED, interpolation, channels)
        for image in (whole, image_of(data))
    ]
    found, expected = (p.block(1, (0, 0, 0), FIXED.shape).values for p in pulls)
    assert np.isfinite(expected).sum() > 30
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(held, data)  # nothing was written into it
