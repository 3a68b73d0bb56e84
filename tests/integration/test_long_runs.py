"""Large warps: killed and gone on with, by threads and by workers, to identical bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import Cancelled, WriteError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.long_run import LongRun
from napari_bridgecorr.io.ome_zarr import layout
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.transform_files import transform_document, write_document
from napari_bridgecorr.io.unfinished import unfinished_folder
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.transform import Affine, Transform
from napari_bridgecorr.workflow.images import warp

SHAPE = (24, 100, 90)


@pytest.fixture(autouse=True)
def small_regions(monkeypatch):
    """Many regions and shards of a small image."""
    monkeypatch.setattr(layout, "VOLUME_CHUNK", (8, 32, 32))
    monkeypatch.setattr(layout, "BLOCK_BYTES", 2**16)
    monkeypatch.setattr(layout, "MOST_FILES", 50)


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Path:
    """Two channels of structure and noise."""
    rng = np.random.default_rng(1)
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij", sparse=True)
    wave = 2000 * (3 + np.sin(z / 5) + np.sin(y / 9) + np.sin(x / 7))
    voxels = (np.stack([wave, 9000 - wave]) + rng.integers(0, 99, (2, *SHAPE))).astype(np.uint16)
    image = SpatialImage(
        (da.from_array(voxels[None], chunks=(1, 1, 8, 64, 64)),),
        (Grid.from_spacing(SHAPE, (2.0, 1.0, 1.0)),),
        (Channel("a"), Channel("b")),
        Source(Path("made"), "made", axes="czyx"),
    )
    path = tmp_path_factory.mktemp("long") / "moving.ome.zarr"
    write_image(image, path)
    return path


def a_spline(seed: int = 0) -> Transform:
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(0, 1, (12, 3)) * np.array([48.0, 100.0, 90.0])
    names = tuple(map(str, range(12)))
    pairs = LandmarkPairs(names, fixed, fixed + rng.normal(0, 3, fixed.shape))
    return fit(pairs, FitOptions("tps", 0.0)).transform


def checksum(folder: Path) -> str:
    """Of every byte of every file, and of their names."""
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


class Interrupting:
    """Cancels after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.total = 0

    def begin(self, _task: str, total: int) -> None:
        self.total = total

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left == 0:
            raise Cancelled


def run_warp(moving: Path, out: Path, progress=None, run=None, transform=None, **options):
    image = open_image(str(moving))
    warp(image, image, transform or a_spline(), out, dtype="same", progress=progress, run=run,
         **options)  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(moving, tmp_path_factory) -> str:
    """Checksum of a run of one thread that nothing disturbed, and that keeps nothing."""
    out = tmp_path_factory.mktemp("undisturbed") / "out.ome.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "VOLUME_CHUNK", (8, 32, 32))
        patch.setattr(layout, "BLOCK_BYTES", 2**16)
        patch.setattr(layout, "MOST_FILES", 50)
        run_warp(moving, out)
    return checksum(out)


KILLED = """
import os, sys
from pathlib import Path
from napari_bridgecorr.cli.main import main
from napari_bridgecorr.cli.console import ConsoleProgress
from napari_bridgecorr.io.ome_zarr import layout

layout.VOLUME_CHUNK, layout.BLOCK_BYTES, layout.MOST_FILES = (8, 32, 32), 2**16, 50
steps = int(sys.argv[1])

def advance(self, n=1):
    global steps
    steps -= n
    if steps == 0:
        os.kill(os.getpid(), 9)

ConsoleProgress.advance = advance
sys.exit(main(sys.argv[2:]))
"""


def test_a_run_killed_twice_ends_in_the_same_bytes(moving, undisturbed, tmp_path):
    out, spline = tmp_path / "out.ome.zarr", tmp_path / "T.json"
    write_document(transform_document(a_spline()), spline)
    arguments = [
        "warp", "--fixed", str(moving), "--moving", str(moving), "--transform", str(spline),
        "--dtype", "same", "-o", str(out),
    ]  # fmt: skip
    for steps in (5, 9):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(steps), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert killed.returncode == -9, killed.stderr
        assert not out.exists()
        assert unfinished_folder(out).is_dir()
    assert "going on from an earlier run: 5 blocks are finished" in killed.stderr
    assert main(arguments) == 0
    assert checksum(out) == undisturbed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["T.json", "out.ome.zarr"]


def test_cancelling_keeps_what_is_finished_and_says_so(moving, undisturbed, tmp_path):
    out, told = tmp_path / "out.ome.zarr", []
    run = LongRun(tell=told.append)
    first = Interrupting(6)
    with pytest.raises(Cancelled):
        run_warp(moving, out, first, run)
    assert f"kept in {unfinished_folder(out)}" in told[-1]
    # other input, transform or options start over, each under its name
    with pytest.raises(Cancelled):
        run_warp(moving, out, Interrupting(3), run, transform=a_spline(1))
    assert told[-2] == "starting over: the transform differs from the earlier run's"
    with pytest.raises(Cancelled):
        run_warp(moving, out, Interrupting(3), run, transform=a_spline(1), interpolation="nearest")
    assert told[-2] == "starting over: options differs from the earlier run's"
    with pytest.raises(Cancelled):
        run_warp(moving, out, Interrupting(4), run)
    rest = Interrupting(-1)
    run_warp(moving, out, rest, run)
    assert told[-1].startswith("going on from an earlier run: 4 ")
    assert rest.total == first.total - 4
    assert checksum(out) == undisturbed


def test_a_changed_input_starts_over(moving, tmp_path):
    import os
    import shutil

    copy, out, told = tmp_path / "copy.ome.zarr", tmp_path / "out.ome.zarr", []
    shutil.copytree(moving, copy)
    with pytest.raises(Cancelled):
        run_warp(copy, out, Interrupting(3), LongRun(tell=told.append))
    chunk = next(p for p in (copy / "0").rglob("*") if p.is_file() and p.name != "zarr.json")
    os.utime(chunk, ns=(0, 0))
    run_warp(copy, out, None, LongRun(tell=told.append))
    assert told[-1] == "starting over: the moving image differs from the earlier run's"


def test_the_default_type_keeps_nan_and_whole_files_are_never_split(moving, tmp_path):
    out, image = tmp_path / "out.ome.zarr", open_image(str(moving))
    lazy = warp(image, image, a_spline(), out)
    (back,) = (open_image(str(out)),)
    assert back.dtype == np.float32
    assert len(back.levels) == 1 or back.levels[1].shape[2:] != back.levels[0].shape[2:]
    expected = lazy.data.compute(scheduler="sync")
    assert np.isnan(expected).any()
    assert np.array_equal(back.data.compute(scheduler="sync"), expected, equal_nan=True)


def test_workers_write_the_same_bytes_and_go_on_with_threads_work(moving, undisturbed, tmp_path):
    out, told = tmp_path / "out.ome.zarr", []
    with pytest.raises(Cancelled):
        run_warp(moving, out, Interrupting(4), LongRun(tell=told.append))
    run_warp(moving, out, None, LongRun(workers=2, tell=told.append))
    assert told[-1].startswith("going on from an earlier run: 4 ")
    assert checksum(out) == undisturbed
    assert list(tmp_path.iterdir()) == [out]


def deadly(shape: tuple[int, ...], what: str) -> SpatialImage:
    """An image whose reading kills the process, or fails with an error."""

    def block(block_info=None):  # noqa: ARG001
        import os

        if what == "die":
            os.kill(os.getpid(), 9)
        raise OSError(28, "No space left on device")

    data = da.map_blocks(block, chunks=((1,), (1,), *((n,) for n in shape)), dtype=np.uint8,
                         meta=np.empty((0,) * 5, np.uint8))  # fmt: skip
    source = Source(Path("made"), "made", axes="zyx")
    return SpatialImage((data,), (Grid(shape, np.eye(4)),), (Channel("a"),), source)


def test_a_dying_worker_is_one_line(tmp_path, capfd):
    out = tmp_path / "out.ome.zarr"
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(WriteError, match="a worker process died again and again") as caught,
    ):
        write_image(deadly((4, 40, 40), "die"), out, None, LongRun({"n": 1}, workers=1))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path):
    out = tmp_path / "out.ome.zarr"
    with pytest.raises(WriteError, match="No space left on device; check the disk space"):
        write_image(deadly((4, 40, 40), "fail"), out, None, LongRun({"n": 1}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "2", "--scheduler", "tcp://a:1"], "not allowed with argument"),
        (["--workers", "0"], "'0' is not a number of processes"),
    ],
)
def test_wrong_use_is_told(moving, tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit):
        main(["convert", str(moving), str(tmp_path / "a.ome.zarr"), *arguments])
    assert words in capsys.readouterr().err


def test_other_formats_are_not_written_by_workers(moving, tmp_path, capsys):
    assert main(["convert", str(moving), str(tmp_path / "a.ome.tif"), "--workers", "2"]) == 1
    assert "only OME-Zarr is written by several processes" in capsys.readouterr().err


def test_an_affine_by_two_levels_equals_means_of_the_whole(moving, tmp_path):
    """Levels computed region by region are those of the whole image."""
    from napari_bridgecorr.io.pyramid import mean_downsample, pyramid_factors

    out, image = tmp_path / "out.ome.zarr", open_image(str(moving))
    warp(image, image, Affine.identity(), out, dtype="same")
    back = open_image(str(out))
    steps = pyramid_factors(image.grid.shape, image.grid.voxel_size_um)
    level = image.data.compute(scheduler="sync")
    assert np.array_equal(back.data.compute(scheduler="sync"), level)
    for number, factors in enumerate(steps, start=1):
        level = mean_downsample(level, factors)
        assert np.array_equal(back.levels[number].compute(scheduler="sync"), level)


def test_blocks_of_zeros_are_written_and_recorded(tmp_path):
    """An absent chunk would mean a damaged copy."""
    shape, out = (16, 70, 70), tmp_path / "out.ome.zarr"
    data = da.zeros((1, 1, *shape), chunks=(1, 1, 8, 35, 35), dtype=np.uint8)
    source = Source(Path("made"), "made", axes="zyx")
    image = SpatialImage((data,), (Grid(shape, np.eye(4)),), (Channel("a"),), source)
    write_image(image, out, None, LongRun({"n": 1}))
    n_chunks = 2 * 3 * 3
    assert sum(p.is_file() for p in (out / "0" / "c").rglob("*")) == n_chunks
