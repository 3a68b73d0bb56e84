"""Where a Zarr hierarchy lies: a folder or a zip file. Bytes by key; no zarr here.

A key is a path below the root with ``/`` between its parts. Nothing outside the root is ever
opened: keys are checked where they enter, and links that lead out of the root are refused.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

LARGEST_JSON = 2**24
_LARGEST_MEMBER = 2**31
_MOST_MEMBERS = 2_000_000
_MOST_FOLDERS = 10_000
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)


class Unreadable(Exception):
    """Why a group or array cannot be read, as a clause; callers know the file and the remedy."""


class Files(Protocol):
    """The files below one root. Picklable, and used from several threads."""

    @property
    def name(self) -> str:
        """Name of the root."""

    @property
    def location(self) -> str:
        """Where the root is, as a user would write it."""

    @property
    def is_remote(self) -> bool:
        """Whether each access takes a round trip over a network."""

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Bytes ``start <= i < stop`` of a file; None where there is no such file.

        A negative `start` counts from the end. Raises Unreadable or OSError.
        """

    def size(self, key: str) -> int | None:
        """Bytes of a file; None where there is none."""

    def names(self, key: str) -> list[tuple[str, bool]] | None:
        """Name and whether it is a folder, of all that lies in a folder; None: cannot be listed."""

    def state(self, key: str) -> str:
        """Changes when the file does."""


@dataclass(frozen=True)
class Folder:
    """A group or array of a hierarchy: a root and a key below it."""

    files: Files
    key: str = ""

    def __truediv__(self, path: str) -> Folder:
        return Folder(self.files, f"{self.key}/{path}" if self.key else path)

    @property
    def name(self) -> str:
        """Last part of the key, or the root's name."""
        return self.key.rpartition("/")[2] or self.files.name

    @property
    def depth(self) -> int:
        """Folders between the root and this."""
        return len(self.key.split("/")) if self.key else 0

    def file_key(self, name: str) -> str:
        """Key of a file in it."""
        return f"{self.key}/{name}" if self.key else name

    def json(self, name: str) -> dict[str, Any] | None:
        """A JSON object in it; None where there is no such file.

        Raises
        ------
        Unreadable
            If it is absurdly large or is no JSON object.
        """
        try:
            content = self.files.read(self.file_key(name), 0, LARGEST_JSON + 1)
        except OSError as error:
            raise Unreadable(f"{name} cannot be read ({error.strerror or error})") from error
        if content is None:
            return None
        if len(content) > LARGEST_JSON:
            raise Unreadable(f"{name} is absurdly large")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:  # ValueError: bad JSON, bad UTF-8
            raise Unreadable(f"{name} is no JSON ({error})") from error
        if not isinstance(document, dict):
            raise Unreadable(f"{name} is no JSON object")
        return document

    def names(self) -> list[tuple[str, bool]]:
        """What lies in it; empty where that cannot be said."""
        return self.files.names(self.key) or []


def folder_at(path: Path) -> Folder:
    """The hierarchy in a folder or a zip file.

    Raises
    ------
    Unreadable
        If a file is no zip file.
    """
    if path.is_dir():
        return Folder(LocalFiles(path))
    files = ZippedFiles(path)
    if files.size("zarr.json") is None and files.size(".zgroup") is None:
        # zipped together with its folder
        inside = files.names("") or []
        if len(inside) == 1 and inside[0][1]:
            return Folder(files, inside[0][0])
    return Folder(files)


class LocalFiles:
    """Files below a folder. Links out of it are refused."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._real_root = os.path.realpath(self.root)
        # where folders really are: looking for links in every part of every path is slow
        self._folders: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"LocalFiles({str(self.root)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalFiles) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_real_root": self._real_root, "_folders": {}}

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.root.name

    @property
    def location(self) -> str:
        """Path of the folder."""
        return str(self.root)

    @property
    def is_remote(self) -> bool:
        """No."""
        return False

    def _place(self, key: str) -> str:
        folder, _, name = key.rpartition("/")
        if not name:
            return self._real_root
        real = self._folders.get(folder)
        if real is None:
            real = self._inside(os.path.realpath(f"{self._real_root}/{folder}"), key)
            if len(self._folders) > _MOST_FOLDERS:
                self._folders.clear()
            self._folders[folder] = real
        place = f"{real}/{name}"
        return self._inside(os.path.realpath(place), key) if os.path.islink(place) else place  # noqa: PTH114

    def _inside(self, place: str, key: str) -> str:
        root = self._real_root
        if place != root and not place.startswith(root.rstrip(os.sep) + os.sep):
            raise Unreadable(f"{key!r} is a link that leads out of the image's folder")
        return place

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """See :class:`Files`."""
        # a pipe under a chunk's name would be waited for
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self._place(key), flags)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except ValueError as error:  # a null character
            raise Unreadable(f"{key!r} is no file name") from error
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return None
            first, last = _range(start, stop, found.st_size)
            if last - first > _LARGEST_MEMBER:
                raise Unreadable(f"{key!r} is absurdly large ({found.st_size} bytes)")
            file.seek(first)
            parts = []
            while first < last and (part := file.read(last - first)):
                parts.append(part)
                first += len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    def size(self, key: str) -> int | None:
        """See :class:`Files`."""
        try:
            found = os.stat(self._place(key))  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def names(self, key: str) -> list[tuple[str, bool]] | None:
        """See :class:`Files`."""
        try:
            with os.scandir(self._place(key)) as entries:
                return [(entry.name, entry.is_dir()) for entry in entries]
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return []

    def state(self, key: str) -> str:
        """See :class:`Files`."""
        try:
            return str(os.stat(self._place(key)).st_mtime_ns)  # noqa: PTH116
        except OSError:
            return ""


class ZippedFiles:
    """Files in a zip file (``.zarr.zip``, or ``.ozx`` of RFC 9). What it unpacks to is bounded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        try:
            # stays open as long as the image lives, as chunks are read when they are looked at
            self._zip = zipfile.ZipFile(self.path)
        except _ZIP_FAULTS as error:
            raise Unreadable(f"it is no zip file that can be read ({error})") from error
        if len(self._zip.filelist) > _MOST_MEMBERS:
            raise Unreadable(f"it holds {len(self._zip.filelist)} files, which is absurd")
        self._lock = threading.Lock()
        self._folders: dict[str, dict[str, bool]] = {}
        for name in self._zip.NameToInfo:
            parts = PurePosixPath(name).parts
            # members that lead out of the archive are never asked for, as keys are checked
            for i, part in enumerate(parts[:64]):
                is_folder = i < len(parts) - 1 or name.endswith("/")
                self._folders.setdefault("/".join(parts[:i]), {})[part] = is_folder

    def __repr__(self) -> str:
        return f"ZippedFiles({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._open()

    def __del__(self) -> None:
        if hasattr(self, "_zip"):
            self._zip.close()

    @property
    def name(self) -> str:
        """Name of the zip file."""
        return self.path.name

    @property
    def location(self) -> str:
        """Path of the zip file."""
        return str(self.path)

    @property
    def is_remote(self) -> bool:
        """No."""
        return False

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """See :class:`Files`."""
        info = self._zip.NameToInfo.get(key)
        if info is None or info.is_dir():
            return None
        first, last = _range(start, stop, info.file_size)
        # a stored member may be as large as it likes: only the range is read
        needed = last if info.compress_type != zipfile.ZIP_STORED else last - first
        if needed > _LARGEST_MEMBER:
            raise Unreadable(f"{key!r} unpacks to {info.file_size} bytes, which is absurd")
        try:
            # seeking in one member and reading another at once would mix their positions
            with self._lock, self._zip.open(info) as member:
                member.seek(first)
                return member.read(last - first)
        except (*_ZIP_FAULTS, NotImplementedError) as error:
            raise Unreadable(f"{key!r} cannot be unpacked ({error})") from error

    def size(self, key: str) -> int | None:
        """See :class:`Files`."""
        info = self._zip.NameToInfo.get(key)
        return None if info is None or info.is_dir() else info.file_size

    def names(self, key: str) -> list[tuple[str, bool]] | None:
        """See :class:`Files`."""
        return list(self._folders.get(key, {}).items())

    def state(self, key: str) -> str:  # noqa: ARG002
        """See :class:`Files`."""
        try:
            return str(self.path.stat().st_mtime_ns)
        except OSError:
            return ""


def _range(start: int, stop: int | None, size: int) -> tuple[int, int]:
    """The part of a file of `size` bytes that a range asks for."""
    first = max(0, size + start) if start < 0 else min(start, size)
    last = size if stop is None else min(stop, size)
    return first, max(first, last)
