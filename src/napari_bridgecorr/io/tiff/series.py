"""What a TIFF file holds, apart from OME-XML: series of planes, their resolutions, tags.

Stacks and plain pyramids are made up here from the page directories; what vendors mean by their
pages, tifffile knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from ...errors import ReadError
from ...image import Role
from .directory import COPY_AGAIN, Directory, read_directories
from .levels import Page, TiffLevel, level_of_pages, level_of_series
from .library import opened, page_at, reopened_page, require_tiff, with_decoder
from .plane import Decoder, decoder_of
from .vendor import Described, describe_vendor

# what tifffile makes up better than we do; asked in its order
_KINDS = (
    *("shaped", "lsm", "mmstack", "imagej", "fluoview", "stk", "sis", "svs", "scn", "qpi", "ndpi"),
    *("bif", "avs", "eer", "philips", "scanimage", "nih", "mdgel"),
)
# it corrects what their directories say
_CORRECTED = {"lsm", "ndpi", "stk", "mmstack", "eer"}
_ROLES: dict[str, Role] = {
    "label": "slide label",
    "macro": "slide preview",
    "map": "slide preview",
    "overview": "slide preview",
    "thumbnail": "slide preview",
}
_OME_SCHEMA = "openmicroscopy.org/Schemas/OME"
# Micro-Manager's summary may announce more planes than were taken, but not a thousand times as many
_MOST_ANNOUNCED = 1000


@dataclass(frozen=True)
class TiffSeries:
    """Images of one shape that belong together.

    Parameters
    ----------
    name : str
    levels : tuple of TiffLevel
        Full resolution first.
    resolution : (x, y, unit)
        Pixels per unit and the unit of the tags (1 none, 2 inch, 3 cm); None where absent.
    is_rgb : bool
        The samples are colours.
    role : Role
    described : Described or None
        What the vendor's metadata say of it.
    warnings : tuple of str
    """

    name: str
    levels: tuple[TiffLevel, ...]
    resolution: tuple[float | None, float | None, int]
    is_rgb: bool
    role: Role = "image"
    described: Described | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TiffContents:
    """What a file holds.

    Parameters
    ----------
    kind : str
        ``plain``, ``imagej``, ``svs``...
    series : tuple of TiffSeries
        Empty where OME-XML describes the file: `ome_files` makes up its images.
    pages : tuple of Directory
    ome_xml : str or None
    notes : dict
        What ImageJ says, where it wrote the file, or tifffile in its manner.
    warnings : tuple of str
    """

    kind: str
    series: tuple[TiffSeries, ...]
    pages: tuple[Directory, ...]
    ome_xml: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def open_tiff(path: Path, *, believe_ome: bool = True) -> TiffContents:
    """Read the structure of a file, not its pixels.

    Parameters
    ----------
    path : Path
    believe_ome : bool
        Leave the images of a file with OME-XML to `ome_files`.

    Raises
    ------
    ReadError
        If it is not TIFF, or damaged, or truncated.
    """
    require_tiff(path)
    try:
        pages = read_directories(path)
    except OSError as error:
        raise ReadError(path, f"cannot be read ({error})", COPY_AGAIN) from error
    with opened(path) as tif:
        first = tif.pages.first
        text = first.description
        is_ome = text.rstrip("\0 \r\n\t").endswith("OME>") or _OME_SCHEMA in text[:4096]
        if is_ome and believe_ome:
            return TiffContents("ome", (), pages, ome_xml=text)
        kind = next((k for k in _KINDS if getattr(tif, f"is_{k}", False)), "plain")
        if kind == "mmstack" and not _is_plausible(tif):
            kind = "plain"
        if kind not in ("plain", "imagej"):
            found = tif.series
            if not found or found[0].kind in ("generic", "uniform"):
                kind = "plain" if kind != "ndpi" else kind
        notes = dict(tif.imagej_metadata or {}) if tif.is_imagej else {}
        if kind == "shaped":
            notes = dict((tif.shaped_metadata or ({},))[0])
        hyperstack = _imagej_pages(notes, pages, tif) if kind == "imagej" else None
        if hyperstack is not None:
            axes, shape = hyperstack
            load = _loader(path, tif)
            level = level_of_pages({i: (path, p) for i, p in enumerate(pages)}, axes, shape, load)
            series = [_tagged(tif.pages.first, "", (level,), "image")]
        elif kind == "plain":
            series = plain_series(path, pages, _loader(path, tif))
        else:
            series = _known_series(path, tif, kind, pages)
        described = describe_vendor(tif, kind, len(series))
        series = [
            replace(s, described=d, role=d.role or s.role, name=d.name or s.name)
            for s, d in zip(series, described, strict=True)
        ]
    _require_announced(path, notes if kind == "imagej" or tif.is_imagej else {}, series)
    if not series:
        raise ReadError(path, "holds no image", COPY_AGAIN)
    return TiffContents(kind, tuple(series), pages, text if is_ome else None, notes)


def _loader(path: Path, tif: Any) -> Callable[[Page], Decoder]:
    return lambda page: decoder_of(path, page_at(tif, page[1].offset))


def _imagej_pages(
    notes: dict[str, Any], pages: Sequence[Directory], tif: Any
) -> tuple[str, tuple[int, ...]] | None:
    """Axes and lengths of a hyperstack that has a page per plane, however each is stored.

    None where ImageJ wrote one page before many planes, or its words do not fit the pages.
    """
    lengths = {}
    for axis, key in (("T", "frames"), ("Z", "slices"), ("C", "channels")):
        length = notes.get(key, 1)
        if not isinstance(length, int) or length < 1:
            return None
        lengths[axis] = length
    samples = int(tif.pages.first.samplesperpixel)
    if samples > 1 and lengths["C"] == samples and len(pages) == lengths["T"] * lengths["Z"]:
        lengths["C"] = 1
    if prod(lengths.values()) != len(pages) or len(pages) < 2 or pages[0].children:
        return None
    # slowest last in ImageJ's word: czt
    order = str(notes.get("order", "czt")).upper()
    order = order[::-1] if sorted(order) == ["C", "T", "Z"] else "TZC"
    kept = [(axis, lengths[axis]) for axis in order if lengths[axis] > 1]
    return "".join(axis for axis, _ in kept), tuple(n for _, n in kept)


def _is_plausible(tif: Any) -> bool:
    """Whether Micro-Manager's summary announces no more than could be there."""
    known = tif.micromanager_metadata or {}
    summary, index = known.get("Summary") or {}, known.get("IndexMap")
    announced = prod(
        max(1, int(summary.get(key, 1))) for key in ("Channels", "Slices", "Positions", "Frames")
    )
    reached = prod(int(n) + 1 for n in index[:, :4].max(axis=0)) if index is not None else 1
    return index is not None and max(announced, reached) <= _MOST_ANNOUNCED * max(1, len(index))


def _require_announced(path: Path, imagej: dict[str, Any], series: Sequence[TiffSeries]) -> None:
    # ImageJ's large stacks have one page, and its text says how many planes follow it
    announced = imagej.get("images", 1)
    present = sum(s.levels[0].n_planes for s in series)
    if isinstance(announced, int) and announced > present:
        raise ReadError(path, f"is cut short ({present} of {announced} planes)", COPY_AGAIN)


def _known_series(
    path: Path, tif: Any, kind: str, pages: tuple[Directory, ...]
) -> list[TiffSeries]:
    trusted = {} if kind in _CORRECTED else {p.offset: p for p in _all_of(pages)}
    made: list[TiffSeries] = []
    for series in tif.series:
        for level in series.levels:
            with_decoder(level.keyframe)
        levels = [level_of_series(path, series.levels[0], trusted)]
        for smaller in series.levels[1:]:
            level = level_of_series(path, smaller, trusted)
            if is_reduced(level, levels[-1]):
                levels.append(level)
        name = str(series.name or "")
        role: Role = "image"
        for word, named in _ROLES.items():
            if name.lower().startswith(word):
                role = named
        if kind == "lsm" and made:
            role = "slide preview"  # its thumbnails
        made.append(_tagged(series.keyframe, name, tuple(levels), role))
    return made


def _all_of(pages: Sequence[Directory]) -> list[Directory]:
    return [p for page in pages for p in (page, *page.children)]


def plain_series(
    path: Path, pages: Sequence[Directory], load: Callable[[Page], Decoder]
) -> list[TiffSeries]:
    """Pages that nothing describes: those alike are a stack, reduced ones its pyramid.

    Raises
    ------
    ReadError
        If pages are cut short.
    """
    stacks: dict[object, list[Directory]] = {}
    for page in pages:
        stacks.setdefault(page.kind, []).append(page)
    pyramids: list[list[TiffLevel]] = []
    firsts: list[Directory] = []
    for stack in stacks.values():
        level = _stack(path, stack, load)
        on_top = next((p for p in pyramids if _is_next(level, p[-1])), None)
        if on_top is not None and not stack[0].children:
            on_top.append(level)
            continue
        levels = [level]
        n_children = min(len(page.children) for page in stack)
        for k in range(n_children):
            smaller = _stack(path, [page.children[k] for page in stack], load)
            if is_reduced(smaller, levels[-1]):
                levels.append(smaller)
        pyramids.append(levels)
        firsts.append(stack[0])
    made = []
    for levels, first in zip(pyramids, firsts, strict=True):
        is_beside = first.is_reduced and len(pyramids) > 1
        page = load((path, first)).page()
        made.append(_tagged(page, "", tuple(levels), "slide preview" if is_beside else "image"))
    return made


def _stack(path: Path, pages: Sequence[Directory], load: Callable[[Page], Decoder]) -> TiffLevel:
    n = len(pages)
    numbered = {i: (path, page) for i, page in enumerate(pages)}
    return level_of_pages(numbered, "I" if n > 1 else "", (n,) if n > 1 else (), load)


def is_reduced(level: TiffLevel, finer: TiffLevel) -> bool:
    """Whether `level` may stand above `finer` in a pyramid."""
    same = (level.axes, level.shape, level.samples, level.dtype)
    if same != (finer.axes, finer.shape, finer.samples, finer.dtype):
        return False
    return level.size != finer.size and all(
        a <= b for a, b in zip(level.size, finer.size, strict=True)
    )


def _is_next(level: TiffLevel, finer: TiffLevel) -> bool:
    """Whether pages that nothing describes are the next step of a pyramid: 2, 3 or 4 times less."""
    return is_reduced(level, finer) and any(
        all(abs(b / f - a) < 1 for a, b in zip(level.size, finer.size, strict=True))
        for f in (2, 3, 4)
    )


def _tagged(page: Any, name: str, levels: tuple[TiffLevel, ...], role: Role) -> TiffSeries:
    warnings: tuple[str, ...] = ()
    if int(page.photometric) == 0:
        warnings = ("its values count darkness (white is 0): they are shown as they are stored",)
    return TiffSeries(
        warnings=warnings,
        name=name,
        levels=levels,
        resolution=(_rational(page, 282), _rational(page, 283), _resolution_unit(page)),
        is_rgb=levels[0].samples >= 3 and int(page.photometric) in (2, 6),
        role=role,
    )


def _rational(page: Any, code: int) -> float | None:
    tag = page.tags.get(code)
    value = tag.value if tag is not None else None
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return None
    return float(value[0] / value[1])


def _resolution_unit(page: Any) -> int:
    tag = page.tags.get(296)
    # the TIFF standard's default is inch
    return int(tag.value) if tag is not None else 2


def load_decoder(page: Page) -> Decoder:
    """The decoder of pages like this one, from a file opened for it.

    Raises
    ------
    ReadError
        If the page is damaged.
    """
    path, directory = page
    with opened(path) as tif:
        return decoder_of(path, page_at(tif, directory.offset))


__all__ = [
    "TiffContents",
    "TiffSeries",
    "load_decoder",
    "open_tiff",
    "plain_series",
    "reopened_page",
]
