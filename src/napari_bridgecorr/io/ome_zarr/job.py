"""Filling a pyramid's arrays region by region: what one thread or one worker does. Picklable."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...image import AXES, SpatialImage
from ...voxel_source import VoxelSource, source_of
from ..pyramid import Factors, mean_downsample
from .layout import PLANE_CHUNK, VOLUME_CHUNK, Layout, Region, Slices
from .store import create_array, create_group, open_written

Keep = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class PyramidJob:
    """The pixels of one image's pyramid, to be written in a folder.

    Parameters
    ----------
    image : SpatialImage
        Only its full resolution is used.
    folder : Path
        The group.
    axes : str
        The file's axes, of ``tczyx``.
    steps : sequence of (fz, fy, fx)
        From each level to the next.
    layout : Layout
    labels : bool
        Levels are made of commonest values instead of means.
    """

    image: SpatialImage
    folder: Path
    axes: str
    steps: tuple[Factors, ...]
    layout: Layout
    labels: bool

    def __getstate__(self) -> dict[str, Any]:
        image = replace(self.image, levels=self.image.levels[:1], grids=self.image.grids[:1])
        names = ("folder", "axes", "steps", "layout", "labels", "source")
        return {"image": image, **{name: getattr(self, name) for name in names}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def source(self) -> VoxelSource | None:
        """What reads the full resolution without a task graph, where there is that."""
        return source_of(self.image.levels[0])

    def create(self) -> None:
        """Make the group and its arrays, those that are not there yet."""
        if not (self.folder / "zarr.json").exists():
            create_group(self.folder)
        for number, level in enumerate(self.layout.levels):
            if (self.folder / str(number) / "zarr.json").exists():
                continue
            create_array(
                self.folder / str(number),
                kept(level.shape, self.axes),
                self.image.dtype,
                kept(level.chunks, self.axes),
                None if level.shards is None else kept(level.shards, self.axes),
                self.axes,
            )

    @cached_property
    def arrays(self) -> list[Any]:
        """The zarr arrays, one per level."""
        return [open_written(self.folder / str(k)) for k in range(len(self.layout.levels))]

    def run(self, stage_number: int, region_number: int) -> list[Path]:
        """Write one region's files; the same bytes however often it is done.

        Returns
        -------
        list of Path
            The files.
        """
        stage = self.layout.stages[stage_number]
        region = stage.regions[region_number]
        level = stage.source
        coarse, files = self._first_blocks(stage_number, region)
        for level in range(stage.source + 1, stage.last + 1):
            region = region.coarser(self.steps[level - 1])
            assert coarse is not None
            files += self._store(level, region, coarse)
            if level < stage.last:
                coarse = mean_downsample(coarse, self.steps[level], labels=self.labels)
        return files

    def _first_blocks(
        self, stage_number: int, region: Region
    ) -> tuple[NDArray[Any] | None, list[Path]]:
        """Write a region where it is computed now; the next level's voxels, and the files."""
        stage = self.layout.stages[stage_number]
        is_full = stage.first == stage.source
        # a shard is written at once
        whole = None
        if is_full and self.layout.levels[stage.source].shards is not None:
            whole = _empty(region, self.image.dtype)
        coarse, factors = None, (1, 1, 1)
        if stage.last > stage.source:
            factors = self.steps[stage.source]
            coarse = _empty(region.coarser(factors), self.image.dtype)
        files = []
        for box in self._boxes(region, is_full):
            part = self._computed(box) if is_full else self._load(stage.source, box)
            if coarse is not None:
                mean = mean_downsample(part, factors, labels=self.labels)
                coarse[_within(box.coarser(factors), region.coarser(factors))] = mean
            if whole is not None:
                whole[_within(box, region)] = part
            elif is_full:
                files += self._store(stage.source, box, part)
        if whole is not None:
            files = self._store(stage.source, region, whole)
        return coarse, files

    def _boxes(self, region: Region, is_full: bool) -> Iterator[Region]:
        """Parts of a region of about a chunk; as wide as the blocks that the source is read in.

        They begin at multiples of the chunk, so on the borders of the next level's voxels.
        """
        steps = list(PLANE_CHUNK if self.layout.levels[0].shape[2] == 1 else VOLUME_CHUNK)
        if is_full:
            for axis, chunk in enumerate(self.image.levels[0].chunksize[2:]):
                while steps[axis] < min(chunk, region.stop[axis] - region.start[axis]):
                    steps[axis] *= 2
        ranges = [range(a, b, s) for a, b, s in zip(region.start, region.stop, steps, strict=True)]
        for z, y, x in itertools.product(*ranges):
            stop = (
                min(z + steps[0], region.stop[0]),
                min(y + steps[1], region.stop[1]),
                min(x + steps[2], region.stop[2]),
            )
            yield Region(region.time, region.channels, (z, y, x), stop)

    def _computed(self, box: Region) -> NDArray[Any]:
        where = box.slices
        starts, stops = tuple(w.start for w in where), tuple(w.stop for w in where)
        if self.source is not None:
            part = self.source.read(starts, stops)
        else:
            part = self.image.read(0, starts, stops)
        return np.asarray(part, dtype=self.image.dtype)

    def _load(self, level: int, box: Region) -> NDArray[Any]:
        return load(self.arrays[level], self.axes, box.slices)

    def _store(self, level: int, region: Region, block: NDArray[Any]) -> list[Path]:
        """Write a block of whole files; returns these."""
        array = self.arrays[level]
        absent = tuple(i for i, a in enumerate(AXES) if a not in self.axes)
        block = block.squeeze(axis=absent) if absent else block
        where = kept(region.slices, self.axes)
        sizes = array.shards or array.chunks
        ranges = [range(w.start, w.stop, n) for w, n in zip(where, sizes, strict=True)]
        files = []
        # one by one: zarr would first fill every file's voxels with zeros
        for starts in itertools.product(*ranges):
            box = tuple(
                slice(a, min(a + n, w.stop)) for a, n, w in zip(starts, sizes, where, strict=True)
            )
            array[box] = block[
                tuple(
                    slice(b.start - w.start, b.stop - w.start)
                    for b, w in zip(box, where, strict=True)
                )
            ]
            place = tuple(a // n for a, n in zip(starts, sizes, strict=True))
            files.append(self.folder / str(level) / str(array.metadata.encode_chunk_key(place)))
        return files


def kept(values: Sequence[Any], axes: str) -> Keep:
    """Of one value per t, c, z, y, x those of the file's axes."""
    return tuple(v for a, v in zip(AXES, values, strict=True) if a in axes)


def load(array: Any, axes: str, where: Slices) -> NDArray[Any]:
    """A 5-D box of a written array."""
    absent = tuple(i for i, a in enumerate(AXES) if a not in axes)
    return np.expand_dims(np.asarray(array[kept(where, axes)]), absent)


def _empty(region: Region, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.empty([w.stop - w.start for w in region.slices], dtype)


def _within(box: Region, region: Region) -> Slices:
    """The box, counted from the region's start."""
    starts = (region.time, region.channels[0], *region.start)
    return tuple(slice(w.start - a, w.stop - a) for w, a in zip(box.slices, starts, strict=True))
