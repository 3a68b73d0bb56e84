"""A file in words and numbers: what `bridgecorr info` prints, as JSON and for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..image import AXES, SpatialImage
from .location import Url

# what of the metadata people look for first
_SHOWN = {"objective": "objective", "acquisition_date": "acquired", "StartTimeStamp": "acquired"}


def describe_file(path: Path | Url, images: Sequence[SpatialImage]) -> dict[str, Any]:
    """Plain values on a file and its images, ready for JSON.

    Parameters
    ----------
    path : Path or Url
        The file, as the user named it.
    images : sequence of SpatialImage
        What its reader found.

    Returns
    -------
    dict
        ``{"file", "format", "images": [{"index", "name", "role", "axes", "shape", "dtype",
        "channels", "voxel_size_um", "index_to_world", "levels", "warnings", "channel_details",
        "time_step_s", "metadata"}]}``. `shape` is that of the axes present; `voxel_size_um` lists
        z, y, x, null where the file does not say, and is null where it says nothing; `metadata`
        is what else the file says of the acquisition, as the format has it.
    """
    return {
        "file": str(path),
        "format": images[0].source.format if images else "",
        "images": [_describe_image(image) for image in images],
    }


def _describe_image(image: SpatialImage) -> dict[str, Any]:
    axes = "".join(axis for axis in AXES if axis in image.source.axes)
    sizes = dict(zip(AXES, image.data.shape, strict=True))
    known = image.voxel_size_known
    sizes_um = [
        float(size) if is_known else None
        for size, is_known in zip(image.grid.voxel_size_um, known, strict=True)
    ]
    return {
        "index": image.source.image_index,
        "name": image.name,
        "role": image.source.role,
        "axes": axes,
        "shape": [int(sizes[axis]) for axis in axes],
        "dtype": image.dtype.name,
        "channels": [channel.name for channel in image.channels],
        "voxel_size_um": sizes_um if any(known) else None,
        "index_to_world": image.grid.index_to_world.tolist(),
        "levels": len(image.levels),
        "warnings": list(image.warnings),
        "channel_details": [asdict(channel) for channel in image.channels],
        "time_step_s": image.time_step_s,
        "metadata": {str(key): _plain(value) for key, value in image.metadata.items()},
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it; text for what JSON has not."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def format_description(description: dict[str, Any]) -> str:
    """The text that a person reads, from the values of :func:`describe_file`."""
    images = description["images"]
    lines = [
        description["file"],
        f"{description['format']}, {len(images)} image{'s' if len(images) != 1 else ''}",
    ]
    for image in images:
        lines += ["", f"#{image['index']}  {image['name']}"]
        lines += [f"    {label:<12} {text}" for label, text in _rows(image)]
        lines += [f"    ! {warning}" for warning in image["warnings"]]
    return "\n".join(lines)


def _rows(image: dict[str, Any]) -> list[tuple[str, str]]:
    size = " x ".join(
        f"{axis} {length}" for axis, length in zip(image["axes"], image["shape"], strict=True)
    )
    rows = [
        ("size", size),
        ("type", image["dtype"]),
        ("channels", ", ".join(image["channels"])),
        ("voxel", _voxel_text(image["voxel_size_um"])),
    ]
    matrix = image["index_to_world"]
    origin = ", ".join(f"{matrix[row][3]:.6g}" for row in range(3))
    rows.append(("origin", f"{origin} um (z, y, x)"))
    off_axis = [matrix[i][j] for i in range(3) for j in range(3) if i != j]
    if any(off_axis) or any(matrix[i][i] < 0 for i in range(3)):
        rows.append(("direction", _direction_text(matrix)))
    if image["time_step_s"] is not None:
        rows.append(("time step", f"{image['time_step_s']:.6g} s"))
    said = image["metadata"]
    rows += [(word, str(said[key])) for key, word in _SHOWN.items() if said.get(key)]
    if image["levels"] > 1:
        rows.append(("levels", str(image["levels"])))
    if "sha256" in image:
        rows.append(("sha256", image["sha256"]))
    return rows


def _voxel_text(size_um: list[float | None] | None) -> str:
    if size_um is None:
        return "unknown"
    parts = ["unknown" if value is None else f"{value:.6g}" for value in size_um]
    return " x ".join(parts) + " um (z, y, x)"


def _direction_text(matrix: list[list[float]]) -> str:
    """Unit vectors of the index axes, as ``iz (0, 0, 1)``."""
    texts = []
    for column, name in enumerate(("iz", "iy", "ix")):
        vector = [matrix[row][column] for row in range(3)]
        length = sum(v * v for v in vector) ** 0.5
        # + 0.0 turns a rounded -0 into 0
        unit = ", ".join(f"{round(v / length, 4) + 0.0:g}" for v in vector)
        texts.append(f"{name} ({unit})")
    return "  ".join(texts)
