"""A folder of TIFF files as one stack: planes, or small stacks, in the order of their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import ReadError, one_line
from .directory import Directory, read_directories
from .levels import Page, TiffLevel, level_of_pages
from .library import require_tiff
from .names import Arrangement, arrangement_of, gap_warnings, natural, order_warnings
from .series import TiffContents, load_decoder, open_tiff

ENDINGS = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
COMPANION = ".companion.ome"


@dataclass(frozen=True)
class TiffFolder:
    """What a folder holds.

    Parameters
    ----------
    files : tuple of Path
        In the order of the stack.
    first : TiffContents
        The first file's, whose tags speak for all.
    planes : TiffLevel
    channel_names : tuple of str
        Where the names number channels.
    warnings : tuple of str
    """

    files: tuple[Path, ...]
    first: TiffContents
    planes: TiffLevel
    channel_names: tuple[str, ...]
    warnings: tuple[str, ...]


def plane_files(folder: Path) -> tuple[Path, ...]:
    """The folder's TIFF files in natural order (image_2 before image_10). Raises OSError."""
    return _files(folder, ENDINGS)


def companions(folder: Path) -> tuple[Path, ...]:
    """The folder's companion files of OME-XML. Raises OSError."""
    return _files(folder, (COMPANION,))


def _files(folder: Path, endings: tuple[str, ...]) -> tuple[Path, ...]:
    files = (f for f in folder.iterdir() if f.name.lower().endswith(endings))
    return tuple(
        sorted(
            # what begins with a dot is macOS's
            (f for f in files if not f.name.startswith(".") and f.is_file()),
            key=lambda f: natural(f.name),
        )
    )


def open_folder(files: tuple[Path, ...]) -> TiffFolder:
    """Read the structure of every plane.

    Parameters
    ----------
    files : tuple of Path
        As of :func:`plane_files`, at least one.

    Raises
    ------
    ReadError
        If a file is damaged, holds more than its place in the stack, or differs from the others.
    """
    arranged = arrangement_of([f.name for f in files])
    first = open_tiff(files[0], believe_ome=False)
    n_pages = first.series[0].levels[0].n_planes
    if len(first.series) > 1 or (n_pages > 1 and not _may_hold_stacks(first, arranged)):
        raise _several(files[0])
    pages: dict[int, Page] = {}
    for number, file in enumerate(files):
        place = arranged.places[number] if arranged else number
        directories = _pages_of(file, first, n_pages)
        for z, directory in enumerate(directories):
            pages[place * n_pages + z] = file, directory
    ordered = dict(sorted(pages.items()))
    shape: tuple[int, ...]
    if arranged is None:
        axes, shape = "Z", (len(files),)
        warnings = order_warnings([f.name for f in files])
    else:
        axes, shape = arranged.axes, arranged.shape
        warnings = tuple(w for n in arranged.numbers.values() for w in gap_warnings(n))
    if n_pages > 1:
        axes, shape = axes + "Z", (*shape, n_pages)
    absent = ", ".join(arranged.missing) if arranged else ""
    if absent:
        warnings += (f"files are missing by their names ({absent}): their planes cannot be read",)
    planes = level_of_pages(ordered, axes, shape, load_decoder, f"no file for {absent}")
    names = arranged.numbers.get("C", ()) if arranged and "C" in arranged.axes else ()
    return TiffFolder(files, first, planes, tuple(f"C{n}" for n in names), warnings)


def _may_hold_stacks(first: TiffContents, arranged: Arrangement | None) -> bool:
    """Whether each file may be a stack along z of the time and channel that its name states."""
    level = first.series[0].levels[0]
    return (
        arranged is not None
        and "Z" not in arranged.axes
        and level.axes in ("Z", "I", "Q")
        and len(first.pages) == level.n_planes
    )


def _pages_of(file: Path, first: TiffContents, n_pages: int) -> tuple[Directory, ...]:
    require_tiff(file)
    try:
        pages = read_directories(file)
        size = file.stat().st_size
    except OSError as error:
        raise ReadError(file, f"cannot be read ({one_line(error)})", "copy it again") from error
    # ImageJ's large stacks have one page before many planes
    plane = first.series[0].levels[0].decoders[0].plane_bytes
    stored = sum(int(n) for page in pages for n in page.counts)
    if size - stored >= plane and len(pages) == n_pages and n_pages == 1:
        held = open_tiff(file, believe_ome=False)
        if len(held.series) > 1 or held.series[0].levels[0].n_planes != 1:
            raise _several(file)
    alike = tuple(page for page in pages if page.kind == pages[0].kind)
    # what is smaller is a preview of the plane
    beside = [page for page in pages if page.kind != pages[0].kind and not page.is_reduced]
    if len(alike) != n_pages or beside:
        raise _several(file)
    return alike


def _several(file: Path) -> ReadError:
    return ReadError(
        file,
        "holds several planes, so that its folder is not one stack of planes",
        "open the file itself, or put each stack into a folder of its own",
    )
