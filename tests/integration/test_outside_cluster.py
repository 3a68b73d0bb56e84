"""`--scheduler`: a cluster of somebody else's processes, with a working folder of their own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.cli.console import ConsoleProgress
from napari_bridgecorr.cli.main import main
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io import cluster
from napari_bridgecorr.io.ome_zarr import layout
from napari_bridgecorr.io.transform_files import transform_document, write_document
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.transform import Affine

SHAPE = (24, 64, 60)
# what the commands `dask scheduler` and `dask worker` do, with less to load
SCHEDULER = """
import asyncio
from distributed import Scheduler

async def run():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()

asyncio.run(run())
"""
WORKER = """
import asyncio, sys
from distributed import Worker

async def run():
    async with Worker(sys.argv[1], nthreads=1, dashboard=False) as worker:
        print(worker.address, flush=True)
        await worker.finished()

asyncio.run(run())
"""


@dataclass(frozen=True)
class Outside:
    """Processes that this one did not start for itself."""

    address: str
    scheduler: subprocess.Popen[str]
    workers: tuple[subprocess.Popen[str], ...]


def started(code: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Iterator[Outside]:
    """A scheduler and two workers, elsewhere."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with contextlib.ExitStack() as stack:

        def begin(code: str, *arguments: str) -> subprocess.Popen[str]:
            process = started(code, folder, *arguments)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        scheduler = begin(SCHEDULER)
        address = scheduler.stdout.readline().strip()
        workers = tuple(begin(WORKER, address) for _ in range(2))
        for worker in workers:
            assert worker.stdout.readline().startswith("tcp://")
        yield Outside(address, scheduler, workers)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Images and transform under names that mean nothing to the workers; many small regions."""
    monkeypatch.setattr(layout, "VOLUME_CHUNK", (8, 32, 32))
    monkeypatch.setattr(layout, "BLOCK_BYTES", 2**15)
    monkeypatch.setattr(layout, "MOST_FILES", 50)
    monkeypatch.chdir(tmp_path)
    voxels = np.random.default_rng(1).integers(1, 60000, SHAPE).astype(np.uint16)
    image = SpatialImage(
        (da.from_array(voxels[None, None], chunks=(1, 1, 8, 64, 64)),),
        (Grid.from_spacing(SHAPE, (2.0, 1.0, 1.0)),),
        (Channel("a"),),
        Source(Path("made"), "made", axes="zyx"),
    )
    write_image(image, Path("stack.ome.zarr"))
    write_image(image, Path("stack.nii.gz"))
    write_document(transform_document(Affine(np.diag([1.003, 1.002, 0.998, 1]))), Path("T.json"))
    return tmp_path


def checksum(folder: str) -> str:
    """Of every byte of every file, and of their names."""
    digest = hashlib.sha256()
    for file in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


WARP = ["warp", "--fixed", "stack.ome.zarr", "--moving", "stack.nii.gz", "--transform", "T.json",
        "--dtype", "same", "-o"]  # fmt: skip
CONVERT = ["convert", "stack.ome.zarr"]


def after(steps: int, monkeypatch, what) -> None:
    """Do something when so many regions are finished."""
    left = [steps]
    advance = ConsoleProgress.advance

    def counted(self, n: int = 1) -> None:
        left[0] -= n
        if left[0] == 0:
            what()
        advance(self, n)

    monkeypatch.setattr(ConsoleProgress, "advance", counted)


def test_relative_names_mean_this_folder(outside):
    points = "z_um,y_um,x_um\n20,0,0\n24,0,50\n22,50,0\n25,50,50\n"
    Path("P.csv").write_text(points, encoding="utf-8")
    reslice = ["reslice", "stack.nii.gz", "--points", "P.csv", "--slab", "10", "-o"]
    for command in (CONVERT, reslice):
        assert main([*command, "here.ome.zarr"]) == 0
        assert main([*command, "there.ome.zarr", "--scheduler", outside.address]) == 0
        assert checksum("there.ome.zarr") == checksum("here.ome.zarr")


def test_what_is_lost_in_the_middle(outside, monkeypatch, capfd):
    """A worker: the other one ends the work. Then the scheduler: one line, and nothing is lost."""
    assert main([*WARP, "here.ome.zarr"]) == 0
    far = ["--scheduler", outside.address]
    with monkeypatch.context() as patch:
        after(2, patch, lambda: os.kill(outside.workers[0].pid, signal.SIGKILL))
        assert main([*WARP, "there.ome.zarr", *far]) == 0
    assert checksum("there.ome.zarr") == checksum("here.ome.zarr")
    assert outside.workers[0].wait(10) == -signal.SIGKILL

    monkeypatch.setattr(cluster, "_SECONDS_TO_ANSWER", 0.3)
    capfd.readouterr()
    with monkeypatch.context() as patch:
        after(2, patch, outside.scheduler.kill)
        assert main([*WARP, "again.ome.zarr", *far]) == 1
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("bridgecorr:")]
    assert len(said) == 2  # what is kept, and the error
    assert "the cluster was lost while it worked" in said[1]
    assert main([*WARP, "again.ome.zarr"]) == 0
    assert "going on from an earlier run" in capfd.readouterr().err
    assert checksum("again.ome.zarr") == checksum("here.ome.zarr")


def greet(server: socket.socket) -> None:
    """As a login server does."""
    with contextlib.suppress(OSError):
        server.settimeout(5)
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://127.0.0.1:{closed}", "no scheduler answers at tcp://127.0.0.1"),
        ("tcp://127.0.0.1:{silent}", "(timed out); check the address"),
        ("tcp://127.0.0.1:{other}", "(another program listens there)"),
        ("tcp://no-such-host.invalid:8786", "no scheduler answers at tcp://no-such-host"),
        ("node1", "'node1' is no scheduler's address; write it as tcp://node1:8786"),
        ("tcp://node1:port", "is no scheduler's address"),
        ("tls://127.0.0.1:{closed}", "needs certificates"),
    ],
)
def test_a_wrong_address_is_one_line_soon(address, words, monkeypatch, capfd):
    monkeypatch.setattr(cluster, "_SECONDS_TO_ANSWER", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        place = address.format(
            closed=free, silent=silent.getsockname()[1], other=other.getsockname()[1]
        )
        threading.Thread(target=greet, args=(other,), daemon=True).start()
        assert main([*CONVERT, "far.ome.zarr", "--scheduler", place]) == 1
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if "bridgecorr:" in line] == [said[-1]]
    assert words in said[-1]
    assert not any("Traceback" in line for line in said)
    assert sorted(p.name for p in Path().iterdir()) == ["T.json", "stack.nii.gz", "stack.ome.zarr"]
