"""Kinds of TIFF against tifffile: pixel types, storage, pyramids, and vendors' notes of scale."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.tiff import TiffReader

READER = TiffReader()
RNG = np.random.default_rng(4)


def noise(*shape: int, dtype: Any = np.uint16) -> np.ndarray:
    return (1 + RNG.random(shape) * 240).astype(dtype)


def read(path: Path) -> SpatialImage:
    (image,) = READER.read(path)
    return image


PLAIN: dict[str, Any] = {"photometric": "minisblack", "metadata": None}


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">i2", ">f8", "?"]
)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": (16, 16)}])
def test_pixel_types(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    pixels = (RNG.random((37, 41)) * 250 - (100 if "i" in dtype else 0)).astype(dtype)
    if dtype == "?" and options:
        options = {"compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **PLAIN, **options)
    image = read(tmp_path / "a.tif")
    want = tifffile.imread(tmp_path / "a.tif")
    assert image.dtype == (np.uint8 if dtype == "?" else want.dtype.newbyteorder("="))
    assert_array_equal(image.data[0, 0, 0].compute(), want)
    assert_array_equal(image.data[0, 0, 0, 20:33, 17:40].compute(), want[20:33, 17:40])


@pytest.mark.parametrize("bits", [4, 10, 12, 14])
def test_packed_bits(tmp_path: Path, bits: int) -> None:
    pixels = (RNG.random((37, 42)) * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    options: dict[str, Any] = {"bitspersample": bits, "rowsperstrip": 8}
    try:
        tifffile.imwrite(tmp_path / "a.tif", pixels, **PLAIN, **options)
    except NotImplementedError:
        pytest.skip("this imagecodecs reads packed bits, but cannot write them for the test")
    assert_array_equal(read(tmp_path / "a.tif").data[0, 0, 0].compute(), pixels)
    assert_array_equal(
        read(tmp_path / "a.tif").data[0, 0, 0, 9:30, 3:5].compute(), pixels[9:30, 3:5]
    )


def test_complex_pixels_are_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(20, 30, dtype=np.complex64), **PLAIN)
    with pytest.raises(ReadError, match="complex numbers"):
        READER.read(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("codec", "is_lossy"),
    [
        *((name, False) for name in ("lzw", "zlib", "zstd", "lzma", "packbits", "lerc")),
        *((name, True) for name in ("jpeg", "jpeg2000", "webp", "jpegxl", "png")),
    ],
)
def test_codecs(tmp_path: Path, codec: str, is_lossy: bool) -> None:
    pixels = noise(70, 90, 3, dtype=np.uint8)
    options: dict[str, Any] = {"photometric": "rgb", "compression": codec, "tile": (32, 32)}
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **options)
    want = tifffile.imread(tmp_path / "a.tif")
    assert is_lossy or np.array_equal(want, pixels)
    image = read(tmp_path / "a.tif")
    assert_array_equal(image.data[0, :, 0].compute().transpose(1, 2, 0), want)
    assert_array_equal(image.data[0, 2, 0, 31:65, 60:].compute(), want[31:65, 60:, 2])


def test_a_box_reads_only_its_tiles(tmp_path: Path) -> None:
    """Tiles elsewhere may be rubbish."""
    pixels = noise(256, 256)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, tile=(64, 64), compression="zlib", **PLAIN)
    with tifffile.TiffFile(path) as tif:
        offsets, counts = tif.pages[0].dataoffsets, tif.pages[0].databytecounts
    content = bytearray(path.read_bytes())
    for number in range(16):
        if number not in (5, 6):
            content[offsets[number] : offsets[number] + counts[number]] = bytes(counts[number])
    path.write_bytes(bytes(content))
    image = read(path)
    assert_array_equal(image.data[0, 0, 0, 64:128, 64:192].compute(), pixels[64:128, 64:192])
    with pytest.raises(ReadError, match="damaged"):
        image.data[0, 0, 0, 64:129, 64:192].compute(scheduler="synchronous")


def test_tiles_that_are_left_out_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = noise(64, 64)
    tifffile.imwrite(path, pixels, tile=(32, 32), compression="zlib", **PLAIN)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[0].tags[325]
    wide = {3: 2, 4: 4}[int(tag.dtype)]
    content[tag.valueoffset + wide : tag.valueoffset + 2 * wide] = bytes(wide)
    path.write_bytes(bytes(content))
    image = read(path)
    assert image.warnings[0] == "1 tiles are left out in the file: background is shown there"
    # tifffile takes the tile after a left-out one for it where an offset is stated
    want = pixels.copy()
    want[:32, 32:] = 0
    assert_array_equal(image.data[0, 0, 0].compute(), want)
    content[tag.valueoffset : tag.valueoffset + 4 * wide] = bytes(4 * wide)
    path.write_bytes(bytes(content))
    with pytest.raises(ReadError, match="holds no pixels"):
        READER.read(path)


def test_pages_that_are_stored_differently_are_one_stack(tmp_path: Path) -> None:
    """ImageJ's own words bind pages of which each is compressed in its own way."""
    planes = noise(3, 40, 50)
    path = tmp_path / "a.tif"
    text = "ImageJ=1.54f\nimages=3\nslices=3\n"
    with tifffile.TiffWriter(path) as tif:
        for number, options in enumerate(
            ({"compression": "zlib"}, {"rowsperstrip": 7}, {"tile": (16, 16)})
        ):
            description = {"description": text} if number == 0 else {}
            tif.write(planes[number], contiguous=False, **PLAIN, **options, **description)
    assert_array_equal(read(path).data[0, 0].compute(), planes)


@pytest.mark.parametrize("how", ["subifds", "pages", "flagged"])
def test_pyramids(tmp_path: Path, how: str) -> None:
    fine = noise(200, 260)
    levels = [fine, fine[::2, ::2], fine[::4, ::4]]
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"tile": (64, 64), "compression": "zlib", **PLAIN}
    with tifffile.TiffWriter(path) as tif:
        for number, level in enumerate(levels):
            more: dict[str, Any] = {}
            if how == "subifds":
                more = {"subifds": 2} if number == 0 else {"subfiletype": 1}
            elif how == "flagged":
                more = {"subfiletype": int(number > 0)}
            tif.write(level, **options, **more)
    image = read(path)
    assert [level.shape[3:] for level in image.levels] == [(200, 260), (100, 130), (50, 65)]
    with tifffile.TiffFile(path) as tif:
        others = [level.asarray() for level in tif.series[0].levels]
    for level, other, want in zip(image.levels, others, levels, strict=True):
        assert_array_equal(level[0, 0, 0].compute(), want)
        assert_array_equal(other, want)


def test_a_page_of_another_size_is_no_level(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for shape in ((200, 260), (100, 120), (55, 44)):
            tif.write(noise(*shape), **PLAIN)
    images = READER.read(tmp_path / "a.tif")
    assert [len(image.levels) for image in images] == [1, 1, 1]
    assert [image.data.shape[3:] for image in images] == [(200, 260), (100, 120), (55, 44)]


def test_aperio(tmp_path: Path) -> None:
    text = "Aperio Image Library v1\r\n200x160 [0,0] |AppMag = 20|MPP = 0.499"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None, "compression": "jpeg"}
    with tifffile.TiffWriter(tmp_path / "a.svs") as tif:
        fine = noise(160, 200, 3, dtype=np.uint8)
        tif.write(fine, tile=(32, 32), description=text, **options)
        tif.write(noise(30, 40, 3, dtype=np.uint8), description=text, **options)
        tif.write(fine[::4, ::4], tile=(32, 32), description=text, **options)
        tif.write(noise(30, 30, 3, dtype=np.uint8), subfiletype=1, description=text, **options)
        tif.write(noise(30, 60, 3, dtype=np.uint8), subfiletype=9, description=text, **options)
    images = READER.read(tmp_path / "a.svs")
    assert [image.source.role for image in images] == [
        *("image", "slide preview", "slide label", "slide preview")
    ]
    slide = images[0]
    assert slide.source.format == "Aperio SVS"
    assert slide.grid.voxel_size_um == (1, 0.499, 0.499)
    assert slide.voxel_size_known == (False, True, True)
    assert slide.warnings == ()
    assert slide.metadata["objective_magnification"] == 20
    with tifffile.TiffFile(tmp_path / "a.svs") as tif:
        for level, other in zip(slide.levels, tif.series[0].levels, strict=True):
            assert_array_equal(level[0, :, 0].compute().transpose(1, 2, 0), other.asarray())


def test_leica_slides_have_their_place(tmp_path: Path) -> None:
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        '<collection name="c" sizeX="26564529" sizeY="76734164">'
        '<image name="overview"><pixels sizeX="40" sizeY="100"><dimension sizeX="40" sizeY="100" '
        'r="0" ifd="0"/></pixels><view sizeX="26564529" sizeY="76734164" offsetX="0" offsetY="0"/>'
        '</image><image name="section"><pixels sizeX="80" sizeY="60"><dimension sizeX="80" '
        'sizeY="60" r="0" ifd="1"/><dimension sizeX="40" sizeY="30" r="1" ifd="2"/></pixels>'
        '<view sizeX="40000" sizeY="30000" offsetX="1000000" offsetY="2000000"/></image>'
        "</collection></scn>"
    )
    fine = noise(60, 80)
    with tifffile.TiffWriter(tmp_path / "a.scn", bigtiff=True) as tif:
        tif.write(noise(100, 40), description=xml, software="SCN", **PLAIN)
        tif.write(fine, **PLAIN)
        tif.write(fine[::2, ::2], **PLAIN)
    images = READER.read(tmp_path / "a.scn")
    assert [(i.name, i.source.role) for i in images] == [
        ("section", "image"),
        ("overview", "slide preview"),
    ]
    section = images[0]
    assert section.source.format == "Leica SCN"
    assert_allclose(section.grid.voxel_size_um, (1, 0.5, 0.5))
    # the view's corner is the outer one of the first pixel
    assert_allclose(section.grid.index_to_world[:3, 3], (0, 2000.25, 1000.25))
    assert len(section.levels) == 2
    assert_array_equal(section.data[0, 0, 0].compute(), fine)


def scanimage(path: Path, frames: np.ndarray, said: dict[str, str]) -> None:
    """A ScanImage BigTIFF of version 3: its header stands before the first page."""
    text = "\n".join(f"{key} = {value}" for key, value in said.items()) + "\0"
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for frame in frames:
            tif.write(
                frame,
                description="frameNumbers = 1",
                software=text,
                contiguous=False,
                **PLAIN,
            )
    content = path.read_bytes()
    # header: 117637889, version 3, length of frame data, length of region data
    raw = text.encode()
    block = struct.pack("<IIII", 117637889, 3, len(raw), 0) + raw
    shift = len(block)
    moved = bytearray(content[:16] + block + content[16:])
    (at,) = struct.unpack_from("<Q", content, 8)
    struct.pack_into("<Q", moved, 8, at + shift)
    at += shift
    while at:
        (n_tags,) = struct.unpack_from("<Q", moved, at)
        for number in range(n_tags):
            entry = at + 8 + 20 * number
            code, kind, count = struct.unpack_from("<HHQ", moved, entry)
            size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 16: 8}[kind] * count
            (value,) = struct.unpack_from("<Q", moved, entry + 12)
            if size > 8 or code == 273:
                width = {3: "<H", 4: "<I", 16: "<Q"}.get(kind, "<Q") if size <= 8 else "<Q"
                (value,) = struct.unpack_from(width, moved, entry + 12)
                struct.pack_into(width, moved, entry + 12, value + shift)
        following = at + 8 + 20 * n_tags
        (at,) = struct.unpack_from("<Q", moved, following)
        if at:
            at += shift
            struct.pack_into("<Q", moved, following, at)
    path.write_bytes(bytes(moved))


def test_scanimage_stacks(tmp_path: Path) -> None:
    frames = noise(12, 20, 40, dtype=np.int16)
    scanimage(
        tmp_path / "a.tif",
        frames,
        {
            "SI.VERSION_MAJOR": "'2020'",
            "SI.hChannels.channelSave": "[1;2]",
            "SI.hChannels.channelName": "{'green' 'red'}",
            "SI.hStackManager.framesPerSlice": "2",
            "SI.hStackManager.numSlices": "3",
            "SI.hStackManager.stackZStepSize": "-2.5",
            "SI.hRoiManager.imagingFovUm": "[-50 -40;50 -40;50 40;-50 40]",
            "SI.hRoiManager.scanVolumeRate": "5",
        },
    )
    image = read(tmp_path / "a.tif")
    assert image.source.format == "ScanImage TIFF"
    assert_allclose(image.grid.voxel_size_um, (2.5, 4, 2.5))
    assert [channel.name for channel in image.channels] == ["green", "red"]
    # slowest first: slice, frame, channel
    want = frames.reshape(3, 2, 2, 20, 40).transpose(1, 2, 0, 3, 4)
    assert_array_equal(image.data.compute(), want)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.series[0].axes == "ZTCYX"
    assert image.time_step_s == 0.2


def test_metaseries(tmp_path: Path) -> None:
    xml = (
        '<MetaData><PlaneInfo><prop id="spatial-calibration-x" type="float" value="0.65"/>'
        '<prop id="spatial-calibration-y" type="float" value="1.3"/>'
        '<prop id="spatial-calibration-units" type="string" value="um"/>'
        '<prop id="_IllumSetting_" type="string" value="FITC"/>'
        '<prop id="wavelength" type="float" value="536"/></PlaneInfo></MetaData>'
    )
    tifffile.imwrite(
        tmp_path / "a.tif", noise(20, 30), description=xml, software="MetaSeries", **PLAIN
    )
    image = read(tmp_path / "a.tif")
    assert image.grid.voxel_size_um == (1, 1.3, 0.65)
    assert (image.channels[0].name, image.channels[0].emission_nm) == ("FITC", 536)


def test_tifffiles_own_notes(tmp_path: Path) -> None:
    pixels = noise(3, 20, 30)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="minisblack",
        resolution=(2, 4),
        metadata={"axes": "ZYX", "spacing": 3, "unit": "um"},
    )
    assert read(tmp_path / "a.tif").grid.voxel_size_um == (3, 0.25, 0.5)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="minisblack",
        metadata={
            "axes": "TYX",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeY": 500,
            "PhysicalSizeYUnit": "nm",
        },
    )
    image = read(tmp_path / "a.tif")
    assert image.source.axes == "tyx"
    assert image.grid.voxel_size_um == (1, 0.5, 0.5)
    assert json.loads(json.dumps(dict(image.metadata)))["series_name"] == ""


@pytest.mark.parametrize(
    ("unit", "um"),
    [("micron", 1), ("um", 1), ("µm", 1), ("\\u00B5m", 1), ("mm", 1e3), ("nm", 1e-3), ("cm", 1e4)],
)
def test_imagej_units(tmp_path: Path, unit: str, um: float) -> None:
    text = f"ImageJ=1.54f\nimages=3\nslices=3\nunit={unit}\nspacing=2.0\nfps=4\nloop=false\n"
    tifffile.imwrite(
        tmp_path / "a.tif",
        noise(3, 20, 30),
        description=text.encode("latin-1", "replace"),
        resolution=(8, 4),
        resolutionunit=1,
        **PLAIN,
    )
    image = read(tmp_path / "a.tif")
    assert_allclose(image.grid.voxel_size_um, (2 * um, um / 4, um / 8))
    assert image.time_step_s == 0.25
    assert image.warnings == ()


def test_imagej_channels(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)
    dark = np.zeros(256, np.uint8)
    tables = [np.stack(t) for t in ((ramp, dark, ramp), (dark, ramp, dark))]
    pixels = noise(2, 3, 2, 20, 30)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        imagej=True,
        metadata={
            **{"axes": "TZCYX", "mode": "composite", "LUTs": tables, "Ranges": (1, 50, 2, 90)},
            "Labels": ["DAPI", "GFP"] * 6,
        },
    )
    image = read(tmp_path / "a.tif")
    assert_array_equal(image.data.compute(), pixels.transpose(0, 2, 1, 3, 4))
    assert [(c.name, c.colour, c.display_range) for c in image.channels] == [
        ("DAPI", "#FF00FF", (1, 50)),
        ("GFP", "#00FF00", (2, 90)),
    ]


@pytest.mark.parametrize(
    ("dpi", "unit", "is_believed"),
    [
        (72, 2, False),
        (300, 2, False),
        (1200, 2, False),
        (2400, 2, False),
        (50800, 2, True),
        (28.3465, 3, False),
        (28, 3, False),
        (118, 3, False),
        (118.11, 3, False),
        (20000, 3, True),
        (1, 3, False),
    ],
)
def test_which_resolution_tags_are_believed(
    tmp_path: Path, dpi: float, unit: int, is_believed: bool
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", noise(20, 30), resolution=(dpi, dpi), resolutionunit=unit, **PLAIN
    )
    image = read(tmp_path / "a.tif")
    assert image.voxel_size_known == (False, is_believed, is_believed)
    if is_believed:
        assert_allclose(image.grid.voxel_size_um[1:], 0.5)
    else:
        assert "dots per inch are not believed" in image.warnings[0]


def test_white_that_is_zero_is_told(tmp_path: Path) -> None:
    pixels = noise(20, 30, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite", metadata=None)
    image = read(tmp_path / "a.tif")
    assert "white is 0" in image.warnings[0]
    assert_array_equal(image.data[0, 0, 0].compute(), pixels)


def lsm(path: Path, pixels: np.ndarray) -> None:
    """A Zeiss LSM of one stack, with a thumbnail beside each plane."""
    n_z, n_y, n_x = pixels.shape
    info = np.zeros(1, dtype=[(n or "_", t) for n, t in tifffile.TIFF.CZ_LSMINFO])
    values = {
        **{"MagicNumber": 67127628, "StructureSize": info.itemsize, "DimensionX": n_x},
        **{"DimensionY": n_y, "DimensionZ": n_z, "DimensionChannels": 1, "DimensionTime": 1},
        **{"VoxelSizeX": 2e-7, "VoxelSizeY": 3e-7, "VoxelSizeZ": 1e-6, "TimeIntervall": 1.5},
        **{"DataType": 1, "ScanType": 0, "ThumbnailX": 8, "ThumbnailY": 8},
    }
    for key, value in values.items():
        info[key] = value
    raw = info.tobytes()
    with tifffile.TiffWriter(path) as tif:
        for number, plane in enumerate(pixels):
            tags = [(34412, 7, len(raw), raw, True)] if number == 0 else []
            tif.write(plane, extratags=tags, contiguous=False, **PLAIN)
            tif.write(plane[:8, :8], subfiletype=1, contiguous=False, **PLAIN)


def test_lsm(tmp_path: Path) -> None:
    pixels = noise(4, 20, 30, dtype=np.uint8)
    lsm(tmp_path / "a.lsm", pixels)
    stack, *thumbnails = READER.read(tmp_path / "a.lsm")
    assert stack.source.format == "Zeiss LSM"
    assert_allclose(stack.grid.voxel_size_um, (1, 0.3, 0.2))
    assert_array_equal(stack.data[0, 0].compute(), pixels)
    assert_array_equal(np.squeeze(tifffile.imread(tmp_path / "a.lsm")), pixels)
    assert [image.source.role for image in thumbnails] == ["slide preview"] * len(thumbnails)
