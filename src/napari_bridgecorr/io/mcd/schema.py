"""What an MCD file says about itself: the XML at its end as slides, panoramas and acquisitions.

The XML is read as a stream and only what is needed is kept. readimc builds the whole tree and
searches it anew for every acquisition: 6 s for 400 regions, minutes for 2,000. Here the time grows
with the file, and a hostile one is bounded in size and depth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from ...errors import ReadError, one_line
from ..signature import mislabelled, read_head, signature_of

_START = "<MCDSchema".encode("utf-16-le")
_WINDOW_BYTES = 8 * 2**20
# 2,000 regions of 40 channels take 80 MB
_LARGEST_XML_BYTES = 256 * 2**20
_FEED_BYTES = 2**20
_DEEPEST = 64
_LONGEST_TEXT = 2**16
_COPY_AGAIN = "copy it again from the instrument's computer"

_METAL = re.compile(r"([A-Za-z]+)\(([0-9]{1,4})\)")
_KEPT = {"Slide", "Panorama", "AcquisitionROI", "ROIPoint", "Acquisition", "AcquisitionChannel"}

Fields = Mapping[str, str]
Point = tuple[float, float]


@dataclass(frozen=True)
class McdChannel:
    """One counted isotope.

    Parameters
    ----------
    name : str
        As the file writes it, ``Ir(191)``.
    label : str
        The user's name of the marker, or "".
    """

    name: str
    label: str

    @property
    def metal(self) -> str | None:
        """The isotope as ``Ir191``."""
        found = _METAL.fullmatch(self.name)
        return f"{found[1]}{found[2]}" if found else None


@dataclass(frozen=True)
class McdAcquisition:
    """One ablated region.

    Parameters
    ----------
    number : int
        The file's ID.
    slide : int
        ID of its slide.
    fields : mapping
        What the file says of it, as text.
    corners_um : tuple of four (x, y), or ()
        Corners of the region on the slide: top left, top right, bottom right, bottom left.
    channels : tuple of McdChannel
        Without X, Y and Z.
    starts_with_position : bool
        Whether the first three values of a pixel are X, Y and Z.
    """

    number: int
    slide: int
    fields: Fields
    corners_um: tuple[Point, ...]
    channels: tuple[McdChannel, ...]
    starts_with_position: bool

    @property
    def name(self) -> str:
        """The user's name of the region."""
        return _shown(self.fields.get("Description", "")) or f"Acquisition {self.number}"


@dataclass(frozen=True)
class McdPicture:
    """A slide or panorama with its picture (`kind` is the element's name)."""

    kind: str
    number: int
    slide: int
    fields: Fields

    @property
    def name(self) -> str:
        """The user's name of it."""
        return _shown(self.fields.get("Description", "")) or f"{self.kind} {self.number}"


@dataclass(frozen=True)
class McdContents:
    """Everything, ordered by slide and number. `faults` says what could not be understood."""

    slides: tuple[McdPicture, ...]
    panoramas: tuple[McdPicture, ...]
    acquisitions: tuple[McdAcquisition, ...]
    faults: tuple[str, ...]


def read_contents(path: Path) -> McdContents:
    """Read the description at the end of a file.

    Raises
    ------
    ReadError
        If there is none, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            start = _find_last_start(file)
            if start is None:
                raise _no_description(path)
            file.seek(start)
            elements = _Elements()
            try:
                elements.parse(file)
            except (expat.ExpatError, ValueError) as error:
                raise ReadError(
                    path, f"is damaged: its description is no XML ({one_line(error)})", _COPY_AGAIN
                ) from error
    except OSError as error:
        raise ReadError(path, f"cannot be read ({one_line(error)})", "check the drive") from error
    return _contents(elements)


def number_of(fields: Fields, key: str) -> float | None:
    """A finite number of a record, or None."""
    try:
        value = float(fields.get(key, ""))
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


def whole_number_of(fields: Fields, key: str) -> int | None:
    """A whole number of a record that is not negative, or None."""
    text = fields.get(key, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _find_last_start(file: BinaryIO) -> int | None:
    """Where the last MCDSchema begins: the first version of the format wrote several."""
    end = file.seek(0, 2)
    stop = end
    while stop > 0 and end - stop < _LARGEST_XML_BYTES:
        begin = max(0, stop - _WINDOW_BYTES)
        file.seek(begin)
        # windows overlap by the mark's length, so that none is cut in two
        found = file.read(stop - begin + len(_START)).rfind(_START)
        if found >= 0:
            return int(begin + found)
        stop = begin
    return None


def _no_description(path: Path) -> ReadError:
    head = read_head(path)
    if signature_of(head) is not None or not head:
        return ReadError(path, *mislabelled(head, "MCD"))
    return ReadError(
        path, "is no MCD file, or cut short: the description at its end is missing", _COPY_AGAIN
    )


@dataclass
class _Elements:
    """The records of the XML, gathered while it streams by."""

    kept: dict[str, list[dict[str, str]]] = field(
        default_factory=lambda: {kind: [] for kind in _KEPT}
    )
    _path: list[str] = field(default_factory=list)
    _record: dict[str, str] = field(default_factory=dict)
    _text: list[str] = field(default_factory=list)
    _length: int = 0
    _is_over: bool = False

    def parse(self, file: BinaryIO) -> None:
        """Read from the file's place to the end of the root element."""
        parser = expat.ParserCreate("UTF-16LE")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse_doctype
        fed = 0
        while not self._is_over:
            piece = file.read(_FEED_BYTES)
            if not piece:
                raise ValueError("it is cut short")
            fed += len(piece)
            if fed > _LARGEST_XML_BYTES:
                raise ValueError("it is too long")
            try:
                parser.Parse(piece, False)
            except expat.ExpatError:
                # other documents follow the root element
                if not self._is_over:
                    raise

    def _start(self, name: str, _attributes: object) -> None:
        if self._is_over:
            return
        self._path.append(name.rpartition(":")[2])
        if len(self._path) > _DEEPEST:
            raise ValueError("it is nested too deeply")
        if len(self._path) == 2:
            self._record = {}
        self._text, self._length = [], 0

    def _end(self, _name: str) -> None:
        if self._is_over:
            return
        name = self._path.pop()
        if len(self._path) == 2 and self._path[1] in _KEPT:
            self._record[name] = "".join(self._text)
        elif len(self._path) == 1 and name in _KEPT:
            self.kept[name].append(self._record)
        self._is_over = not self._path
        self._text, self._length = [], 0

    def _characters(self, text: str) -> None:
        if len(self._path) == 3:
            self._length += len(text)
            if self._length > _LONGEST_TEXT:
                raise ValueError("an entry is too long")
            self._text.append(text)


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it declares a document type")


def _contents(elements: _Elements) -> McdContents:
    kept = elements.kept
    slides = tuple(_pictures("Slide", kept["Slide"], "ID"))
    panoramas = tuple(_pictures("Panorama", kept["Panorama"], "SlideID"))
    slide_of_panorama = {panorama.number: panorama.slide for panorama in panoramas}
    slide_of_region: dict[int | None, int] = {}
    for record in kept["AcquisitionROI"]:
        panorama = whole_number_of(record, "PanoramaID")
        number = whole_number_of(record, "ID")
        if number is not None and panorama in slide_of_panorama:
            slide_of_region[number] = slide_of_panorama[panorama]
    corners = _corners(kept["ROIPoint"])
    channels = _channels(kept["AcquisitionChannel"])
    faults = []
    acquisitions = []
    first_slide = slides[0].number if slides else 0
    for record in kept["Acquisition"]:
        number = whole_number_of(record, "ID")
        if number is None:
            faults.append("an acquisition without a number is left out")
            continue
        region = whole_number_of(record, "AcquisitionROIID")
        ordered = channels.get(number, ())
        acquisitions.append(
            McdAcquisition(
                number,
                slide_of_region.get(region, first_slide),
                record,
                corners.get(region, ()) if region is not None else (),
                ordered[3:],
                [channel.name for channel in ordered[:3]] == ["X", "Y", "Z"],
            )
        )
    acquisitions.sort(key=lambda acquisition: (acquisition.slide, acquisition.number))
    return McdContents(slides, panoramas, tuple(acquisitions), tuple(faults))


def _shown(text: str) -> str:
    """A name as it was typed, on one line; "" where nothing can be seen of it."""
    if text.isprintable():
        return text if text.strip() else ""
    return _shown("".join(character if character.isprintable() else " " for character in text))


def _pictures(kind: str, records: list[dict[str, str]], slide_key: str) -> list[McdPicture]:
    pictures = []
    for record in records:
        number, slide = whole_number_of(record, "ID"), whole_number_of(record, slide_key)
        if number is not None and slide is not None:
            pictures.append(McdPicture(kind, number, slide, record))
    return sorted(pictures, key=lambda picture: (picture.slide, picture.number))


def _corners(records: list[dict[str, str]]) -> dict[int | None, tuple[Point, ...]]:
    """Corners by region; only regions with four."""
    found: dict[int | None, list[tuple[int, float, float]]] = {}
    for record in records:
        region, order = (whole_number_of(record, k) for k in ("AcquisitionROIID", "OrderNumber"))
        x, y = number_of(record, "SlideXPosUm"), number_of(record, "SlideYPosUm")
        if region is not None and order is not None and x is not None and y is not None:
            found.setdefault(region, []).append((order, x, y))
    return {
        region: tuple((x, y) for _, x, y in sorted(points))
        for region, points in found.items()
        if len(points) == 4
    }


def _channels(records: list[dict[str, str]]) -> dict[int, tuple[McdChannel, ...]]:
    """Channels by acquisition, X, Y and Z among them, in the order of a pixel's values."""
    found: dict[int, list[tuple[int, int, McdChannel]]] = {}
    for place, record in enumerate(records):
        acquisition = whole_number_of(record, "AcquisitionID")
        order = whole_number_of(record, "OrderNumber")
        if acquisition is not None and order is not None:
            channel = McdChannel(
                _shown(record.get("ChannelName", "")), _shown(record.get("ChannelLabel", ""))
            )
            found.setdefault(acquisition, []).append((order, place, channel))
    return {
        acquisition: tuple(channel for _, _, channel in sorted(entries, key=lambda e: e[:2]))
        for acquisition, entries in found.items()
    }
