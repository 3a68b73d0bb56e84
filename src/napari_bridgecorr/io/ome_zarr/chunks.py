"""Which chunks of an array are there. An absent chunk reads as the fill value, which may be a lie.

Zarr lets a writer leave out chunks that hold nothing but the fill value, so an absent chunk is no
fault of its own: it is counted, and the user is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .files import Folder
from .store import StoredArray

_MOST_LISTED = 200_000
_LOCAL_SAMPLE = 1024
_REMOTE_SAMPLE = 16
_METADATA_NAMES = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})


@dataclass(frozen=True)
class Presence:
    """How many chunks (or shards) of an array are there.

    Parameters
    ----------
    n_expected, n_found : int
        Of those looked for.
    n_all : int
        Of the array; more than `n_expected` where only some were looked for.
    """

    n_expected: int
    n_found: int
    n_all: int

    @property
    def is_empty(self) -> bool:
        """Whether the array holds no chunk at all, for certain."""
        return self.n_found == 0 and self.n_expected == self.n_all

    @property
    def n_missing(self) -> int:
        """Chunks that are absent of those looked for."""
        return self.n_expected - self.n_found


def presence(stored: StoredArray) -> Presence:
    """Count the chunks of an array: by listing, or a sample where that would take too long."""
    grid = stored.file_grid
    n_all = math.prod(grid)
    remote = stored.folder.files.is_remote
    most = _REMOTE_SAMPLE if remote else _LOCAL_SAMPLE
    if n_all <= (most if remote else 8):
        return Presence(n_all, _looked_for(stored, list(np.ndindex(*grid))), n_all)
    if not remote:
        found = _listed(stored)
        if found is not None:
            return Presence(n_all, found, n_all)
    # the same chunks every time, of all parts of the array
    rng = np.random.default_rng(0)
    picked = {tuple(int(rng.integers(0, n)) for n in grid) for _ in range(most)}
    return Presence(len(picked), _looked_for(stored, sorted(picked)), n_all)


def _looked_for(stored: StoredArray, places: list[tuple[int, ...]]) -> int:
    keys = [stored.folder.file_key(stored.chunk_key(place)) for place in places]
    if not stored.folder.files.is_remote:
        return sum(stored.folder.files.size(key) is not None for key in keys)
    with ThreadPoolExecutor(_REMOTE_SAMPLE) as pool:
        return sum(size is not None for size in pool.map(stored.folder.files.size, keys))


def _listed(stored: StoredArray) -> int | None:
    """Chunk files in the array's folder; None where there are too many to list."""
    count = 0
    for seen, key in enumerate(_walk(stored.folder, len(stored.file_grid) + 2)):
        if seen > _MOST_LISTED:
            return None
        count += stored.is_chunk_key(key)
    return count


def _walk(folder: Folder, deepest: int) -> Iterator[str]:
    pending = [""]
    while pending:
        inner = pending.pop()
        here = folder / inner if inner else folder
        for name, is_folder in here.names():
            key = f"{inner}/{name}" if inner else name
            if not is_folder:
                if name not in _METADATA_NAMES:
                    yield key
            elif key.count("/") < deepest:
                pending.append(key)
