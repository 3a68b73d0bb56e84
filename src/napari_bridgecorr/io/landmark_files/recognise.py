"""Which landmark format a file is in, by its content."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ...errors import ReadError
from .bigwarp import is_bigwarp_row
from .cells import Cells, cells_of, decode
from .model import LandmarkFormat
from .napari_csv import is_napari_header
from .own_csv import is_own_header
from .plain_csv import layout_of
from .points_csv import POINT_COLUMNS
from .slicer_fcsv import is_fcsv_head
from .slicer_json import is_markups_head
from .slicer_table import slicer_table_frame

_HEAD_BYTES = 65_536
_IMAGE_COLUMNS = {"Start_push", "End_push"}


def landmark_format_of(path: Path) -> LandmarkFormat | None:
    """The landmark or point format of a file; None if it is none. Never raises, reads 64 KiB.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str or None
        ``"bridgecorr_csv"`` and ``"bigwarp_csv"`` hold pairs. ``"slicer_fcsv"``,
        ``"slicer_json"``, ``"slicer_table"``, ``"napari_csv"`` and ``"points_csv"`` (columns
        ``z_um,y_um,x_um``) hold the points of one image. ``"plain_csv"`` is a table whose header
        names coordinates; it may hold either.
    """
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return _format_of(path, head, is_whole=len(head) < _HEAD_BYTES)
    except (OSError, ValueError, ReadError):
        return None


def _format_of(path: Path, head: bytes, *, is_whole: bool) -> LandmarkFormat | None:
    if not is_whole:  # a character and a line may be cut
        line_end = max(head.rfind(b"\n"), head.rfind(b"\r"))
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            head = head[: len(head) // 2 * 2]
        elif line_end > 0 and b"\0" not in head:
            head = head[: line_end + 1]
        else:
            head = head.decode("utf-8", "ignore").encode()
    text, _ = decode(path, head)
    if text.lstrip()[:1] == "{":
        return "slicer_json" if is_markups_head(text) else None
    lines = text[:8192].splitlines()
    if lines and lines[0].startswith("#"):
        return "slicer_fcsv" if is_fcsv_head(lines) or path.suffix == ".fcsv" else None
    if "\0" in text or not text.strip():
        return None
    return table_format(cells_of(path, text))


def table_format(cells: Cells) -> LandmarkFormat | None:
    """Format of a table without comments; None if its first row says nothing.

    Raises
    ------
    ReadError
        If its first row is not readable.
    """
    first = next(islice(cells.rows(), 1), None)
    if first is None:
        return None
    header = [c.strip() for c in first[1]]
    if is_image_header(header):
        return None
    if is_bigwarp_row(header):
        return "bigwarp_csv"
    if is_own_header(header) and "id" in header:
        return "bridgecorr_csv"
    if is_napari_header(header):
        return "napari_csv"
    if slicer_table_frame(header) is not None:
        return "slicer_table"
    if set(POINT_COLUMNS) <= set(header):
        return "points_csv"
    layout = layout_of(header, {}, cells.path)
    if layout.has_pairs or layout.has_points:
        return "plain_csv"
    return None


def is_image_header(header: list[str]) -> bool:
    """Whether a table is the text export of a mass cytometer: an image, one pixel a line."""
    return not _IMAGE_COLUMNS.isdisjoint(header)
