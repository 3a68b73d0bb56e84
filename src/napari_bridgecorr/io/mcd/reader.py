"""MCD files as spatial images: acquisitions, panoramas, photographs of regions, slides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...errors import GeometryError, ReadError, one_line
from ...geometry import Grid
from ...image import Channel, Role, Source, SpatialImage
from ..lazy import lazily
from ..reader import Claim
from .pictures import Picture, PictureError, find_picture
from .pixels import N_POSITION_VALUES, AcquisitionPixels, BinaryPixels
from .place import (
    Known,
    acquisition_place,
    panorama_corners,
    photograph_place,
    picture_place,
    slide_corners,
)
from .schema import (
    Fields,
    McdAcquisition,
    McdChannel,
    McdPicture,
    read_contents,
    whole_number_of,
)
from .size import completeness_warnings, require_sane_size

_FORMAT = "MCD"
_COPY_AGAIN = "copy it again from the instrument's computer"
_VALUE_BYTES = 4
# as many left-out parts are named in full; the others are counted
_NAMED_FAULTS = 5
# what a script may want to know of an acquisition, and what of a panorama
_NOTED = (
    "Description",
    "StartTimeStamp",
    "EndTimeStamp",
    "AblationPower",
    "AblationFrequency",
    "AblationDistanceBetweenShotsX",
    "AblationDistanceBetweenShotsY",
    "MovementType",
    "SignalType",
    "Template",
    "ProfilingType",
    "Type",
    "RotationAngle",
)


class McdReader:
    """Reader of MCD files (see :class:`~..reader.Reader`)."""

    format_name = _FORMAT
    patterns = ("*.mcd",)

    def claim(self, path: Path) -> Claim:
        """Claim by name."""
        if path.name.lower().endswith(".mcd") and not path.is_dir():
            return Claim(True, "the name ends in .mcd")
        return Claim(False, "the name does not end in .mcd")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """Acquisitions, then panoramas, photographs before and after ablation, slides.

        Parts that are empty or damaged are left out, and every image says which.

        Raises
        ------
        ReadError
            If the file is damaged, or holds no part that can be read.
        """
        contents = read_contents(path)
        parts = _Parts(path, path.stat().st_size, list(contents.faults))
        _add_acquisitions(parts, contents.acquisitions)
        _add_panoramas(parts, contents.panoramas)
        _add_photographs(parts, contents.acquisitions)
        _add_slides(parts, contents.slides)
        if not parts.images:
            fault = "; ".join(parts.left_out()) or "it holds no acquisition"
            raise ReadError(path, f"holds nothing that can be read ({fault})", _COPY_AGAIN)
        return parts.numbered()


@dataclass
class _Parts:
    """The images of one file while they are gathered."""

    path: Path
    n_bytes: int
    faults: list[str]
    images: list[SpatialImage] = field(default_factory=list)
    regions: dict[int, Grid] = field(default_factory=dict)

    def left_out(self) -> list[str]:
        """What is missing, as few lines."""
        lines = self.faults[:_NAMED_FAULTS]
        more = len(self.faults) - len(lines)
        return lines + ([f"{more} more parts of the file are left out"] if more else [])

    def numbered(self) -> tuple[SpatialImage, ...]:
        """The images, each with its number in the file and told what is missing."""
        missing = tuple(self.left_out())
        return tuple(
            replace(
                image,
                source=replace(image.source, image_index=number),
                warnings=image.warnings + missing,
            )
            for number, image in enumerate(self.images)
        )


def _add_acquisitions(parts: _Parts, acquisitions: Sequence[McdAcquisition]) -> None:
    for overlap in _overlaps(acquisitions):
        parts.faults.append(overlap)
    for acquisition in acquisitions:
        try:
            pixels, warnings = _pixels(parts, acquisition)
            grid, known, more = acquisition_place(acquisition, pixels.size)
        except (ValueError, GeometryError) as error:
            parts.faults.append(f"{acquisition.name} is left out: {one_line(error)}")
            continue
        parts.regions[acquisition.number] = grid
        parts.images.append(
            SpatialImage(
                levels=(lazily(pixels, pixels.chunks),),
                grids=(grid,),
                channels=tuple(_channel(channel) for channel in acquisition.channels),
                source=Source(parts.path, _FORMAT, 0, acquisition.name, "cyx"),
                voxel_size_known=known,
                metadata=_notes(acquisition.fields)
                | {
                    "acquisition_id": acquisition.number,
                    "slide_id": acquisition.slide,
                    "region_corners_um": [list(corner) for corner in acquisition.corners_um],
                },
                warnings=warnings + more,
            )
        )


def _pixels(
    parts: _Parts, acquisition: McdAcquisition
) -> tuple[AcquisitionPixels, tuple[str, ...]]:
    """Where the pixels are, and what the user must know. Raises ValueError if there are none."""
    fields = acquisition.fields
    width, height = whole_number_of(fields, "MaxX"), whole_number_of(fields, "MaxY")
    start, end = (whole_number_of(fields, f"Data{side}Offset") for side in ("Start", "End"))
    n_channels = len(acquisition.channels)
    if width is None or height is None or start is None or end is None:
        raise ValueError("the file does not say where its pixels are")
    if min(width, height) == 0:
        raise ValueError("it is empty (0 pixels)")
    if not acquisition.starts_with_position:
        raise ValueError("its pixels do not begin with X, Y and Z")
    require_sane_size(width, height, n_channels)
    if fields.get("ValueBytes", "4").strip() != "4" or _is_other_format(fields):
        raise ValueError("its values are not 4-byte numbers")
    if not start <= end <= parts.n_bytes:
        raise ValueError("its pixels lie outside the file")
    pixel_bytes = (n_channels + N_POSITION_VALUES) * _VALUE_BYTES
    n_stored, surplus = divmod(end - start, pixel_bytes)
    warnings: tuple[str, ...] = ()
    if surplus == pixel_bytes - 1 and end < parts.n_bytes:
        # some versions state the place of the last byte, others the one behind it
        n_stored += 1
    elif surplus:
        warnings = (f"its last pixel is cut off ({surplus} of {pixel_bytes} bytes)",)
    n_pixels = width * height
    listed = BinaryPixels(str(parts.path), start, min(n_stored, n_pixels), n_channels)
    pixels = AcquisitionPixels(listed, acquisition.name, (height, width))
    return pixels, completeness_warnings(acquisition.name, n_stored, n_pixels) + warnings


def _is_other_format(fields: Fields) -> bool:
    return fields.get("SegmentDataFormat", "Float").strip().lower() not in ("float", "")


def _overlaps(acquisitions: Sequence[McdAcquisition]) -> Iterator[str]:
    """Acquisitions that claim the same bytes: one of them shows the other's pixels."""
    spans = []
    for acquisition in acquisitions:
        start, end = (
            whole_number_of(acquisition.fields, f"Data{s}Offset") for s in ("Start", "End")
        )
        if start is not None and end is not None and start < end:
            spans.append((start, end, acquisition.name))
    reach, owner = 0, ""
    for start, end, name in sorted(spans):
        if start < reach:
            yield f"{owner} and {name} claim the same part of the file: do not trust them"
        if end > reach:
            reach, owner = end, name


def _channel(channel: McdChannel) -> Channel:
    return Channel(channel.label or channel.metal or channel.name, metal=channel.metal)


def _add_panoramas(parts: _Parts, panoramas: Sequence[McdPicture]) -> None:
    for panorama in panoramas:
        # the instrument's software keeps the regions that lie on no panorama on a virtual one
        if panorama.fields.get("Type") == "Default":
            continue
        picture = _picture(parts, panorama.fields, "Image", panorama.name)
        if picture is not None:
            grid, known, warnings = picture_place(panorama_corners(panorama.fields), picture.size)
            notes: dict[str, object] = {"panorama_id": panorama.number, "slide_id": panorama.slide}
            notes |= _notes(panorama.fields)
            _add_picture(parts, picture, "panorama", (grid, known, warnings), notes)


def _add_photographs(parts: _Parts, acquisitions: Sequence[McdAcquisition]) -> None:
    for acquisition in acquisitions:
        for when in ("Before", "After"):
            name = f"{acquisition.name} {when.lower()} ablation"
            picture = _picture(parts, acquisition.fields, f"{when}AblationImage", name)
            if picture is None:
                continue
            region = parts.regions.get(acquisition.number)
            place = (
                picture_place((), picture.size)
                if region is None
                else photograph_place(acquisition, region, picture.size)
            )
            notes: dict[str, object] = {
                "acquisition_id": acquisition.number,
                "slide_id": acquisition.slide,
            }
            _add_picture(parts, picture, "optical", place, notes)


def _add_slides(parts: _Parts, slides: Sequence[McdPicture]) -> None:
    for slide in slides:
        picture = _picture(parts, slide.fields, "Image", slide.name)
        if picture is not None:
            place = picture_place(slide_corners(slide.fields), picture.size)
            _add_picture(parts, picture, "slide preview", place, {"slide_id": slide.number})


def _picture(parts: _Parts, fields: Fields, prefix: str, name: str) -> Picture | None:
    """The picture that a record points at, if it does and it is sound."""
    start = whole_number_of(fields, f"{prefix}StartOffset")
    end = whole_number_of(fields, f"{prefix}EndOffset")
    if not start and not end:
        return None
    try:
        if start is None or end is None:
            raise PictureError("the file does not say where it is")
        # the last byte closes the object that holds the picture
        return find_picture(parts.path, name, start, end - 1)
    except PictureError as error:
        parts.faults.append(f"the picture {name} is left out: {one_line(error)}")
        return None


def _add_picture(
    parts: _Parts,
    picture: Picture,
    role: Role,
    place: tuple[Grid, Known, tuple[str, ...]],
    notes: dict[str, object],
) -> None:
    grid, known, warnings = place
    parts.images.append(
        SpatialImage(
            # one block: a compressed picture is decoded as a whole
            levels=(lazily(picture, picture.shape),),
            grids=(grid,),
            channels=picture.channels,
            source=Source(parts.path, _FORMAT, 0, picture.name, "cyx", role),
            voxel_size_known=known,
            metadata=notes,
            warnings=warnings,
        )
    )


def _notes(fields: Fields) -> dict[str, object]:
    return {key: fields[key] for key in _NOTED if key in fields}
