"""The text file of one acquisition, which a mass cytometer writes beside the MCD file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from ...errors import ReadError, one_line
from ...geometry import Grid
from ...image import Channel, Source, SpatialImage, missing_scale_warning
from ..lazy import lazily
from ..reader import Claim
from ..signature import read_head
from .pixels import AcquisitionPixels
from .size import completeness_warnings, require_sane_size
from .text_pixels import (
    N_LEADING_COLUMNS,
    TextPixels,
    last_position,
    mark_lines,
    read_header,
)

_FORMAT = "IMC text"
_LEADING = ["Start_push", "End_push", "Pushes_duration", "X", "Y", "Z"]
_START = "\t".join(_LEADING).encode("ascii")
# label(metal, mass, "Di" for double-charge independent): YBX1_2987((3532))Eu153(Eu153Di)
_COLUMN = re.compile(r"(?P<label>.*)\((?P<metal>[A-Za-z]+[0-9]{1,4})[^0-9()]*\)")
_COPY_AGAIN = "copy it again from the instrument's computer, or open the MCD file"


class ImcTextReader:
    """Reader of the text files of acquisitions (see :class:`~..reader.Reader`)."""

    format_name = _FORMAT
    patterns = ("*.txt",)

    def claim(self, path: Path) -> Claim:
        """Claim by name and first line: many other things are called .txt."""
        if not path.name.lower().endswith(".txt") or path.is_dir():
            return Claim(False, "the name does not end in .txt")
        try:
            head = read_head(path)
        except OSError as error:
            return Claim(False, f"it cannot be read ({one_line(error)})")
        if head.removeprefix(b"\xef\xbb\xbf").startswith(_START):
            return Claim(True, "the first line names the columns of a mass cytometer")
        return Claim(False, "the first line does not begin with Start_push, End_push")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """The acquisition. The file knows neither pixel size nor place: the MCD file does.

        Raises
        ------
        ReadError
            If the file is damaged or cut short.
        """
        try:
            with path.open("rb") as file:
                names = read_header(file)
                if names[:N_LEADING_COLUMNS] != _LEADING:
                    raise ValueError("its columns are not those of a mass cytometer")
                n_channels = len(names) - N_LEADING_COLUMNS
                require_sane_size(1, 1, n_channels)
                marks = mark_lines(file)
                if marks[-1][0] == 0:
                    raise ValueError("it holds no pixels")
                table = TextPixels(os.path.abspath(path), marks[-1][0], n_channels, marks)  # noqa: PTH100 - for workers elsewhere
                size = _size(table, last_position(file, marks))
        except (OSError, ValueError) as error:
            raise ReadError(
                path, f"is damaged or cut short ({one_line(error)})", _COPY_AGAIN
            ) from error
        pixels = AcquisitionPixels(table, path.name, size)
        warnings = completeness_warnings(path.name, table.n_pixels, size[0] * size[1])
        return (
            SpatialImage(
                levels=(lazily(pixels, pixels.chunks),),
                grids=(Grid.from_spacing((1, *size), 1.0),),
                channels=tuple(_channel(name) for name in names[N_LEADING_COLUMNS:]),
                source=Source(path, _FORMAT, 0, "", "cyx"),
                voxel_size_known=(False, False, False),
                warnings=(*warnings, missing_scale_warning("yx")),
            ),
        )


def _size(table: TextPixels, last: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns. Raises ValueError if the positions make no sense."""
    width, height = _sides(*last)
    if width * height != table.n_pixels:
        # stopped within a line, or not in order: ask every line
        greatest = [
            positions.max(axis=0) for _, positions, _ in table.pieces(0, table.n_pixels, (0, 0))
        ]
        x, y = np.max(greatest, axis=0)
        width, height = _sides(float(x), float(y))
    require_sane_size(width, height, table.n_channels)
    # every line but the last is whole, so more cannot be missing
    if table.n_pixels * 2 < width * height and height > 1:
        raise ValueError(f"{table.n_pixels} pixels cannot fill {width} x {height}")
    if table.n_pixels > width * height:
        raise ValueError(f"{table.n_pixels} pixels do not fit into {width} x {height}")
    return height, width


def _sides(x: float, y: float) -> tuple[int, int]:
    if not (0 <= x < 2**31 and 0 <= y < 2**31):
        raise ValueError(f"a pixel lies at {x:g}, {y:g}")
    return int(x) + 1, int(y) + 1


def _channel(column: str) -> Channel:
    column = "".join(character if character.isprintable() else " " for character in column)
    found = _COLUMN.fullmatch(column)
    if found is None:
        return Channel(column.strip() or "unnamed")
    label, metal = found["label"], found["metal"]
    return Channel(label if label.strip() else metal, metal=metal)
