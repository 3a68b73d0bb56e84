"""Whether the chain of pages of a TIFF file is whole: each page points to the next one.

A library that meets a pointer beyond the end of the file takes it for the end of the chain, so that
half a stack looks like a stack.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ...errors import ReadError

_COPY_AGAIN = "copy or export it again"


def require_whole_chain(path: Path) -> None:
    """Raise ReadError if a page's directory lies beyond the end of the file, or the chain loops.

    Parameters
    ----------
    path : Path
        Begins like a TIFF file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        is_big = head[2:4] in (b"+\0", b"\0+")
        start = struct.Struct(order + ("Q" if is_big else "I"))
        if len(head) < 8 + 8 * is_big:
            raise ReadError(path, f"is cut short (it has {size} bytes)", _COPY_AGAIN)
        (at,) = start.unpack_from(head, 8 if is_big else 4)
        if at == 0:
            raise ReadError(path, "holds no image", _COPY_AGAIN)
        seen: set[int] = set()
        while at:
            if at in seen:
                raise ReadError(path, "is damaged (its pages point in a circle)", _COPY_AGAIN)
            seen.add(at)
            following = _next_page(file, at, order, is_big, start) if at < size else None
            if following is None:
                raise ReadError(path, f"is cut short after {len(seen) - 1} pages", _COPY_AGAIN)
            at = following


def _next_page(
    file: BinaryIO, at: int, order: str, is_big: bool, pointer: struct.Struct
) -> int | None:
    """Where the next page's directory lies, 0 after the last; None if the file ends before."""
    count, entry = struct.Struct(order + ("Q" if is_big else "H")), 20 if is_big else 12
    file.seek(at)
    raw = file.read(count.size)
    if len(raw) < count.size:
        return None
    (n_tags,) = count.unpack(raw)
    if n_tags > 2**16:
        return None
    file.seek(at + count.size + n_tags * entry)
    raw = file.read(pointer.size)
    return int(pointer.unpack(raw)[0]) if len(raw) == pointer.size else None
