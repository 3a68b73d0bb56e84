"""How a pyramid is cut: chunks (decoded at once), files (shards of many chunks), regions of work.

A region is what is held in memory at once. The first stage computes regions of the full resolution
and, while they are there, writes every level of which a region makes whole files; the next stage
reads the coarsest of these levels, and so on. Every file belongs to one region of one stage, so
regions may be done in any order, by several processes, and again after a crash.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..pyramid import Factors

BLOCK_BYTES = 2**26
"""Largest region aimed at (twice as much, where whole files of the next level need it)."""

VOLUME_CHUNK = (64, 256, 256)
PLANE_CHUNK = (1, 1024, 1024)
MOST_FILES = 10_000
"""A level of more chunks than this is stored in shards."""

Slices = tuple[slice, ...]
Lengths = tuple[int, ...]


@dataclass(frozen=True)
class Level:
    """One level's array, 5-D ``(t, c, z, y, x)``.

    Parameters
    ----------
    shape, chunks : 5 int
    shards : 5 int or None
        Multiples of `chunks`; None where every chunk is a file.
    """

    shape: Lengths
    chunks: Lengths
    shards: Lengths | None = None


@dataclass(frozen=True)
class Region:
    """Part of a level: times and channels, and a box ``start <= (z, y, x) < stop``."""

    time: int
    channels: tuple[int, int]
    start: Factors
    stop: Factors

    @property
    def slices(self) -> Slices:
        """Of the level's 5-D array."""
        boxes = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return (slice(self.time, self.time + 1), slice(*self.channels), *boxes)

    def coarser(self, factors: Sequence[int]) -> Region:
        """The same part of the next level; the region begins on a border of its voxels."""
        return Region(
            self.time,
            self.channels,
            _triple(a // f for a, f in zip(self.start, factors, strict=True)),
            _triple(-(-b // f) for b, f in zip(self.stop, factors, strict=True)),
        )


@dataclass(frozen=True)
class Stage:
    """Regions of the level `source`, and the levels ``first .. last`` that they fill.

    The first stage fills its source (``first == source``), the others read it.
    """

    source: int
    first: int
    last: int
    size: Factors
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Layout:
    """All levels and stages of a pyramid."""

    levels: tuple[Level, ...]
    stages: tuple[Stage, ...]

    @property
    def n_regions(self) -> int:
        """Steps of the whole work."""
        return sum(len(stage.regions) for stage in self.stages)


def plan_layout(
    shape: Sequence[int], itemsize: int, steps: Sequence[Factors], *, joined_channels: bool = False
) -> Layout:
    """Cut a pyramid.

    Parameters
    ----------
    shape : 5 int
        Of the full resolution.
    itemsize : int
        Bytes per voxel.
    steps : sequence of (fz, fy, fx)
        From each level to the next.
    joined_channels : bool
        All channels of a voxel are computed together: a region should hold all of them.
    """
    shapes = [_triple(shape[2:])]
    for factors in steps:
        shapes.append(_triple(-(-n // f) for n, f in zip(shapes[-1], factors, strict=True)))
    chunk = PLANE_CHUNK if shape[2] == 1 else VOLUME_CHUNK
    levels: list[Level] = []
    stages: list[Stage] = []
    source = 0
    while len(levels) < len(shapes):
        first = len(levels)
        is_full = source == first
        n_together = shape[1] if joined_channels and is_full else 1
        size = _region(shapes[source], chunk, steps[source:], itemsize, n_together, is_full)
        inside = size
        for level in range(source, len(shapes)):
            if level > source:
                inside = _triple(n // f for n, f in zip(inside, steps[level - 1], strict=True))
                if not _holds_whole_files(inside, shapes[level], chunk):
                    break
            if level >= first:
                levels.append(_level(shape[:2], shapes[level], chunk, inside))
        per_region = math.prod(size) * itemsize
        group = max(1, min(shape[1], n_together, 2 * BLOCK_BYTES // max(1, per_region)))
        last = len(levels) - 1
        regions = _regions(shape[:2], shapes[source], size, group)
        stages.append(Stage(source, first, last, size, regions))
        source = last
    return Layout(tuple(levels), tuple(stages))


def _level(outer: Sequence[int], shape: Factors, chunk: Factors, inside: Factors) -> Level:
    chunks = _triple(min(c, n) for c, n in zip(chunk, shape, strict=True))
    n_files = math.prod(outer) * math.prod(-(-n // c) for n, c in zip(shape, chunks, strict=True))
    # the part of a region, or all of the axis, in whole chunks
    shards = _triple(-(-min(r, n) // c) * c for r, n, c in zip(inside, shape, chunks, strict=True))
    sharded = n_files > MOST_FILES and shards != chunks
    return Level((*outer, *shape), (1, 1, *chunks), (1, 1, *shards) if sharded else None)


def _holds_whole_files(inside: Factors, shape: Factors, chunk: Factors) -> bool:
    """Whether a region's part of a level is of whole chunks, wherever the region lies."""
    return all(
        r >= n or (r > 0 and r % c == 0) for r, n, c in zip(inside, shape, chunk, strict=True)
    )


def _region(
    shape: Factors,
    chunk: Factors,
    steps: Sequence[Factors],
    itemsize: int,
    n_together: int,
    is_full: bool,
) -> Factors:
    """Size of a stage's regions: whole chunks of the next level if that fits, then wider.

    Wide regions meet the source's planes few times: a plane-wise source would otherwise be decoded
    once for each of the small chunks that it crosses.
    """

    def n_bytes(size: Sequence[int]) -> int:
        held = (min(r, n) for r, n in zip(size, shape, strict=True))
        return math.prod(held) * itemsize * n_together

    size = list(chunk)
    if steps:
        wide = [c if c >= n else c * f for c, n, f in zip(chunk, shape, steps[0], strict=True)]
        # the full resolution may be read again for the next level, a coarser one has to fill it
        if not is_full or n_bytes(wide) <= 2 * BLOCK_BYTES:
            size = wide
    while True:
        wider = [i for i in (1, 2) if size[i] < shape[i]] or [i for i in (0,) if size[i] < shape[i]]
        if not wider or 2 * n_bytes(size) > BLOCK_BYTES:
            return _triple(size)
        size[min(wider, key=lambda i: size[i])] *= 2


def _regions(outer: Sequence[int], shape: Factors, size: Factors, group: int) -> tuple[Region, ...]:
    """Regions that cover a level, neighbours one after another as far as possible."""
    grid = [-(-n // s) for n, s in zip(shape, size, strict=True)]
    places = sorted(itertools.product(*map(range, grid)), key=_morton)
    found = []
    for time in range(outer[0]):
        for channel in range(0, outer[1], group):
            for place in places:
                start = _triple(i * s for i, s in zip(place, size, strict=True))
                stop = _triple(min(a + s, n) for a, s, n in zip(start, size, shape, strict=True))
                channels = (channel, min(channel + group, outer[1]))
                found.append(Region(time, channels, start, stop))
    return tuple(found)


def _morton(place: Sequence[int]) -> int:
    """Number of a place on the Z-order curve, which stays among neighbours at every scale."""
    z, y, x = place
    return sum(
        ((z >> bit & 1) << 2 | (y >> bit & 1) << 1 | (x >> bit & 1)) << 3 * bit
        for bit in range(max(place).bit_length())
    )


def _triple(values: Iterable[int]) -> Factors:
    z, y, x = values
    return int(z), int(y), int(x)
