"""What determines every byte of a long output, as plain values: so that a killed run can go on."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ReadError, one_line
from ..geometry import Grid
from ..image import SpatialImage
from ..io.long_run import LongRun
from ..resampling.graphics import chosen_device
from ..transform import Transform


def with_work(run: LongRun | None, **work: Any) -> LongRun:
    """`run`, for work that these plain values determine."""
    return replace(run or LongRun(), work=work)


def image_state(image: SpatialImage) -> dict[str, Any]:
    """An image's file, the state of it, and which part of it was taken.

    Raises
    ------
    ReadError
        If the file cannot be looked at.
    """
    source = image.source
    stated: dict[str, Any] = {
        "location": source.url or os.path.abspath(source.path),  # noqa: PTH100
        "image": source.image_index,
        "channels": source.channels,
        "times": source.times,
        "grid": grid_state(image.grid),
        "dtype": image.dtype.str,
        "shape": [int(n) for n in image.data.shape],
    }
    if source.url or not source.path.exists():
        # on a network, or made in memory: dask's name of the array is all that is known
        return {**stated, "array": str(image.data.name)}
    try:
        return {**stated, "files": file_state(source.path)}
    except OSError as error:
        raise ReadError(source.path, one_line(error), "check that the file can be read") from error


def file_state(path: Path) -> dict[str, Any]:
    """Sizes and times of change of a file, or of all files of a folder."""
    if not path.is_dir():
        found = path.stat()
        return {"bytes": found.st_size, "changed_ns": found.st_mtime_ns}
    digest = hashlib.sha256()
    n_files = n_bytes = 0
    for place, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            found = file.stat()
            digest.update(
                f"{file.relative_to(path).as_posix()}:{found.st_size}:{found.st_mtime_ns}\n".encode()
            )
            n_files += 1
            n_bytes += found.st_size
    return {"files": n_files, "bytes": n_bytes, "sha256 of names, sizes, times": digest.hexdigest()}


def grid_state(grid: Grid) -> dict[str, Any]:
    """Shape and place."""
    return {"shape": list(grid.shape), "index_to_world": grid.index_to_world.tolist()}


def device_state() -> dict[str, Any]:
    """The graphics device that interpolates, where there is one: its last digits are its own."""
    device = chosen_device()
    return {"the graphics device": device} if device else {}


def transform_state(transform: Transform) -> str:
    """A checksum of every number of a transform."""
    text = json.dumps(transform.to_dict(), sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
