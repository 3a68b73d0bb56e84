"""Damaged, lying and hostile TIFF files: an image or one line, never zeros that nobody took."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from harness import Mutant, damaged_bytes, fuzz, open_and_read, write_bytes

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.registry import open_images
from napari_bridgecorr.io.tiff import write_ome_tiff

RNG = np.random.default_rng(11)
PLAIN: dict[str, Any] = {"photometric": "minisblack"}


def noise(*shape: int, dtype: Any = np.uint16) -> np.ndarray:
    """Values of which none is zero."""
    return (1 + RNG.random(shape) * 240).astype(dtype)


def smooth(*shape: int) -> np.ndarray:
    """What JPEG does not turn to zeros."""
    return noise(*shape, dtype=np.uint8) // 4 + 100


def _written(path: Path, pixels: np.ndarray, **options: Any) -> None:
    tifffile.imwrite(path, pixels, **{**PLAIN, **options})


def _pyramid(path: Path) -> None:
    data = da.from_array(noise(1, 2, 2, 40, 1100), chunks=(1, 1, 1, 40, 1100))
    grid = Grid.from_spacing(data.shape[2:], 0.5)
    channels = (Channel("a"), Channel("b"))
    write_ome_tiff(SpatialImage((data,), (grid,), channels, Source(Path("made"), "memory")), path)


def _svs(path: Path) -> None:
    text = "Aperio Image Library v1\r\n64x48 [0,0] |AppMag = 20|MPP = 0.499"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None, "compression": "jpeg"}
    with tifffile.TiffWriter(path) as tif:
        tif.write(smooth(64, 96, 3), tile=(32, 32), description=text, **options)
        tif.write(smooth(30, 40, 3), description=text, **options)
        tif.write(smooth(32, 48, 3), tile=(32, 32), description=text, **options)


SEEDS: dict[str, Callable[[Path], None]] = {
    "strips.tif": lambda p: _written(p, noise(3, 40, 50), rowsperstrip=7),
    "lzw.tif": lambda p: _written(p, noise(2, 40, 50), compression="lzw", predictor=True),
    "tiles.tif": lambda p: _written(p, noise(2, 40, 50), compression="zlib", tile=(16, 16)),
    "packed.tif": lambda p: _written(p, noise(2, 40, 50), compression="packbits"),
    "zstd.tif": lambda p: _written(p, noise(40, 50), compression="zstd", tile=(16, 32)),
    "big.tif": lambda p: _written(p, noise(3, 40, 50), bigtiff=True, metadata=None),
    "swapped.tif": lambda p: _written(p, noise(2, 40, 50), byteorder=">"),
    "float.tif": lambda p: _written(p, noise(40, 50, dtype=np.float32), compression="zlib"),
    "rgb.tif": lambda p: _written(p, noise(40, 50, 3, dtype=np.uint8), photometric="rgb"),
    "jpeg.tif": lambda p: _written(
        p,
        smooth(64, 64, 3),
        photometric="rgb",
        compression="jpeg",
        tile=(32, 32),
    ),
    "jpeg2000.tif": lambda p: _written(p, noise(64, 64), compression="jpeg2000", tile=(32, 32)),
    "imagej.tif": lambda p: _written(
        p,
        noise(2, 3, 2, 20, 30),
        imagej=True,
        resolution=(4, 4),
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 2, "Labels": ["x"] * 12},
    ),
    "virtual.tif": lambda p: _written(p, noise(6, 20, 30), imagej=True, truncate=True),
    "pyramid.ome.tif": _pyramid,
    "named.ome.tif": lambda p: _written(
        p, noise(2, 3, 20, 30), metadata={"axes": "CZYX", "PhysicalSizeX": 0.5}
    ),
    "slide.svs": _svs,
    "thing.stk": lambda p: _written(p, noise(2, 20, 30)),
    "thing.lsm": lambda p: _written(p, noise(2, 20, 30)),
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("seeds")
    for name, write in SEEDS.items():
        write(folder / name)
    return [folder / name for name in SEEDS]


def open_without_zeros(path: Path) -> str:
    """As `open_and_read`, for mutants whose seeds have no zeros and whose pixels were not touched.

    What was told is no silent zero.
    """
    for image in open_images(path):
        if any("left out" in w for w in image.warnings):
            continue
        for level in image.levels:
            zeros = np.count_nonzero(np.asarray(level.compute(scheduler="synchronous")) == 0)
            if zeros:
                raise AssertionError(f"{zeros} silent zeros")
    return "opened"


def _structures(path: Path) -> set[int]:
    """Where directories, their values and their pixels begin and end."""
    with tifffile.TiffFile(path) as tif:
        pages = [p for page in tif.pages for p in (page, *(page.pages or ()))]
        places = {4, 8, path.stat().st_size - 1}
        for page in pages:
            places |= {page.offset, page.offset + 2, page.offset + 12}
            for tag in page.tags:
                places |= {tag.offset, tag.offset + 8, tag.valueoffset}
                places.add(tag.valueoffset + tag.valuebytecount)
            for start, count in zip(page.dataoffsets, page.databytecounts, strict=False):
                places |= {start, start + count // 2, start + count - 1}
    return {p for p in places if 0 < p < path.stat().st_size}


def truncations(path: Path) -> Iterator[Mutant]:
    content = path.read_bytes()
    for place in sorted(_structures(path)):
        yield Mutant(f"{path.name} cut at {place}", write_bytes(path.name, content[:place]))


_EXTREMES = (0, 1, 2, 2**15, 2**16 - 1, 10**9, 2**31 - 1, 2**31, 2**32 - 1)


def lying_tags(path: Path) -> Iterator[Mutant]:
    """Each tag's type, count and value become extreme, one at a time."""
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tif:
        order = tif.byteorder
        wide = tif.is_bigtiff
        tags = [
            (page.index, tag.code, tag.offset)
            for page in (tif.pages[0], tif.pages[-1])
            for tag in page.aspage().tags
        ]
    for number, (page, code, at) in enumerate(tags):
        for k, value in enumerate(_EXTREMES):
            slots = ((at + 4, "Q"), (at + 12, "Q")) if wide else ((at + 4, "I"), (at + 8, "I"))
            place, form = slots[(number + k) % 2]
            changed = bytearray(content)
            struct.pack_into(order + form, changed, place, value)
            yield Mutant(
                f"{path.name} page {page} tag {code} at {place} = {value}",
                write_bytes(path.name, bytes(changed)),
            )


def _with_description(text: str, name: str = "a.ome.tif", n_planes: int = 6) -> Mutant:
    def write(folder: Path) -> Path:
        tifffile.imwrite(
            folder / name,
            noise(n_planes, 20, 30),
            photometric="minisblack",
            metadata=None,
            description=text.encode(),
        )
        return folder / name

    return Mutant(f"{name}: {text[:150]}", write)


OME = (
    '<?xml version="1.0"?>{head}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
    'UUID="urn:uuid:1">{more}<Image ID="Image:0" Name="x"><Pixels ID="Pixels:0" '
    'DimensionOrder="{order}" Type="uint16" SizeX="{x}" SizeY="{y}" SizeC="{c}" SizeZ="{z}" '
    'SizeT="{t}" PhysicalSizeX="{size}">{data}</Pixels></Image></OME>'
)
GOOD = {
    **{"head": "", "more": "", "order": "XYZCT", "x": 30, "y": 20, "c": 1, "z": 6, "t": 1},
    **{"size": "0.5", "data": '<TiffData IFD="0" PlaneCount="6"/>'},
}
LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))


def hostile_xml() -> Iterator[Mutant]:
    """OME-XML that lies about sizes, files and itself."""
    named = '<TiffData IFD="0" PlaneCount="6"><UUID FileName="{}">urn:uuid:2</UUID></TiffData>'
    for name in (
        *("../a.ome.tif", "/etc/hostname", "..", "", ".", "a/../../b.tif", "..\\b.tif", "\x00"),
        *("C:\\a.tif", "a.ome.tif", "https://example.org/a.tif", "x" * 5000, "~/.profile"),
    ):
        shown = name.replace("\x00", "&#65533;")
        yield _with_description(OME.format(**{**GOOD, "data": named.format(shown)}))
    for key in ("x", "y", "c", "z", "t"):
        for value in (0, 1, 7, -1, 10**6, 2**31 - 1, 10**12, 10**30, "1e3", "nan", ""):
            yield _with_description(OME.format(**{**GOOD, key: value}))
    for data in (
        *("", "<TiffData/>", '<TiffData IFD="99"/>', '<TiffData IFD="-1" PlaneCount="6"/>'),
        *('<TiffData PlaneCount="999999999999"/>', '<TiffData FirstZ="5" PlaneCount="6"/>'),
        *('<TiffData FirstZ="77"/>', '<TiffData IFD="0" PlaneCount="0"/>'),
        '<TiffData IFD="2"/>' * 3000,
        '<TiffData IFD="0"/>' + '<Plane TheZ="99999999999" PositionZ="1"/>',
        '<TiffData IFD="0" PlaneCount="6"/><Channel SamplesPerPixel="3"/>',
    ):
        yield _with_description(OME.format(**{**GOOD, "data": data}))
    for order in ("", "XYZ", "YXZCT", "XYZZT", "XYTCZ"):
        yield _with_description(OME.format(**{**GOOD, "order": order}))
    for size in ("0", "-1", "inf", "nan", "1e300", "1e-300", "x"):
        yield _with_description(OME.format(**{**GOOD, "size": size}))
    for head, more in (
        (f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>', "&l11;"),
        ('<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>', "&f;"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">', ""),
        ("", "<a>" * 50_000 + "</a>" * 50_000),
        ("", '<BinaryOnly MetadataFile="../x.companion.ome" UUID="urn:uuid:1"/>'),
        ("", '<BinaryOnly MetadataFile="a.ome.tif" UUID="urn:uuid:1"/>'),
        ("", "<Plate><Well Row='99999999' Column='-3'><WellSample/></Well></Plate>"),
        ("", "<unclosed>"),
    ):
        yield _with_description(OME.format(**{**GOOD, "head": head, "more": more}))
    good = OME.format(**GOOD)
    for place in range(60, len(good), 37):
        yield _with_description(good[:place] + "</OME>")
    for key, value in (
        *(("images", n) for n in (0, -1, 7, 10**9, 10**18)),
        *(("slices", n) for n in (0, -6, 5, 10**12)),
        *(("channels", n) for n in (0, 2, 10**12)),
        *(("frames", n) for n in (0, 3, 10**12)),
        *(("spacing", x) for x in ("nan", "1e400", "-1", "0")),
        *(("finterval", x) for x in ("nan", "-1", "x")),
        *(("order", x) for x in ("zct", "rubbish")),
    ):
        text = f"ImageJ=1.54f\nimages=6\nslices=6\nunit=micron\n{key}={value}\n"
        yield _with_description(text, "a.tif")
    for text in (
        '{"shape": [1000000000000, 20, 30]}',
        '{"shape": [6, 20, 30], "axes": "QQQQ"}',
        '{"shape": [-6, 20, 30]}',
        '{"shape": "x"}',
        '{"shape": [6, 20, 30], "truncated": true}',
        "SCANIMAGE",
        "<MetaData><PlaneInfo>" * 5000,
        "<scn",
        "Aperio |MPP = nan",
        "Aperio |MPP = 1e-400",
    ):
        yield _with_description(text, "a.tif")


def _write_chain(folder: Path) -> Path:
    """A million pages that say the same."""
    path = folder / "chain.tif"
    tags = struct.pack("<HHII", 256, 3, 1, 4) + struct.pack("<HHII", 257, 3, 1, 4)
    size = 2 + len(tags) + 4
    head = struct.pack("<2sHI", b"II", 42, 8)
    n_pages = 1_000_000
    pages = np.zeros((n_pages, size), dtype=np.uint8)
    pages[:, :-4] = np.frombuffer(struct.pack("<H", 2) + tags, np.uint8)
    following = (8 + size * (1 + np.arange(n_pages))).astype("<u4")
    following[-1] = 0
    pages[:, -4:] = following.view(np.uint8).reshape(-1, 4)
    path.write_bytes(head + pages.tobytes())
    return path


def _write_loop(folder: Path) -> Path:
    path = folder / "loop.tif"
    tifffile.imwrite(path, noise(2, 20, 30), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tif:
        first, last = tif.pages[0].offset, tif.pages[1].offset
    content = bytearray(path.read_bytes())
    (n_tags,) = struct.unpack_from("<H", content, last)
    struct.pack_into("<I", content, last + 2 + 12 * n_tags, first)
    path.write_bytes(bytes(content))
    return path


def _write_bomb(folder: Path) -> Path:
    """Half a gigabyte of zeros per strip, in half a megabyte."""
    path = folder / "bomb.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(np.zeros((16, 16), np.uint8), compression="zlib", rowsperstrip=16, metadata=None)
    import zlib

    content = bytearray(path.read_bytes())
    squeezer = zlib.compressobj(9)
    packed = b"".join(squeezer.compress(bytes(2**20)) for _ in range(512)) + squeezer.flush()
    with tifffile.TiffFile(path) as tif:
        tags = {tag.code: tag for tag in tif.pages[0].tags}
    for code, value in ((256, 32768), (257, 16384), (278, 16384), (279, len(packed))):
        struct.pack_into("<HII", content, tags[code].offset + 2, 4, 1, value)
    struct.pack_into("<HII", content, tags[273].offset + 2, 4, 1, len(content))
    path.write_bytes(bytes(content) + packed)
    return path


def _write_lost_set(folder: Path) -> Path:
    """A set of three files of which one is cut, one is missing."""
    for number in range(3):
        data = "".join(
            f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="f{z}.ome.tif">'
            f"urn:uuid:{z}</UUID></TiffData>"
            for z in range(3)
        )
        tifffile.imwrite(
            folder / f"f{number}.ome.tif",
            noise(20, 30),
            photometric="minisblack",
            metadata=None,
            description=OME.format(**{**GOOD, "z": 3, "data": data}).encode(),
        )
    (folder / "f1.ome.tif").unlink()
    cut = folder / "f2.ome.tif"
    cut.write_bytes(cut.read_bytes()[:-900])
    return folder / "f0.ome.tif"


def _write_folder(folder: Path) -> Path:
    planes = folder / "planes"
    planes.mkdir()
    for number in range(4):
        tifffile.imwrite(planes / f"p_{number}.tif", noise(20, 30), metadata=None)
    cut = planes / "p_2.tif"
    cut.write_bytes(cut.read_bytes()[:-100])
    return planes


def _zeros(name: str, n_bytes: int) -> Mutant:
    return Mutant(f"{name}: {n_bytes} zero bytes", write_bytes(name, bytes(n_bytes)))


def _odd_ones() -> Iterator[Mutant]:
    yield Mutant("a million pages", _write_chain)
    yield Mutant("pages in a circle", _write_loop)
    yield Mutant("half a gigabyte in one strip", _write_bomb)
    yield Mutant("a set that lacks files", _write_lost_set)
    yield Mutant("a folder with a plane that is cut", _write_folder)
    for name in ("a.tif", "a.ome.tif", "a.svs", "a.lsm", "a.companion.ome"):
        for n_bytes in (0, 1, 8, 4096):
            yield _zeros(name, n_bytes)
        head = b"II*\0" + bytes(5000)
        yield Mutant(f"{name}: a head and zeros", write_bytes(name, head))
        yield Mutant(f"{name}: a head and ones", write_bytes(name, b"MM\0*" + b"\xff" * 5000))


def test_damaged_files(seeds: list[Path], n_mutants: int) -> None:
    share = max(6, n_mutants // len(seeds))
    mutants = chain.from_iterable(
        damaged_bytes(seed, share, random_seed=number) for number, seed in enumerate(seeds)
    )
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > result.n_inputs // 10


def test_truncated_at_every_structure(seeds: list[Path], n_mutants: int) -> None:
    share = max(8, n_mutants // len(seeds))
    mutants = []
    for seed in seeds:
        cuts = list(truncations(seed))
        mutants += cuts[:: max(1, len(cuts) // share)]
    result = fuzz(mutants, open_without_zeros)
    assert result.findings == ()
    assert result.n_refused > result.n_inputs // 2


def test_lying_tags(seeds: list[Path], n_mutants: int) -> None:
    share = max(8, n_mutants // len(seeds))
    mutants = []
    for seed in seeds:
        lies = list(lying_tags(seed))
        mutants += lies[:: max(1, len(lies) // share)]
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 0


def test_hostile_descriptions(n_mutants: int) -> None:
    every = list(hostile_xml())
    step = max(1, len(every) // max(40, n_mutants))
    result = fuzz(islice(every, 0, None, step))
    assert result.findings == ()
    assert result.n_opened > 0


def test_odd_ones() -> None:
    result = fuzz(_odd_ones())
    assert result.findings == ()
    assert result.n_refused > 20


def test_the_seeds_are_good(seeds: list[Path]) -> None:
    """What the mutants are made of must open, and hold no zeros."""
    for seed in seeds:
        assert open_without_zeros(seed) == "opened"
        assert open_and_read(seed) == "opened"
