"""A folder of TIFF planes as one stack."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ReadError
from ..lazy import Block
from .library import TiffContents, TiffLevel, open_tiff

ENDINGS = (".tif", ".tiff", ".btf", ".tf8")


@dataclass(frozen=True)
class StackedPlanes:
    """Planes of which each is a file (files may be compressed differently).

    Parameters
    ----------
    levels : tuple of TiffLevel
        One per file, of equal size, type and samples.
    """

    levels: tuple[TiffLevel, ...]

    @property
    def axes(self) -> str:
        """The files are a stack along z."""
        return "Z" if len(self.levels) > 1 else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of files."""
        return (len(self.levels),) if len(self.levels) > 1 else ()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.levels[0].size

    @property
    def samples(self) -> int:
        """Colour samples of a plane."""
        return self.levels[0].samples

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.levels[0].dtype

    @property
    def tile_rows(self) -> int:
        """Rows that are stored together."""
        return self.levels[0].tile_rows

    def read(self, number: int, rows: tuple[int, int], columns: tuple[int, int]) -> Block:
        """A box of the plane of file `number`, (samples, rows, columns)."""
        return self.levels[number].read(0, rows, columns)


@dataclass(frozen=True)
class TiffFolder:
    """What a folder holds.

    Parameters
    ----------
    files : tuple of Path
        In the order of the stack.
    first : TiffContents
        The first file's, whose tags speak for all.
    planes : StackedPlanes
    warnings : tuple of str
    """

    files: tuple[Path, ...]
    first: TiffContents
    planes: StackedPlanes
    warnings: tuple[str, ...]


def plane_files(folder: Path) -> tuple[Path, ...]:
    """The folder's TIFF files in natural order (image_2 before image_10). Raises OSError."""
    files = (f for f in folder.iterdir() if f.name.lower().endswith(ENDINGS))
    return tuple(
        sorted((f for f in files if not f.name.startswith(".") and f.is_file()), key=_natural)
    )


def _natural(file: Path) -> list[str | int]:
    # texts and numbers alternate, a text first, so that like is compared with like
    parts = re.split(r"([0-9]+)", file.name.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def open_folder(folder: Path) -> TiffFolder:
    """Read the structure of every plane.

    Raises
    ------
    ReadError
        If a file is damaged, holds several planes, or differs from the others.
    """
    try:
        files = plane_files(folder)
    except OSError as error:
        raise ReadError(folder, f"cannot be listed ({error})", "check its permissions") from error
    if not files:
        raise ReadError(folder, "holds no TIFF files", "name the folder in which the planes lie")
    first = open_tiff(files[0])
    levels: list[TiffLevel] = []
    for file in files:
        level = _only_plane(file, first if file is files[0] else open_tiff(file))
        levels.append(level)
        _require_like(file, level, files[0], levels[0])
    return TiffFolder(files, first, StackedPlanes(tuple(levels)), _order_warnings(files))


def _only_plane(file: Path, contents: TiffContents) -> TiffLevel:
    level = contents.series[0].levels[0]
    if len(contents.series) > 1 or level.shape:
        raise ReadError(
            file,
            "holds several planes, so that its folder is not one stack of planes",
            "open the file itself, or put each stack into a folder of its own",
        )
    return level


def _require_like(file: Path, level: TiffLevel, first_file: Path, first: TiffLevel) -> None:
    for what, value, usual in (
        ("size (rows, columns)", level.size, first.size),
        ("pixel type", level.dtype, first.dtype),
        ("number of colour samples", level.samples, first.samples),
    ):
        if value != usual:
            raise ReadError(
                file,
                f"is no plane of the same stack as {first_file.name}: its {what} is {value}, "
                f"there it is {usual}",
                "move it out of the folder or export it again",
            )


def _order_warnings(files: tuple[Path, ...]) -> tuple[str, ...]:
    """Warnings where the names leave doubt about the order or completeness of the stack."""
    numbered = [re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", file.name) for file in files]
    frames = {(m[1], m[3]) if m else None for m in numbered}
    if len(files) > 1 and (len(frames) > 1 or None in frames):
        return (
            f"the names of the planes differ in more than one number: they are stacked from "
            f"{files[0].name} to {files[-1].name}",
        )
    numbers = [int(m[2]) for m in numbered if m]
    steps = {b - a for a, b in pairwise(numbers)}
    if len(steps) > 1:
        gap = next((a, b) for a, b in pairwise(numbers) if b - a != min(steps))
        return (
            f"planes are missing by their numbers (after {gap[0]} comes {gap[1]}): the others "
            f"are stacked without a gap",
        )
    return ()
