"""Files that a file of ours names: they lie in its own folder or below."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import ReadError


def file_beside(path: Path, name: str, what: str) -> Path:
    """Where a file lies that `path` names by its relative path.

    Parameters
    ----------
    path : Path
        The file that names it.
    name : str
        With ``/`` or ``\\`` between folders.
    what : str
        What it is, for the message.

    Raises
    ------
    ReadError
        If it would lie outside the folder of `path` (links followed), or cannot be a file's name.
    """
    inside = PurePosixPath(name.replace("\\", "/"))
    if inside.is_absolute() or PureWindowsPath(name).anchor or ".." in inside.parts:
        raise _outside(path, name, what)
    folder = path.parent.resolve()
    try:
        place = (folder / inside).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a name with a NUL, a ring of links
        raise ReadError(path, f"it names a file {name!r} that cannot be", "mend it") from error
    if not place.is_relative_to(folder):
        raise _outside(path, name, what)
    return path.parent / inside


def _outside(path: Path, name: str, what: str) -> ReadError:
    return ReadError(
        path,
        f"it names {name!r}, which lies outside its folder",
        f"put the {what} beside it and name it by its relative path",
    )
