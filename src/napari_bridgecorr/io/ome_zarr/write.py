"""Writer of pyramidal OME-Zarr 0.5: memory does not grow with the image, a killed run goes on.

How the levels are cut is in `layout`, how a region is filled in `job`, the metadata in
`attributes`, and what survives a crash in `unfinished`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import WriteError
from ...image import SpatialImage
from ...progress import Progress, Silent
from ..atomic import replacing
from ..long_run import LongRun, no_news
from ..pyramid import pyramid_factors
from ..unfinished import Unfinished, resumable
from .attributes import VERSION, display_windows, file_axes, group_attributes, names_objects
from .job import PyramidJob
from .layout import plan_layout
from .library import writing_versions
from .runners import Piece, Run, run_pieces
from .store import create_group, write_attributes


def write_ome_zarr(
    image: SpatialImage,
    path: Path,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> None:
    """Write an image as pyramidal OME-Zarr 0.5, whole or not at all.

    Parameters
    ----------
    image : SpatialImage
        Its full resolution is computed region by region, once; its own coarser levels are not
        used.
    path : Path
        The folder to make, as ``brain.ome.zarr``.
    progress : Progress
        Advanced once per region; may raise Cancelled. Then nothing is left behind, but for what
        `run` keeps.
    run : LongRun, optional
        Which processes do it, and whether it can be interrupted and gone on with.

    Raises
    ------
    WriteError
        If the type of the voxels cannot be stored, the folder cannot be written to, or another
        process is writing it.
    """
    name = image.source.image_name or path.name.removesuffix(".zarr").removesuffix(".ome")
    plan = _Plan(image, path, "", name)
    with _place(path, [plan], run) as unfinished:
        _fill([plan], path, unfinished, progress or Silent(), run)


def write_collection(
    images: Sequence[SpatialImage],
    path: Path,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> None:
    """Write every image of a file as one OME-Zarr, in the layout of bioformats2raw.

    Parameters
    ----------
    images : sequence of SpatialImage
        At least one. Labels, photographs and overviews keep their roles.
    path : Path
        The folder to make; the images are its groups ``0``, ``1``...
    progress, run
        As for :func:`write_ome_zarr`.

    Raises
    ------
    WriteError
        As :func:`write_ome_zarr`, or if there is no image.
    """
    if not images:
        raise WriteError(path, "there is no image to write", "name a file that holds one")
    names = [image.source.image_name or str(i) for i, image in enumerate(images)]
    plans = [_Plan(image, path, str(i), names[i]) for i, image in enumerate(images)]
    with _place(path, plans, run) as unfinished:
        folder = unfinished.folder
        if not (folder / "zarr.json").exists():
            create_group(folder)
        _fill(plans, path, unfinished, progress or Silent(), run)
        if not (folder / "OME" / "zarr.json").exists():
            create_group(folder / "OME")
        series = [plan.inside for plan in plans]
        write_attributes(folder / "OME", {"ome": {"version": VERSION, "series": series}})
        layout = {"version": VERSION, "bioformats2raw.layout": 3}
        write_attributes(folder, {"ome": layout})


class _Plan:
    """What writing one image takes: its axes, its levels and how they are cut.

    Parameters
    ----------
    image : SpatialImage
    path : Path
        The output, for messages.
    inside : str
        The image's group below the output's folder; "" for the folder itself.
    name : str
        Of the image.
    """

    def __init__(self, image: SpatialImage, path: Path, inside: str, name: str) -> None:
        if image.dtype.kind not in "biuf" or image.dtype.itemsize > 8:
            raise WriteError(path, f"voxels of type {image.dtype} cannot be stored", "convert them")
        self.image = image
        self.inside = inside
        self.name = name
        self.axes = file_axes(image)
        self.steps = pyramid_factors(image.grid.shape, image.grid.voxel_size_um)
        data = image.levels[0]
        self.layout = plan_layout(
            [int(n) for n in data.shape],
            image.dtype.itemsize,
            self.steps,
            joined_channels=data.chunksize[1] > 1,
        )

    def job(self, folder: Path) -> PyramidJob:
        """The pixels, to be written below `folder`."""
        place = folder / self.inside if self.inside else folder
        return PyramidJob(
            self.image, place, self.axes, self.steps, self.layout, names_objects(self.image)
        )

    def stated(self) -> dict[str, Any]:
        """What of the file's bytes does not depend on the pixels."""
        # the windows that the pixels determine are known at the end only
        windows = [(0.0, 1.0)] * len(self.image.channels)
        attributes = group_attributes(self.image, self.name, self.axes, self.steps, windows)
        return {
            "group": self.inside,
            "dtype": self.image.dtype.str,
            "levels": [asdict(level) for level in self.layout.levels],
            "regions": [[stage.size, len(stage.regions)] for stage in self.layout.stages],
            "attributes": attributes,
            "windows": [channel.display_range for channel in self.image.channels],
        }


@contextmanager
def _place(path: Path, plans: Sequence[_Plan], run: LongRun | None) -> Iterator[Unfinished]:
    """A folder that becomes the output at the end."""
    if run is None or run.work is None:
        with replacing(path) as temporary:
            yield Unfinished(temporary, temporary, ())
        return
    identity = {
        **run.work,
        "layout of the output": [plan.stated() for plan in plans],
        "versions of the software": writing_versions(),
    }
    with resumable(path, identity, run.tell, fresh=run.restart) as unfinished:
        yield unfinished


def _fill(
    plans: Sequence[_Plan],
    path: Path,
    unfinished: Unfinished,
    progress: Progress,
    run: LongRun | None,
) -> None:
    """Write all pixels that are not there yet, and the images' metadata."""
    jobs = [plan.job(unfinished.folder) for plan in plans]
    for job in jobs:
        job.create()
    stages = _open_pieces(jobs, unfinished.done)
    progress.begin("writing OME-Zarr", sum(map(len, stages)))
    with run_pieces(jobs, path, unfinished, run or LongRun(tell=no_news)) as runner:
        for pieces in stages:
            _run_stage(runner, pieces, unfinished, progress)
    for plan, job in zip(plans, jobs, strict=True):
        # last of all: a folder without attributes is recognisably unfinished
        windows = display_windows(plan.image, job.arrays[-1], plan.axes)
        attributes = group_attributes(plan.image, plan.name, plan.axes, plan.steps, windows)
        write_attributes(job.folder, attributes)


def _open_pieces(jobs: Sequence[PyramidJob], done: frozenset[str]) -> list[list[Piece]]:
    """Pieces of work that are not done, stage by stage: a stage reads what the one before wrote."""
    n_stages = max(len(job.layout.stages) for job in jobs)
    return [
        [
            piece
            for number, job in enumerate(jobs)
            if stage < len(job.layout.stages)
            for region in range(len(job.layout.stages[stage].regions))
            if (piece := Piece(number, stage, region)).name not in done
        ]
        for stage in range(n_stages)
    ]


def _run_stage(
    runner: Run, pieces: Sequence[Piece], unfinished: Unfinished, progress: Progress
) -> None:
    finished = runner(pieces)
    try:
        for piece, files in finished:
            unfinished.record(piece.name, files)
            progress.advance()
    finally:
        finished.close()
