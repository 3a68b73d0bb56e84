"""The planes of OME images: which page of which file each is, in files that lie in one folder.

A document may name files; only plain names in its own folder are ever opened. A plane that no file
holds is told and refused, never shown as zeros.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import ReadError, one_line
from .directory import COPY_AGAIN, Directory, read_directories
from .levels import Page, TiffLevel, level_of_pages
from .library import opened, require_tiff
from .ome_xml import OmeDocument, OmeImage, TiffData, parse_ome
from .plane import Decoder
from .series import TiffSeries, is_reduced, load_decoder

# planes that are described and in no file: more of them is a lie, not an interrupted experiment
_MOST_ABSENT = 100_000
_MOST_XML_BYTES = 64 * 2**20


class Misfit(ValueError):
    """The document does not describe these pages; in words."""


@dataclass(frozen=True)
class OmeSeries:
    """An image of a document, with its planes.

    Parameters
    ----------
    said : OmeImage
    series : TiffSeries
    warnings : tuple of str
    """

    said: OmeImage
    series: TiffSeries
    warnings: tuple[str, ...]


def document_of(path: Path, xml: str) -> tuple[Path, OmeDocument]:
    """The document that describes a file, and the file that holds it.

    Raises
    ------
    Misfit
        If it is damaged, or lies in a file that is not there.
    """
    try:
        document = parse_ome(xml)
        if not document.elsewhere:
            return path, document
        place = _beside(path, document.elsewhere)
        if place is None:
            raise Misfit(f"its description lies in {document.elsewhere}, which is missing")
        if place.name.lower().endswith((".tif", ".tiff", ".btf", ".tf2", ".tf8")):
            require_tiff(place)
            with opened(place) as tif:
                text = str(tif.pages.first.description)
        else:
            text = read_xml(place)
        document = parse_ome(text)
    except (ReadError, ValueError) as error:
        raise Misfit(one_line(error)) from error
    if document.elsewhere:
        raise Misfit(f"its description lies in {place.name}, which points elsewhere again")
    return place, document


def read_xml(path: Path) -> str:
    """The text of a companion file.

    Raises
    ------
    ReadError
        If it cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_XML_BYTES + 1)
    except OSError as error:
        raise ReadError(path, f"cannot be read ({one_line(error)})", COPY_AGAIN) from error
    if len(raw) > _MOST_XML_BYTES:
        raise ReadError(path, "is too large for OME-XML", "check that it is a companion file")
    for mark, coding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if raw.startswith(mark):
            return raw.decode(coding, "replace")
    return raw.decode("utf-8-sig", "replace")


def _beside(path: Path, name: str) -> Path | None:
    """The file of that plain name beside `path`, if there is one."""
    if not name or name in (".", "..") or any(c in name for c in "/\\\0") or ":" in name[:2]:
        return None
    place = path.parent / name
    try:
        return place if place.is_file() else None
    except OSError:
        return None


class OmeFiles:
    """The files of one document, each read once.

    Parameters
    ----------
    holder : Path
        The file that holds the document.
    document : OmeDocument
    known : mapping of Path to pages
        Files whose pages have been read already.
    """

    def __init__(
        self, holder: Path, document: OmeDocument, known: Mapping[Path, tuple[Directory, ...]]
    ) -> None:
        self._holder = holder
        self._uuid = document.uuid
        self._pages = dict(known)
        self._lost: dict[str, str] = {}
        names = {d.file_name for image in document.images for d in image.data if d.file_name}
        # a lone file that was renamed: it cannot be meant but by its old name
        self._is_renamed = len(names) == 1 and _beside(holder, next(iter(names))) is None

    def find(self, data: TiffData) -> tuple[Path, tuple[Directory, ...]] | str:
        """The file of a block of planes and its pages, or why they cannot be had."""
        own = self._holder if self._holder in self._pages else None
        name = data.file_name
        is_own = (
            not (name or data.uuid)
            or (data.uuid and data.uuid == self._uuid)
            or name.lower() == self._holder.name.lower()
            or not name
            or self._is_renamed
        )
        if is_own and own is not None:
            return own, self._pages[own]
        if name not in self._lost:
            place = _beside(self._holder, name)
            if place is None:
                is_plain = not any(c in name for c in "/\\")
                self._lost[name] = (
                    f"{name} is missing" if is_plain else f"{name} is not in the same folder"
                )
            elif place in self._pages:
                return place, self._pages[place]
            else:
                try:
                    require_tiff(place)
                    self._pages[place] = read_directories(place)
                    return place, self._pages[place]
                except (ReadError, OSError) as error:
                    fault = error.fault if isinstance(error, ReadError) else one_line(error)
                    self._lost[name] = f"{name} {fault}"
        return self._lost[name]


def open_ome(
    holder: Path, document: OmeDocument, known: Mapping[Path, tuple[Directory, ...]]
) -> tuple[OmeSeries, ...]:
    """The images of a document whose planes can be had, each with what is wrong with it.

    Raises
    ------
    Misfit
        If the document does not describe the pages.
    ReadError
        If planes are damaged, or none of the files is there.
    """
    if not document.images:
        raise Misfit("its OME-XML describes no image")
    files = OmeFiles(holder, document, known)
    found: list[OmeSeries] = []
    left_out: list[str] = []
    for image in document.images:
        made = _open_image(image, files, len(document.images))
        if isinstance(made, str):
            left_out.append(f"image {image.name!r} is left out: {made}")
        else:
            found.append(made)
    if not found:
        reason = left_out[0].partition(": ")[2]
        raise ReadError(holder, f"lacks all its planes ({reason})", "copy all its files")
    more = tuple(left_out[:3])
    if len(left_out) > 3:
        more += (f"{len(left_out) - 3} more images are left out",)
    return tuple(replace(s, warnings=s.warnings + more) for s in found)


@dataclass
class _Placed:
    """Planes by number in the order t, c, z, and why others are not there."""

    pages: dict[int, Page]
    reasons: Counter[str]


def _open_image(image: OmeImage, files: OmeFiles, n_images: int) -> OmeSeries | str:
    load = _remembering(load_decoder)
    data = image.data or (TiffData((0, 0, 0), 0, None, "", ""),) * (n_images == 1)
    samples, size, reason = _first_page(data, files, load)
    if size is None:
        return reason
    n_t, n_c, n_z = image.sizes["T"], image.sizes["C"], image.sizes["Z"]
    if n_c % samples:
        raise Misfit(f"its OME-XML has {n_c} channels, its pages {samples} samples")
    n_c //= samples
    warnings: list[str] = []
    if size != (image.sizes["Y"], image.sizes["X"]):
        raise Misfit(
            f"its OME-XML describes planes of {image.sizes['Y']} x {image.sizes['X']} pixels, its "
            f"pages have {size[0]} x {size[1]}"
        )
    placed = _place(data, files, image.order, (n_t, n_c, n_z))
    if not placed.pages:
        return next(iter(placed.reasons), "it has no planes")
    absent = ""
    if len(placed.pages) < n_t * n_c * n_z:
        absent = _reasons(placed.reasons)
        n_whole = _whole_times(placed.pages, n_c * n_z)
        if n_whole:
            warnings.append(
                f"{n_whole} of {n_t} times are shown: the others are not complete ({absent})"
            )
            n_t = n_whole
            placed.pages = {n: p for n, p in placed.pages.items() if n < n_t * n_c * n_z}
        else:
            n_absent = n_t * n_c * n_z - len(placed.pages)
            if n_absent > _MOST_ABSENT + len(placed.pages):
                raise Misfit(f"its OME-XML claims {n_t * n_c * n_z} planes")
            warnings.append(
                f"{n_absent} of {n_t * n_c * n_z} planes are in no file ({absent}): they cannot "
                f"be read"
            )
    lengths = [(a, n) for a, n in zip("TCZ", (n_t, n_c, n_z), strict=True) if n > 1]
    axes, shape = "".join(a for a, _ in lengths), tuple(n for _, n in lengths)
    levels = _levels(placed.pages, axes, shape, load, absent)
    if absent and n_t * n_c * n_z == len(placed.pages):
        absent = ""
    first = load(next(iter(placed.pages.values()))).page()
    series = TiffSeries(
        name=image.name,
        levels=levels,
        resolution=(None, None, 1),
        is_rgb=samples >= 3 and int(first.photometric) in (2, 6),
        role="labels" if image.is_labels and levels[0].dtype.kind in "iu" else "image",
    )
    return OmeSeries(image, series, tuple(warnings))


def _remembering(load: Callable[[Page], Decoder]) -> Callable[[Page], Decoder]:
    """Load each way of storing once for the image, from whichever page comes first."""
    known: dict[object, Decoder] = {}

    def remembered(page: Page) -> Decoder:
        if page[1].kind not in known:
            known[page[1].kind] = load(page)
        return known[page[1].kind]

    return remembered


def _first_page(
    data: tuple[TiffData, ...], files: OmeFiles, load: Callable[[Page], Decoder]
) -> tuple[int, tuple[int, int] | None, str]:
    """Samples and size of the first page that can be had, else why none can."""
    reason = "it has no planes"
    for block in data:
        place = files.find(block)
        if isinstance(place, str):
            reason = place
            continue
        path, pages = place
        if block.page < len(pages):
            decoder = load((path, pages[block.page]))
            return decoder.samples, decoder.size, ""
        reason = f"{path.name} has {len(pages)} pages"
    return 1, None, reason


def _place(
    data: tuple[TiffData, ...], files: OmeFiles, order: str, lengths: tuple[int, int, int]
) -> _Placed:
    """Walk the blocks; each runs on in the document's order of dimensions."""
    sizes = dict(zip("TCZ", lengths, strict=True))
    n_planes = sizes["T"] * sizes["C"] * sizes["Z"]
    stride: dict[str, int] = {}
    step = 1
    for axis in order[2:]:
        stride[axis] = step
        step *= sizes[axis]
    by_number = {"T": sizes["C"] * sizes["Z"], "C": sizes["Z"], "Z": 1}
    placed = _Placed({}, Counter())
    for block in data:
        first = dict(zip("TCZ", block.first, strict=True))
        if any(first[axis] >= sizes[axis] for axis in "TCZ"):
            continue  # what is beyond the image after it was cropped
        start = sum(first[axis] * stride[axis] for axis in "TCZ")
        place = files.find(block)
        if isinstance(place, str):
            placed.reasons[place] += min(block.count or 1, n_planes - start)
            continue
        path, pages = place
        wanted = min(len(pages) if block.count is None else block.count, n_planes - start)
        present = max(0, min(wanted, len(pages) - block.page))
        if present < wanted:
            placed.reasons[f"{path.name} has only {len(pages)} pages"] += wanted - present
        for k in range(present):
            at = start + k
            number = sum(at // stride[a] % sizes[a] * by_number[a] for a in "TCZ")
            placed.pages[number] = path, pages[block.page + k]
    return placed


def _whole_times(pages: Mapping[int, Page], per_time: int) -> int:
    """How many times are complete from the first one on."""
    counts = Counter(number // per_time for number in pages)
    n = 0
    while counts.get(n) == per_time:
        n += 1
    return n


def _reasons(reasons: Counter[str]) -> str:
    words = list(reasons)
    text = "; ".join(words[:3]) or "the document does not say where they are"
    return text + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def _levels(
    pages: Mapping[int, Page],
    axes: str,
    shape: tuple[int, ...],
    load: Callable[[Page], Decoder],
    absent: str,
) -> tuple[TiffLevel, ...]:
    levels = [level_of_pages(pages, axes, shape, load, absent)]
    for k in range(min(len(page.children) for _, page in pages.values())):
        children = {n: (path, page.children[k]) for n, (path, page) in pages.items()}
        level = level_of_pages(children, axes, shape, load, absent)
        if not is_reduced(level, levels[-1]):
            break
        levels.append(level)
    return tuple(levels)
