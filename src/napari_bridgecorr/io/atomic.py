"""Outputs appear whole or not at all: they are written beside their place and renamed."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import WriteError, one_line


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes the place of `path`.

    The temporary path ends in the name of `path`, so that libraries that look at the ending do the
    right thing. Works for files and folders. On any failure (cancelling included) the temporary
    file or folder is removed and what stood at `path` is untouched.

    Raises
    ------
    WriteError
        If the folder does not exist or cannot be written to.
    """
    if not path.parent.is_dir():
        raise WriteError(path, "its folder does not exist", "create the folder first")
    temporary = path.parent / f".{uuid.uuid4().hex[:8]}.partial.{path.name}"
    try:
        yield temporary
        if temporary.is_dir():
            replace_folder(temporary, path)
        else:
            if path.is_dir():
                raise WriteError(path, "a folder of this name exists", "choose another name")
            temporary.replace(path)
    except OSError as error:
        raise WriteError(path, one_line(error), "check the disk space and permissions") from error
    finally:
        with suppress(OSError):  # a name that is too long cannot be looked for either
            _remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; when this returns it is on the disk."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        # else a power cut can leave the new name with nothing behind it
        os.fsync(file.fileno())


def replace_folder(temporary: Path, path: Path) -> None:
    """Put a finished folder in the place of `path`, where an image folder or nothing may stand.

    Raises
    ------
    WriteError
        If something else stands there.
    """
    if not path.exists():
        temporary.rename(path)
        return
    if not path.is_dir() or not _is_ours_to_replace(path):
        raise WriteError(path, "something else of this name exists", "choose another name")
    old = path.parent / f".{uuid.uuid4().hex[:8]}.old.{path.name}"
    path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    _remove(old)


def _is_ours_to_replace(folder: Path) -> bool:
    """Only an image folder (Zarr) or an empty one is ever replaced, never somebody's documents."""
    markers = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
    return not any(folder.iterdir()) or any((folder / name).exists() for name in markers)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
