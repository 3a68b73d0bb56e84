"""Which 2dseq files a path means: one, those of an experiment, or those of a whole study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

IMAGE = "2dseq"
PARAMETERS = "visu_pars"
_MOST_ENTRIES = 10_000
_MOST_IMAGES = 2000


def image_files(path: Path) -> list[Path]:
    """The 2dseq files at a path, in the order of their numbers.

    Parameters
    ----------
    path : Path
        A 2dseq file; the folder of one (``5/pdata/1``); the folder of an experiment (``5``); the
        folder of a study, which holds experiments.

    Raises
    ------
    OSError
        If a folder cannot be listed.
    """
    if not path.is_dir():
        return [path] if path.name == IMAGE and path.is_file() else []
    if (path / IMAGE).is_file():
        return [path / IMAGE]
    found = list(_of_experiment(path))
    if not found:
        found = [file for child in _numbered(path) for file in _of_experiment(child)]
    return found[:_MOST_IMAGES]


def _of_experiment(folder: Path) -> Iterator[Path]:
    processed = folder if folder.name == "pdata" else folder / "pdata"
    if processed.is_dir():
        for child in _numbered(processed):
            if (child / IMAGE).is_file():
                yield child / IMAGE


def _numbered(folder: Path) -> list[Path]:
    """Folders in a folder by number: 2 before 10, names last."""
    children = []
    for entry, child in enumerate(folder.iterdir()):
        if entry >= _MOST_ENTRIES:
            break
        if child.is_dir() and not child.name.startswith("."):
            children.append(child)

    def order(child: Path) -> tuple[int, str]:
        is_number = child.name.isascii() and child.name.isdigit() and len(child.name) < 12
        return (int(child.name) if is_number else 10**12, child.name)

    return sorted(children, key=order)
