"""Who does the pieces of a job: threads of this process, or processes of a cluster."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

from ...errors import BridgecorrError, WriteError, one_line
from .. import decoded
from ..long_run import LongRun
from ..unfinished import Unfinished
from .job import PyramidJob

if TYPE_CHECKING:
    from ..cluster import Cluster

WORKER_CACHE_BYTES = 144 * 2**20
"""Decoded chunks of the source that each worker keeps."""

CACHE_BYTES = 320 * 2**20
"""Decoded chunks of the source that the threads of one process keep."""

MEMORY_BYTES = 600 * 2**20
"""About what the regions of all threads may take together."""

# of a region's size: its voxels, its compressed voxels, what they are computed from
_COPIES = 2.5


@dataclass(frozen=True)
class Piece:
    """One region of one stage of one job."""

    job: int
    stage: int
    region: int

    @property
    def name(self) -> str:
        """As the journal has it."""
        return f"{self.job}/{self.stage}/{self.region}"


Finished = Generator[tuple[Piece, list[Path]], None, None]
Run = Callable[[Sequence[Piece]], Finished]
"""Gives each piece when it is finished, with its files; closing it stops the rest."""


@contextmanager
def run_pieces(
    jobs: Sequence[PyramidJob], path: Path, unfinished: Unfinished, run: LongRun
) -> Iterator[Run]:
    """A way to run pieces of the jobs.

    Raises
    ------
    WriteError
        If the workers that `run` asks for cannot be had.
    """
    if not run.is_distributed:
        size = _COPIES * _largest(jobs)
        n_threads = max(1, min(os.cpu_count() or 1, int(MEMORY_BYTES / size)))
        with decoded.kept(CACHE_BYTES):
            yield lambda pieces: _in_threads(jobs, pieces, n_threads)
        return
    from ..cluster import cluster

    # workers have working folders of their own
    shared = Path(os.path.abspath(unfinished.root))  # noqa: PTH100 - links stay
    recipe, digest = _write_recipe(jobs, path, shared)
    try:
        with cluster(run, path, shared) as workers:
            yield lambda pieces: _on_cluster(workers, recipe, digest, unfinished.root, pieces)
    finally:
        recipe.unlink(missing_ok=True)


def _on_cluster(
    workers: Cluster, recipe: Path, digest: str, root: Path, pieces: Sequence[Piece]
) -> Finished:
    tasks = [(str(recipe), digest, p.job, p.stage, p.region) for p in pieces]
    finished = workers.run(run_by_recipe, tasks)
    try:
        for number, files in finished:
            yield pieces[number], [root / name for name in files]
    finally:
        finished.close()


def run_by_recipe(recipe: str, digest: str, job: int, stage: int, region: int) -> list[str]:
    """What a worker does: one piece of the jobs in a file that :func:`_write_recipe` wrote.

    Returns
    -------
    list of str
        The files that it wrote, relative to the recipe's folder.

    Raises
    ------
    WriteError
        If the file is another one than the caller wrote.
    """
    jobs = _RECIPES.get(digest)
    if jobs is None:
        content = Path(recipe).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise WriteError(recipe, "was changed by something else", "run the same again")
        jobs = pickle.loads(content)
        _RECIPES.clear()
        _RECIPES[digest] = jobs
    try:
        with decoded.kept(WORKER_CACHE_BYTES):
            files = jobs[job].run(stage, region)
    except BridgecorrError as error:
        # what libraries raised before it cannot always travel, and would keep it here
        error.__context__ = None
        raise error from None
    folder = Path(recipe).parent
    return [file.relative_to(folder).as_posix() for file in files]


_RECIPES: dict[str, list[PyramidJob]] = {}


class _RecipePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Writes paths in full: the readers' and the output's are often relative to a working folder
    that workers do not share."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, Path) and not thing.is_absolute():
            return Path, (os.path.abspath(thing),)  # noqa: PTH100 - links stay
        return super().reducer_override(thing)


def _write_recipe(jobs: Sequence[PyramidJob], path: Path, folder: Path) -> tuple[Path, str]:
    """The jobs in a file for the workers, and its checksum."""
    try:
        stream = io.BytesIO()
        _RecipePickler(stream).dump(list(jobs))
        content = stream.getvalue()
    except (TypeError, ValueError, AttributeError, pickle.PicklingError) as error:
        raise WriteError(
            path,
            f"images of this format cannot be read by other processes ({one_line(error)})",
            "leave out --workers, or convert the image to .ome.zarr first",
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    recipe = folder / f"recipe-{digest[:12]}.pickle"
    recipe.write_bytes(content)
    return recipe, digest


def _largest(jobs: Sequence[PyramidJob]) -> int:
    """Bytes of the largest region of any job."""
    sizes = []
    for job in jobs:
        for stage in job.layout.stages:
            region = stage.regions[0]
            n_channels = region.channels[1] - region.channels[0]
            voxels = np.prod(np.subtract(region.stop, region.start))
            sizes.append(int(voxels) * n_channels * job.image.dtype.itemsize)
    return max(sizes)


def _in_threads(jobs: Sequence[PyramidJob], pieces: Sequence[Piece], n_threads: int) -> Finished:
    def work(piece: Piece) -> tuple[Piece, list[Path]]:
        return piece, jobs[piece.job].run(piece.stage, piece.region)

    waiting = iter(pieces)
    with ThreadPoolExecutor(n_threads, thread_name_prefix="region") as pool:
        running: set[Future[tuple[Piece, list[Path]]]] = set()
        try:
            while True:
                for piece in islice(waiting, n_threads + 1 - len(running)):
                    running.add(pool.submit(work, piece))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()
