"""Which planes a file holds: its images, their channels, and the dimensions that become either.

Phases (H) and illuminations (I) of a channel share its place and become channels; views (V),
rotations (R) and blocks (B) do not, and become images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...image import RGBA, Channel
from .directory import ABSENT, PIXEL_TYPES

_IN_CHANNELS = {"H": "phase", "I": "illumination"}
_IN_IMAGES = {"V": "view", "R": "rotation", "B": "block"}
_MOST_CHANNELS = 100_000
_EXPORT = "export the scene from ZEN and open that"


@dataclass(frozen=True)
class StoredChannel:
    """Where a channel's pixels are: indices in the file, and the sample where it is coloured.

    Parameters
    ----------
    index : int
        Along C.
    pixel_type : str
    sample : int
        0; or 0, 1, 2 for red, green, blue.
    more : tuple of (str, int)
        Index along each further dimension that the file has.
    """

    index: int
    pixel_type: str
    sample: int = 0
    more: tuple[tuple[str, int], ...] = ()

    @property
    def plane(self) -> tuple[tuple[str, int], ...]:
        """What is read together: the same for all samples of a colour."""
        return (("C", self.index), *self.more)

    def along(self, dim: str) -> int:
        """Index along a dimension, 0 where there is none."""
        return dict(self.plane).get(dim, 0)

    def is_in(self, tile: np.void) -> bool:
        """Whether a tile holds it."""
        for dim, index in self.plane:
            first = 0 if tile[dim] == ABSENT else int(tile[dim])
            if not first <= index < first + int(tile[f"n{dim}"]):
                return False
        return True

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its pixels."""
        return np.dtype(next(d for name, d, _ in PIXEL_TYPES.values() if name == self.pixel_type))


@dataclass(frozen=True)
class Layout:
    """How an image's tiles lie.

    Parameters
    ----------
    channels : tuple of StoredChannel
    first_t, n_t, first_z, n_z : int
        The file's index of our index 0, and how many there are.
    x, y, width, height : int
        Bounding rectangle, in the file's pixels.
    """

    channels: tuple[StoredChannel, ...]
    first_t: int
    n_t: int
    first_z: int
    n_z: int
    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, tiles: NDArray[Any], channels: tuple[StoredChannel, ...]) -> Layout:
        """The layout of tiles of full resolution."""
        x, y = int(tiles["x"].min()), int(tiles["y"].min())
        return cls(
            channels,
            *extent(tiles, "T"),
            *extent(tiles, "Z"),
            x,
            y,
            int((tiles["x"] + tiles["w"]).max()) - x,
            int((tiles["y"] + tiles["h"]).max()) - y,
        )

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Length of t, c, z, y, x."""
        return self.n_t, len(self.channels), self.n_z, self.height, self.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds every channel exactly: a byte and a 16-bit one are both 16-bit."""
        return np.dtype(np.result_type(*(c.dtype for c in self.channels)))


@dataclass(frozen=True)
class StoredImage:
    """The tiles that make one image.

    Parameters
    ----------
    scene : int or None
    more : tuple of (str, int)
        Its index along V, R and B, where the file has such dimensions.
    suffix : str
        What tells it from the other images of the scene, as ``view 1``.
    in_image : (n,) bool array
        Which of the directory's tiles are of it.
    """

    scene: int | None
    more: tuple[tuple[str, int], ...]
    suffix: str
    in_image: NDArray[np.bool_]


def index_along(tiles: Any, dim: str) -> NDArray[np.int64]:
    """Index of each tile (or of one); one that does not state it is at 0."""
    return np.asarray(np.where(tiles[dim] == ABSENT, 0, tiles[dim]), dtype=np.int64)


def extent(tiles: NDArray[Any], dim: str) -> tuple[int, int]:
    """First index and length along a dimension."""
    first = index_along(tiles, dim)
    start = int(first.min())
    return start, int((first + tiles[f"n{dim}"]).max()) - start


def stored_images(tiles: NDArray[Any]) -> Iterator[StoredImage]:
    """The images of a file, scene by scene.

    Parameters
    ----------
    tiles : structured array
        As in `CziDirectory`, of every level.
    """
    present = [d for d in _IN_IMAGES if np.any(tiles[d] != ABSENT)]
    varying = [d for d in present if len(np.unique(index_along(tiles, d))) > 1]
    for scene in np.unique(tiles["S"]).tolist():
        in_scene = tiles["S"] == scene
        keys = np.stack([index_along(tiles, d) for d in present]) if present else None
        combinations = (
            np.zeros((1, 0), int) if keys is None else np.unique(keys[:, in_scene], axis=1).T
        )
        for indices in combinations:
            of_image = in_scene.copy()
            if keys is not None:
                of_image &= np.all(indices == keys.T, axis=1)
            more = tuple(zip(present, indices.tolist(), strict=True))
            suffix = " ".join(f"{_IN_IMAGES[d]} {i}" for d, i in more if d in varying)
            yield StoredImage(None if scene == ABSENT else scene, more, suffix, of_image)


def stored_channels(
    path: str, tiles: NDArray[Any], image: StoredImage
) -> tuple[StoredChannel, ...]:
    """Channels of an image, in the file's order, the samples of a colour one after another.

    Raises
    ------
    ReadError
        If a channel has no tile, or tiles of several types.
    """
    present = [d for d in _IN_CHANNELS if np.any(tiles[d] != ABSENT)]
    dims = ["C", *present]
    held: dict[tuple[int, ...], set[int]] = {}
    rows = np.stack([*(index_along(tiles, d) for d in dims), *(tiles[f"n{d}"] for d in dims)])
    with_type = np.unique(np.concatenate([rows, tiles["pixel_type"][None]]), axis=1).T
    for row in with_type.tolist():
        starts, counts, pixel_type = row[: len(dims)], row[len(dims) : -1], row[-1]
        for step in np.ndindex(*counts):
            held.setdefault(tuple(np.add(starts, step).tolist()), set()).add(pixel_type)
            if len(held) > _MOST_CHANNELS:
                raise ReadError(path, "it has an absurd number of channels", "copy it again")
    channels = []
    indices = [key[0] for key in held]
    for missing in sorted(set(range(min(indices), max(indices))) - set(indices)):
        raise ReadError(path, f"channel {missing} has no tile", _EXPORT)
    for key, types in sorted(held.items()):
        if len(types) != 1:
            raise ReadError(path, f"channel {key[0]} has several pixel types", _EXPORT)
        name, _, samples = PIXEL_TYPES[types.pop()]
        more = (*zip(present, key[1:], strict=True), *image.more)
        channels += [StoredChannel(key[0], name, s, more) for s in range(samples)]
    return tuple(channels)


def describe_channels(
    stored: tuple[StoredChannel, ...], described: Mapping[int, Channel]
) -> tuple[Channel, ...]:
    """Names, colours and wavelengths of an image's channels.

    Parameters
    ----------
    stored : tuple of StoredChannel
    described : mapping of int to Channel
        By index along C.
    """
    of_c: dict[int, set[StoredChannel]] = {}
    for s in stored:
        of_c.setdefault(s.index, set()).add(s)
    channels = []
    for s in stored:
        known = described.get(s.index, Channel(f"C{s.index}"))
        name, colour = known.name, known.colour
        for dim, noun in _IN_CHANNELS.items():
            if len({other.along(dim) for other in of_c[s.index]}) > 1:
                name += f" {noun} {s.along(dim)}"
        if any(other.sample for other in of_c[s.index]):
            colour = RGBA[s.sample].colour
            shade = RGBA[s.sample].name
            name = shade if len(of_c) == 1 else f"{name} {shade}"
        channels.append(
            Channel(name, colour, known.display_range, known.excitation_nm, known.emission_nm)
        )
    return tuple(channels)
