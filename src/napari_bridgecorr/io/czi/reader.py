"""Reader of Zeiss CZI files: one lazy image per scene. The library itself is in `library`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...geometry import Grid
from ...image import Channel, Source, SpatialImage, missing_scale_warning
from ..lazy import lazily
from ..reader import Claim
from .directory import ABSENT, MAGIC, CziDirectory
from .levels import CziLevel, CziScene, StoredChannel, is_pyramid_of_means, usable_factor
from .library import PIXEL_TYPES, CziFile, check_opens, guard
from .metadata import CziMetadata, parse_metadata
from .write import write_czi

__all__ = ["CziReader", "write_czi"]

_CHUNK_PX = 1024
_COARSEST_PX = 1024
"""No further level is made of an image that is no longer than this."""
_UNSUPPORTED = {
    "H": "phases",
    "V": "views",
    "I": "illumination directions",
    "R": "rotations",
    "B": "blocks",
}
_RGB = (("R", "#FF0000"), ("G", "#00FF00"), ("B", "#0000FF"))
_MOST_TILES_PAINTED = 2000
_NEGLIGIBLE = 1e-3


class CziReader:
    """Reader of Zeiss CZI files (one image per scene)."""

    format_name = "CZI"
    patterns = ("*.czi",)

    def claim(self, path: Path) -> Claim:
        """Whether the file is a CZI, by its name and first bytes."""
        try:
            with path.open("rb") as file:
                head = file.read(len(MAGIC))
        except OSError as error:
            return Claim(False, f"it cannot be opened ({error.strerror})")
        if head == MAGIC:
            return Claim(True, "it begins as a CZI file does")
        if path.suffix.lower() == ".czi":
            # claimed all the same: read() then says what is wrong with it
            return Claim(True, "the name ends in .czi")
        return Claim(False, "it does not begin as a CZI file does")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """One lazy image per scene (one image where the file has no scenes).

        Raises
        ------
        ReadError
            If the file is damaged, or has dimensions or pixel types that are not supported.
        """
        try:
            file = CziFile.of(path)
        except OSError as error:
            raise ReadError(path, str(error.strerror), "check the path") from error
        directory = guard(file).directory
        tiles = directory.tiles[directory.full_resolution]
        if not tiles.size:
            raise ReadError(path, "it holds only a preview", "copy the whole file again")
        _refuse_unsupported(path, tiles)
        check_opens(file)
        metadata = parse_metadata(directory.xml, _full_scale(tiles))
        scenes = sorted(set(tiles["S"].tolist()))
        return tuple(
            _image(path, file, directory, metadata, scene, index, len(scenes))
            for index, scene in enumerate(scenes)
        )


def _refuse_unsupported(path: Path, tiles: NDArray[Any]) -> None:
    for dim, noun in _UNSUPPORTED.items():
        n = len(set(tiles[dim].tolist()))
        if n > 1:
            raise ReadError(
                path,
                f"it holds {n} {noun} ({dim}) of each plane, which are not supported",
                "process or split it in ZEN (as by Airyscan Processing) and open the result",
            )
    for number in sorted(set(tiles["pixel_type"].tolist())):
        if number not in PIXEL_TYPES:
            raise ReadError(
                path,
                f"its pixels are of type {number}, which is not supported",
                "convert it in ZEN to 8 or 16 bit, 32-bit float, or RGB",
            )


def _full_scale(tiles: NDArray[Any]) -> float | None:
    """Largest value of the widest pixel type, None for floats."""
    dtype = np.result_type(*(PIXEL_TYPES[n][1] for n in set(tiles["pixel_type"].tolist())))
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else None


def _image(
    path: Path,
    file: CziFile,
    directory: CziDirectory,
    metadata: CziMetadata,
    scene: int,
    index: int,
    n_scenes: int,
) -> SpatialImage:
    in_scene = directory.tiles["S"] == scene
    tiles = directory.tiles[in_scene & directory.full_resolution]
    stored = _stored_channels(path, tiles)
    view = _scene(file, tiles, None if scene == ABSENT else scene, stored)
    known = tuple(s is not None for s in metadata.spacing_um)
    z_um, y_um, x_um = (1.0 if s is None else s for s in metadata.spacing_um)
    origin = (0.0, view.y * y_um, view.x * x_um)
    levels, offset_note = _levels(view, directory.tiles[in_scene & ~directory.full_resolution])
    grid = Grid.from_spacing(levels[0].shape[2:], (z_um, y_um, x_um), origin)
    centred = offset_note != "first pixel"
    facts: dict[str, Any] = dict(metadata.facts)
    if offset_note:
        facts["pyramid_sampled_at"] = offset_note
    uncovered = _uncovered(tiles)
    if uncovered is not None:
        facts["uncovered_fraction"] = uncovered
    name = metadata.scene_names.get(scene, "")
    if n_scenes > 1 and not name:
        name = f"scene {scene}"
    return SpatialImage(
        levels=tuple(_dask(level) for level in levels),
        grids=tuple(_level_grid(grid, level, centred) for level in levels),
        channels=_channels(stored, metadata.channels),
        source=Source(path, "CZI", index, name, _axes(view, known[0])),
        voxel_size_known=(known[0], known[1], known[2]),
        time_step_s=metadata.time_step_s if view.n_t > 1 else None,
        metadata=facts,
        warnings=(
            *metadata.warnings,
            *_scale_warning(known, view.n_z),
            *_hole_warnings(tiles, view, uncovered),
        ),
    )


def _scene(
    file: CziFile, tiles: NDArray[Any], scene: int | None, stored: tuple[StoredChannel, ...]
) -> CziScene:
    first_t, n_t = _extent(tiles, "T")
    first_z, n_z = _extent(tiles, "Z")
    x, y = int(tiles["x"].min()), int(tiles["y"].min())
    return CziScene(
        file=file,
        scene=scene,
        first_t=first_t,
        n_t=n_t,
        first_z=first_z,
        n_z=n_z,
        channels=stored,
        x=x,
        y=y,
        width=int((tiles["x"] + tiles["w"]).max()) - x,
        height=int((tiles["y"] + tiles["h"]).max()) - y,
        # a byte and a 16-bit channel are both held exactly by the wider type
        dtype=str(np.result_type(*(_dtype(s) for s in stored))),
    )


def _dtype(stored: StoredChannel) -> str:
    return next(dtype for name, dtype, _ in PIXEL_TYPES.values() if name == stored.pixel_type)


def _extent(tiles: NDArray[Any], dim: str) -> tuple[int, int]:
    """First index and length along a dimension; a tile that does not state it is at 0."""
    index = np.where(tiles[dim] == ABSENT, 0, tiles[dim])
    first = int(index.min())
    return first, int(index.max()) - first + 1


def _stored_channels(path: Path, tiles: NDArray[Any]) -> tuple[StoredChannel, ...]:
    first, n = _extent(tiles, "C")
    index = np.where(tiles["C"] == ABSENT, 0, tiles["C"])
    channels = []
    for c in range(first, first + n):
        types = set(tiles["pixel_type"][index == c].tolist())
        if len(types) != 1:
            fault = f"channel {c} has " + ("several pixel types" if types else "no tile")
            raise ReadError(path, fault, "export the scene from ZEN and open that")
        name, _, samples = PIXEL_TYPES[types.pop()]
        channels += [StoredChannel(c, name, s) for s in range(samples)]
    return tuple(channels)


def _channels(
    stored: tuple[StoredChannel, ...], described: Sequence[Channel]
) -> tuple[Channel, ...]:
    coloured = {s.index for s in stored if s.sample > 0}
    channels = []
    for s in stored:
        known = described[s.index] if s.index < len(described) else Channel(f"C{s.index}")
        if s.index in coloured:
            letter, colour = _RGB[s.sample]
            known = Channel(f"{known.name} {letter}", colour, known.display_range)
        channels.append(known)
    return tuple(channels)


def _levels(view: CziScene, coarse: NDArray[Any]) -> tuple[tuple[CziLevel, ...], str]:
    """Levels of a scene, and where the pixels of the file's own pyramid lie ('' without one)."""
    longest = max(view.width, view.height)
    ratio = np.rint(coarse["w"] / coarse["stored_w"]).astype(int)
    stored = sorted({int(m) for m in ratio if m > 1 and usable_factor(int(m))})
    # one level at least, and none that shows less than a quarter of what a screen does
    factors = [m for i, m in enumerate(stored) if i == 0 or longest // m >= _COARSEST_PX // 4]
    factors = [m for m in factors if min(view.width, view.height) >= m]
    if factors:
        centred = is_pyramid_of_means(view, factors)
        levels = [CziLevel(view, m) for m in (1, *factors)]
        return tuple(levels), "centre of pixels" if centred else "first pixel"
    levels = [CziLevel(view)]
    while longest / levels[-1].factor > 2 * _COARSEST_PX:
        levels.append(CziLevel(view, 2 * levels[-1].factor, stored=False))
    return tuple(levels), ""


def _level_grid(grid: Grid, level: CziLevel, centred: bool) -> Grid:
    m = level.factor
    step = np.diag([1.0, m, m, 1.0])
    if centred:
        step[1:3, 3] = (m - 1) / 2
    z, y, x = level.shape[2:]
    return Grid((z, y, x), grid.index_to_world @ step)


def _dask(level: CziLevel) -> Any:
    # the three samples of a coloured channel are read together
    together = {s.index for s in level.scene.channels if s.sample > 0}
    c_chunk = 3 if len(together) * 3 == len(level.scene.channels) else 1
    return lazily(level, (1, c_chunk, 1, _CHUNK_PX, _CHUNK_PX), repr(level))


def _axes(view: CziScene, z_known: bool) -> str:
    t = "t" if view.n_t > 1 else ""
    c = "c" if len(view.channels) > 1 else ""
    z = "z" if view.n_z > 1 or z_known else ""
    return f"{t}{c}{z}yx"


def _scale_warning(known: Sequence[bool], n_z: int) -> tuple[str, ...]:
    missing = "".join(
        axis for axis, k in zip("zyx", known, strict=True) if not k and (axis != "z" or n_z > 1)
    )
    return (missing_scale_warning(missing),) if missing else ()


def _hole_warnings(tiles: NDArray[Any], view: CziScene, uncovered: float | None) -> tuple[str, ...]:
    warnings = []
    held = len(np.unique(np.stack([tiles[d] for d in "TCZ"]), axis=1).T)
    n_planes = view.n_t * view.n_z * len({s.index for s in view.channels})
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
    for dim in "TCZ":
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
