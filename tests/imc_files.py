"""Small MCD files and text files of mass cytometers, made in the layout that readimc reads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

CHANNELS = (("Ir", 191, "DNA1"), ("Yb", 172, "H3K27Ac"), ("Pr", 141, ""))
# the .NET object before a picture, and the byte behind it
PICTURE_HEAD = b"\0\1\0\0\0\xff\xff\xff\xff".ljust(161, b"#")
PICTURE_TAIL = b"\x0b"


@dataclass
class Region:
    """An acquisition of (channels, rows, columns), row 0 being the first line."""

    number: int
    pixels: np.ndarray
    corners_um: Sequence[tuple[float, float]] | None = ()
    before: bytes = b""
    after: bytes = b""
    order: np.ndarray | None = None
    n_stored: int | None = None
    fields: dict[str, object] = field(default_factory=dict)
    channels: Sequence[tuple[str, int, str]] = CHANNELS

    def values(self) -> np.ndarray:
        """(pixels, 3 + channels) float32, as stored."""
        n_channels, rows, columns = self.pixels.shape
        y, x = np.divmod(np.arange(rows * columns), max(1, columns))
        listed = np.column_stack([x, y, x + columns * y, self.pixels.reshape(n_channels, -1).T])
        listed = listed if self.order is None else listed[self.order]
        return listed[: self.n_stored].astype("<f4")


def textured(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Counts without a zero."""
    return (np.random.default_rng(seed).gamma(1.5, 4.0, shape) + 0.25).astype(np.float32)


def picture_bytes(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """A picture file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def rgba(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Colours without a zero."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 256, (rows, columns, 4), dtype=np.uint8)


def rectangle(x_um: float, y_um: float, width_um: float, height_um: float, turned: float = 0.0):
    """Corners from the top left one, turned counter-clockwise about it (radians)."""
    across = np.array([np.cos(turned), np.sin(turned)]) * width_um
    down = np.array([np.sin(turned), -np.cos(turned)]) * height_um
    first = np.array([x_um, y_um])
    return [tuple(p.tolist()) for p in (first, first + across, first + across + down, first + down)]


def element(name: str, **fields: object) -> str:
    """One record of the XML."""
    inner = "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in fields.items())
    return f"<{name}>{inner}</{name}>\r\n"


def write_mcd(
    path: Path,
    regions: Sequence[Region],
    panoramas: Sequence[tuple[bytes, Sequence[tuple[float, float]]]] = (),
    slide: bytes = b"",
    extra_xml: str = "",
    slide_size_um: tuple[float, float] = (75000, 25000),
) -> Path:
    """Write a file: pictures, pixels, XML."""
    content = bytearray(b"\0\1\0\0\0\xff\xff\xff\xff".ljust(166, b"h"))

    def put(picture: bytes) -> tuple[int, int]:
        if not picture:
            return 0, 0
        start = len(content)
        content.extend(PICTURE_HEAD + picture + PICTURE_TAIL)
        return start, len(content)

    start, end = put(slide)
    width, height = slide_size_um
    records = [
        element(
            "Slide",
            ID=0,
            Description="Slide",
            WidthUm=width,
            HeightUm=height,
            ImageStartOffset=start,
            ImageEndOffset=end,
        )
    ]
    for number, (picture, corners) in enumerate(panoramas, 1):
        start, end = put(picture)
        places = {
            f"Slide{axis}{i}PosUm": value
            for i, corner in enumerate(corners, 1)
            for axis, value in zip("XY", corner, strict=True)
        }
        records.append(
            element(
                "Panorama",
                ID=number,
                SlideID=0,
                Description=f"Panorama_{number:03}",
                **places,
                ImageStartOffset=start,
                ImageEndOffset=end,
                Type="Instrument",
            )
        )
    virtual = len(panoramas) + 1
    records.append(element("Panorama", ID=virtual, SlideID=0, Description="ROIs", Type="Default"))
    for region in regions:
        before, after = put(region.before), put(region.after)
        start = len(content)
        content.extend(region.values().tobytes())
        _, rows, columns = region.pixels.shape
        fields = {
            "Description": f"ROI_{region.number:03}",
            "AblationDistanceBetweenShotsX": 1,
            "AblationDistanceBetweenShotsY": 1,
            "AcquisitionROIID": region.number,
            "DataStartOffset": start,
            "DataEndOffset": len(content),
            "BeforeAblationImageStartOffset": before[0],
            "BeforeAblationImageEndOffset": before[1],
            "AfterAblationImageStartOffset": after[0],
            "AfterAblationImageEndOffset": after[1],
            "SegmentDataFormat": "Float",
            "ValueBytes": 4,
            "MaxY": rows,
            "MaxX": columns,
        } | region.fields
        records.append(element("Acquisition", ID=region.number, **fields))
        records.append(element("AcquisitionROI", ID=region.number, PanoramaID=virtual))
        for order, (x, y) in enumerate(region.corners_um or ()):
            records.append(
                element(
                    "ROIPoint",
                    ID=order,
                    AcquisitionROIID=region.number,
                    OrderNumber=order,
                    SlideXPosUm=x,
                    SlideYPosUm=y,
                )
            )
        named = [("X", "X"), ("Y", "Y"), ("Z", "Z")]
        named += [(f"{metal}({mass})", label) for metal, mass, label in region.channels]
        # from the last to the first: the order number counts, not the place
        for order, (name, label) in reversed(list(enumerate(named))):
            records.append(
                element(
                    "AcquisitionChannel",
                    ID=order,
                    ChannelName=name,
                    OrderNumber=order,
                    AcquisitionID=region.number,
                    ChannelLabel=label,
                )
            )
    xml = (
        '<MCDSchema xmlns="http://www.fluidigm.com/IMC/MCDSchema_V2_0.xsd">\r\n'
        + "".join(records)
        + extra_xml
        + '</MCDSchema><MCDPublic xmlns="http://www.fluidigm.com">\r\n<Slide/></MCDPublic>'
    )
    content.extend(xml.encode("utf-16-le"))
    path.write_bytes(bytes(content))
    return path


def write_text(path: Path, region: Region, newline: str = "\n") -> Path:
    """Write the text file of a region, three decimals a value."""
    names = ["Start_push", "End_push", "Pushes_duration", "X", "Y", "Z"]
    names += [
        f"{label or f'{mass}{metal}'}({metal}{mass}Di)" for metal, mass, label in region.channels
    ]
    lines = ["\t".join(names)]
    for number, values in enumerate(region.values()):
        lead = [number * 385, number * 385 + 384, 384, *(int(v) for v in values[:3])]
        lines.append("\t".join([*map(str, lead), *(f"{v:.3f}" for v in values[3:])]))
    path.write_bytes((newline.join(lines) + newline).encode("utf-8"))
    return path
