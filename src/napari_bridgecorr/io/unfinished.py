"""Long outputs that survive being killed: what is finished is kept beside their place.

The folder ``.unfinished.NAME`` holds the output in the making, a lock and a journal. The journal's
first line states what is being made (inputs, transform, grid, options, versions); each further
line one finished piece of work and the sizes of its files. The same work, asked for again,
goes on from there; any other starts over. Nothing half-written ever bears the output's name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..errors import WriteError, one_line
from .atomic import replace_folder

JOURNAL = "journal.jsonl"
LOCK = "lock"
_FORMAT = "bridgecorr-unfinished"

Tell = Callable[[str], None]


class Unfinished:
    """An output in the making.

    Parameters
    ----------
    folder : Path
        Where it is made.
    root : Path
        The folder that holds it, the lock and the journal.
    done : mapping
        Names of the finished pieces of work.
    journal : file, optional
        Open for appending; None where nothing is kept of a run that fails.
    """

    def __init__(
        self, folder: Path, root: Path, done: Iterable[str], journal: IO[str] | None = None
    ) -> None:
        self.folder = folder
        self.root = root
        self.done = frozenset(done)
        self._journal = journal

    def record(self, piece: str, files: Iterable[Path]) -> None:
        """Note that a piece of work is finished, with all its files."""
        if self._journal is None:
            return
        sizes = {f.relative_to(self.folder).as_posix(): f.stat().st_size for f in files}
        self._journal.write(json.dumps({"piece": piece, "files": sizes}) + "\n")
        self._journal.flush()


def unfinished_folder(path: Path) -> Path:
    """Where the unfinished output of this name is kept."""
    return path.parent / f".unfinished.{path.name}"


@contextmanager
def resumable(
    path: Path, identity: Mapping[str, Any], tell: Tell, *, fresh: bool = False
) -> Iterator[Unfinished]:
    """Make the folder `path`, going on from what an earlier, interrupted run has finished.

    Parameters
    ----------
    path : Path
        Replaced at the end, whole or not at all.
    identity : mapping
        Plain values that determine every byte of the output; the keys are named to the user where
        they differ from the earlier run's.
    tell : callable
        Takes one line for the user.
    fresh : bool
        Drop what an earlier run has finished.

    Raises
    ------
    WriteError
        If another run is making the same output, or the folder cannot be written to.
    """
    if not path.parent.is_dir():
        raise WriteError(path, "its folder does not exist", "create the folder first")
    root = unfinished_folder(path)
    try:
        with _locked(root, path):
            try:
                with _opened(root, path, identity, tell, fresh) as unfinished:
                    yield unfinished
                replace_folder(unfinished.folder, path)
            except BaseException:
                _keep_or_remove(root, tell)
                raise
            shutil.rmtree(root, ignore_errors=True)
    except OSError as error:
        raise WriteError(
            path, one_line(error), f"check the disk space and permissions{_kept_words(root)}"
        ) from error


@contextmanager
def _opened(
    root: Path, path: Path, identity: Mapping[str, Any], tell: Tell, fresh: bool
) -> Iterator[Unfinished]:
    stated = json.loads(json.dumps(dict(identity)))
    digest = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
    # work of another identity that is still going on somewhere writes elsewhere
    folder = root / f"{digest[:12]}.{path.name}"
    header = {"format": _FORMAT, "version": 1, "output": path.name, "work": stated}
    before, pieces = _read(root / JOURNAL)
    done: dict[str, dict[str, int]] = {}
    if before is not None and fresh:
        tell("starting over, as asked")
    elif before is not None and before != stated:
        tell(f"starting over: {_difference(before, stated)}")
    elif before is not None:
        done = {p: files for p, files in pieces.items() if _are_there(folder, files)}
        lost = len(pieces) - len(done)
        again = f", {lost} must be done again because files of theirs are missing" if lost else ""
        tell(f"going on from an earlier run: {len(done)} blocks are finished{again}")
    if not done:
        _empty(root)
    folder.mkdir(exist_ok=True)
    _remove_strangers(folder, {name for files in done.values() for name in files})
    temporary = root / f"{JOURNAL}.new"
    with temporary.open("w", encoding="utf-8", newline="\n") as journal:
        journal.write(json.dumps(header) + "\n")
        for piece, files in done.items():
            journal.write(json.dumps({"piece": piece, "files": files}) + "\n")
        journal.flush()
        os.fsync(journal.fileno())
        temporary.replace(root / JOURNAL)
        yield Unfinished(folder, root, done, journal)


def _read(path: Path) -> tuple[Any, dict[str, dict[str, int]]]:
    """The work that a journal states (None: no journal), and the files of each finished piece."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None, {}
    pieces: dict[str, dict[str, int]] = {}
    work: Any = {}
    for number, line in enumerate(lines):
        try:
            entry = json.loads(line)
            if number == 0:
                work = entry["work"] if entry.get("format") == _FORMAT else {}
            else:
                pieces[str(entry["piece"])] = {str(k): int(v) for k, v in entry["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            if number == 0:
                return {}, {}
            break  # the line that was being written when the run was killed
    return work, pieces


def _are_there(folder: Path, files: Mapping[str, int]) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except OSError:
        return False


def _difference(before: Any, now: Mapping[str, Any]) -> str:
    """What has changed since the earlier run, in words."""
    if not isinstance(before, dict) or not before:
        return "the journal of the earlier run is damaged"
    keys = [k for k in {**before, **now} if before.get(k) != now.get(k)]
    return f"{', '.join(keys)} {'differ' if len(keys) > 1 else 'differs'} from the earlier run's"


def _remove_strangers(folder: Path, known: set[str]) -> None:
    """Remove files of pieces that were not finished, and temporary ones."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if name != "zarr.json" and file.relative_to(folder).as_posix() not in known:
                file.unlink()


def _empty(root: Path) -> None:
    for entry in root.iterdir():
        if entry.name != LOCK:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _keep_or_remove(root: Path, tell: Tell) -> None:
    """Say what is kept; keep nothing where nothing was finished."""
    _, pieces = _read(root / JOURNAL)
    if pieces:
        tell(f"what is finished is kept in {root}: run the same again to go on, or delete it")
    else:
        shutil.rmtree(root, ignore_errors=True)


def _kept_words(root: Path) -> str:
    return "; what is finished is kept: run the same again to go on" if root.exists() else ""


@contextmanager
def _locked(root: Path, path: Path) -> Iterator[None]:
    """Hold the lock of an unfinished output. The system frees it when its process dies."""
    file = _lock_file(root, path)
    try:
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
    finally:
        file.close()


def _lock_file(root: Path, path: Path) -> IO[str]:
    while True:
        root.mkdir(exist_ok=True)
        file = (root / LOCK).open("a+", encoding="utf-8")
        if not _lock(file):
            file.seek(0)
            who = one_line(file.read()) or "another process"
            file.close()
            raise WriteError(
                path, f"another run is writing it ({who})", "wait for it, or stop it first"
            )
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == (root / LOCK).stat().st_ino:
                return file
        # the run that held it has ended just now, and removed the folder
        file.close()


def _lock(file: IO[str]) -> bool:
    """Take a lock that no other process has; False where one has it."""
    if sys.platform == "win32":
        import msvcrt

        # a byte beyond the text, which others read
        file.seek(2**20)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
