"""One image of a CZI file, put together: its levels, grids, channels, times and warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dask.array import Array as DaskArray
from numpy.typing import NDArray

from ...geometry import Grid
from ...image import Source, SpatialImage, missing_scale_warning
from ...voxel_source import VoxelSource
from ..lazy import lazily
from .attachments import time_step
from .directory import PLANE_DIMS, CziDirectory
from .levels import CziLevel, CziScene, is_pyramid_of_means, usable_factor
from .library import LIBRARY_COMPRESSIONS
from .metadata import CziMetadata
from .planes import Layout, StoredImage, describe_channels, index_along, stored_channels
from .segments import CziFile
from .tiles import LinesAsTime, TileLevel

_CHUNK_PX = 1024
_LARGEST_CHUNK_PX = 2048
_CHUNK_BYTES = 2**23
_LARGEST_MEAN = 64
"""No level is computed whose pixel is the mean of more than so many squared."""
_COARSEST_PX = 1024
"""No further level is made of an image that is no longer than this."""
_MOST_TILES_PAINTED = 2000
_NEGLIGIBLE = 1e-3
_UNEVEN = 0.1
_LINES = (
    "a line scan: the {n} rows of each plane are {n} repeats of one line and are shown as times"
)


def is_for_tiles(tiles: NDArray[Any]) -> bool:
    """Whether the library cannot address the tiles: it knows one plane per tile, and no JPEG."""
    thick = any(np.any(tiles[f"n{dim}"] > 1) for dim in PLANE_DIMS)
    return thick or not set(tiles["compression"].tolist()) <= LIBRARY_COMPRESSIONS


@dataclass(frozen=True, eq=False)
class _Level:
    """A level and how many level-0 pixels a pixel of it has along y and x."""

    source: VoxelSource
    factor: int = 1


def make_image(
    file: CziFile,
    directory: CziDirectory,
    metadata: CziMetadata,
    stored: StoredImage,
    index: int,
    name: str,
    stamps: Sequence[float],
) -> SpatialImage:
    """Put an image together, lazily.

    Parameters
    ----------
    file : CziFile
    directory : CziDirectory
    metadata : CziMetadata
    stored : StoredImage
        Which tiles are of it.
    index : int
        Number of the image in the file.
    name : str
    stamps : sequence of float
        When the file says that its frames were taken (s).

    Raises
    ------
    ReadError
        If its tiles contradict one another.
    """
    tiles = directory.tiles[stored.in_image & directory.full_resolution]
    coarse = directory.tiles[stored.in_image & ~directory.full_resolution]
    channels = stored_channels(file.path, tiles, stored)
    layout = Layout.of(tiles, channels)
    facts: dict[str, Any] = dict(metadata.facts)
    warnings = list(metadata.warnings)
    levels, sampled_at = _levels(CziScene(file, stored.scene, layout), tiles, coarse)
    if sampled_at:
        facts["pyramid_sampled_at"] = sampled_at
    if metadata.scans_lines and layout.n_t == 1 and layout.height > 1:
        warnings.append(_LINES.format(n=layout.height))
        levels = (_Level(LinesAsTime(levels[0].source)),)
    n_t, n_c, n_z, _, _ = levels[0].source.shape
    spacing = metadata.scene_spacing_um.get(
        -1 if stored.scene is None else stored.scene, metadata.spacing_um
    )
    known = (spacing[0] is not None, spacing[1] is not None, spacing[2] is not None)
    z_um, y_um, x_um = (1.0 if s is None else s for s in spacing)
    origin = (0.0, layout.y * y_um, layout.x * x_um)
    grid = Grid.from_spacing(levels[0].source.shape[2:], (z_um, y_um, x_um), origin)
    step, uneven = _time_step(metadata, stamps, n_t)
    uncovered = _uncovered(tiles)
    if uncovered is not None:
        facts["uncovered_fraction"] = uncovered
    warnings += [*_scale_warning(known, n_z), *uneven, *_hole_warnings(tiles, layout, uncovered)]
    present = (("t", n_t > 1), ("c", n_c > 1), ("z", n_z > 1 or known[0]))
    return SpatialImage(
        levels=tuple(_lazy(level, coarse if level.factor > 1 else tiles) for level in levels),
        grids=tuple(_level_grid(grid, v, sampled_at != "first pixel") for v in levels),
        channels=describe_channels(channels, dict(enumerate(metadata.channels))),
        source=Source(
            Path(file.path), "CZI", index, name, "".join(a for a, is_in in present if is_in) + "yx"
        ),
        voxel_size_known=known,
        time_step_s=step,
        metadata=facts,
        warnings=tuple(warnings),
    )


def _time_step(
    metadata: CziMetadata, stamps: Sequence[float], n_times: int
) -> tuple[float | None, tuple[str, ...]]:
    """Seconds per time point, and a warning where they are uneven."""
    if n_times < 2:
        return None, ()
    measured = time_step(stamps, n_times)
    if measured is None or metadata.time_step_s is not None:
        return metadata.time_step_s, ()
    spread = float(np.ptp(np.diff(stamps)))
    if spread <= _UNEVEN * measured:
        return measured, ()
    warning = (
        f"the time points are uneven: {np.diff(stamps).min():.3g} to "
        f"{np.diff(stamps).max():.3g} s apart; their mean, {measured:.3g} s, is used"
    )
    return measured, (warning,)


def _levels(
    view: CziScene, tiles: NDArray[Any], coarse: NDArray[Any]
) -> tuple[tuple[_Level, ...], str]:
    """Levels of a scene, and where the pixels of the file's own pyramid lie ('' without one)."""
    if is_for_tiles(tiles):
        return (_Level(TileLevel(view.file, tiles, view.layout)),), ""
    width, height = view.layout.width, view.layout.height
    ratio = _ratio(coarse)
    stored = [m for m in sorted(set(ratio.tolist())) if m > 1 and usable_factor(m)]
    # a level that was not written everywhere would be patched from another
    stored = [m for m in stored if min(width, height) >= m and _covers(tiles, coarse[ratio == m])]
    # one level at least, and none that shows less than a quarter of what a screen does
    longest = max(width, height)
    factors = [m for i, m in enumerate(stored) if i == 0 or longest // m >= _COARSEST_PX // 4]
    if factors:
        centred = is_pyramid_of_means(view, factors)
        levels = [_Level(CziLevel(view, m), m) for m in (1, *factors)]
        return tuple(levels), "centre of pixels" if centred else "first pixel"
    levels = [_Level(CziLevel(view))]
    while longest / levels[-1].factor > 2 * _COARSEST_PX and levels[-1].factor < _LARGEST_MEAN:
        m = 2 * levels[-1].factor
        levels.append(_Level(CziLevel(view, m, stored=False), m))
    return tuple(levels), ""


def _ratio(tiles: NDArray[Any]) -> NDArray[np.int64]:
    """Level-0 pixels per stored pixel of each tile."""
    larger = np.maximum(tiles["w"] / tiles["stored_w"], tiles["h"] / tiles["stored_h"])
    return np.asarray(np.rint(larger), dtype=np.int64)


def _covers(tiles: NDArray[Any], coarse: NDArray[Any]) -> bool:
    """Whether a level has every plane, as far out as full resolution (to a pixel of its own)."""
    if _n_planes(coarse) < _n_planes(tiles):
        return False
    m = int(_ratio(coarse)[0])
    for at, n in (("x", "w"), ("y", "h")):
        if coarse[at].min() > tiles[at].min() + m:
            return False
        if (coarse[at] + coarse[n]).max() < (tiles[at] + tiles[n]).max() - m:
            return False
    return True


def _n_planes(tiles: NDArray[Any]) -> int:
    """Planes of which there is a tile."""
    fields = [index_along(tiles, d) for d in PLANE_DIMS] + [tiles[f"n{d}"] for d in PLANE_DIMS]
    unique = np.unique(np.stack(fields), axis=1)
    return int(np.prod(unique[len(PLANE_DIMS) :], axis=0).sum())


def _level_grid(grid: Grid, level: _Level, centred: bool) -> Grid:
    step = np.diag([1.0, level.factor, level.factor, 1.0])
    if centred:
        step[1:3, 3] = (level.factor - 1) / 2
    z, y, x = level.source.shape[2:]
    return Grid((z, y, x), grid.index_to_world @ step)


def _lazy(level: _Level, tiles: NDArray[Any]) -> DaskArray:
    """Blocks near the stored tiles, so that one is decoded for few blocks and few for one."""
    source = level.source
    _, n_c, _, height, width = source.shape
    if isinstance(source, LinesAsTime):
        lines = max(1, _CHUNK_BYTES // (width * source.dtype.itemsize))
        return lazily(source, (lines, 1, 1, 1, width))
    if not isinstance(source, CziLevel):
        thick = (int(tiles["nT"].max()), n_c, int(tiles["nZ"].max()), height, width)
        return lazily(source, thick)
    tiles = tiles[_ratio(tiles) == level.factor]
    sides = []
    for name in ("stored_h", "stored_w"):
        side = int(tiles[name].max()) if tiles.size else _CHUNK_PX
        sides.append(side if _CHUNK_PX // 4 <= side <= _LARGEST_CHUNK_PX else _CHUNK_PX)
    # the three samples of a coloured channel are read together
    of_plane = Counter(c.plane for c in source.scene.layout.channels)
    c_chunk = 3 if set(of_plane.values()) == {3} else 1
    sides = [min(side, n) for side, n in zip(sides, (height, width), strict=True)]
    # a task costs a millisecond: small planes are read several at a time
    block = c_chunk * sides[0] * sides[1] * source.dtype.itemsize
    planes = max(1, _CHUNK_BYTES // block)
    return lazily(source, (1, c_chunk, planes, sides[0], sides[1]), repr(source))


def _scale_warning(known: Sequence[bool], n_z: int) -> tuple[str, ...]:
    missing = "".join(
        axis for axis, k in zip("zyx", known, strict=True) if not k and (axis != "z" or n_z > 1)
    )
    return (missing_scale_warning(missing),) if missing else ()


def _hole_warnings(tiles: NDArray[Any], layout: Layout, uncovered: float | None) -> tuple[str, ...]:
    warnings = []
    held = _n_planes(tiles)
    n_planes = layout.n_t * layout.n_z * len({c.plane for c in layout.channels})
    if held < n_planes:
        warnings.append(
            f"{n_planes - held} of {n_planes} planes were not recorded and read as 0 "
            "(was the recording stopped?)"
        )
    if uncovered is not None and uncovered > _NEGLIGIBLE:
        warnings.append(
            f"{uncovered:.1%} of the mosaic's rectangle is covered by no tile and reads as 0"
        )
    return tuple(warnings)


def _uncovered(tiles: NDArray[Any]) -> float | None:
    """Fraction of the bounding rectangle without a tile in the first plane; None if too costly."""
    first = np.ones(len(tiles), dtype=bool)
    for dim in PLANE_DIMS:
        first &= tiles[dim] == tiles[dim][0]
    plane = tiles[first]
    if len(plane) > _MOST_TILES_PAINTED:
        return None
    # paint the tiles on the uneven grid of their edges
    edges = [
        np.unique(np.concatenate([tiles[at].min(keepdims=True), plane[at], plane[at] + plane[n]]))
        for at, n in (("y", "h"), ("x", "w"))
    ]
    painted = np.zeros([len(e) - 1 for e in edges], dtype=bool)
    for tile in plane:
        rows, columns = (
            slice(*np.searchsorted(e, (tile[at], tile[at] + tile[n])))
            for e, at, n in zip(edges, "yx", "hw", strict=True)
        )
        painted[rows, columns] = True
    area = np.diff(edges[0])[:, None] * np.diff(edges[1])
    return float(1 - area[painted].sum() / area.sum())
