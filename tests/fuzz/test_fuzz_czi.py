"""Damaged and hostile CZI files: an image or one line, never a crash, a hang or a bomb."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from harness import Mutant, Result, damaged_bytes, fuzz, write_bytes
from pylibCZIrw import czi as library

from napari_bridgecorr.io.czi.segment_writer import Dimension, SegmentWriter
from napari_bridgecorr.io.czi.write import SceneToWrite, write_scenes

_REAL = ("LSM880_AiryScan.czi", "tiles_z.czi", "24.10_Blood.czi")
_HEADER = 32
_RGB = bytes.fromhex("24c3dd6f034efe4bb1853d77768dc90d")
_BGR = _RGB[:-1] + b"\x0c"
"""Names of the pixel formats of JPEG-XR."""
_XML = "<ImageDocument><Metadata><Scaling><Items>{}</Items></Scaling></Metadata></ImageDocument>"


def pixels(shape, seed=0, dtype=np.uint16):
    """Noise without a zero, so that silent zeros would be seen."""
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> list[Path]:
    """A mosaic of scenes, one of each of libCZI's codecs, thick tiles, and embedded images."""
    folder = tmp_path_factory.mktemp("seeds")
    scenes = folder / "scenes.czi"
    write_scenes(
        scenes,
        [
            SceneToWrite(pixels((1, 2, 2, 40, 50))),
            SceneToWrite(pixels((1, 2, 2, 30, 20)), (9, 900)),
        ],
        (2, 1, 1),
        ["a", "b"],
    )
    paths = [scenes, folder / "pyramid.czi", folder / "embedded.czi", folder / "lines.czi"]
    with paths[1].open("xb") as file:
        writer = SegmentWriter(file)
        for m, (x, w, stored) in enumerate(((0, 32, 32), (30, 34, 34), (0, 64, 32))):
            dims = (Dimension("X", x, w, stored), Dimension("Y", -7, 32, 32 * stored // w))
            plane = tuple(Dimension(d, 0) for d in "CZTS")
            tile = pixels((32 * stored // w, stored), m)
            writer.tile((*dims, *plane, Dimension("M", m)), 1, 0, tile.tobytes())
        writer.finish(_XML.format(""))
    with paths[2].open("xb") as file:
        writer = SegmentWriter(file)
        dims = (Dimension("X", 0, 20), Dimension("Y", 0, 20))
        writer.tile(dims, 0, 0, pixels((20, 20), 4, np.uint8).tobytes())
        photograph = pixels((24, 32, 3), 5, np.uint8)
        writer.attachment("SlidePreview", "JPG", imagecodecs.jpeg_encode(photograph))
        writer.attachment("Label", "CZI", scenes.read_bytes())
        stamps = struct.pack("<ii3d", 32, 3, 0.0, 1.0, 2.0)
        writer.attachment("TimeStamps", "CZTIMS", stamps)
        writer.finish(_XML.format("<Distance Id='X'><Value>1e-6</Value></Distance>"))
    with paths[3].open("xb") as file:
        writer = SegmentWriter(file)
        dims = (
            Dimension("X", 0, 24),
            Dimension("Y", 0, 1),
            Dimension("C", 0),
            Dimension("T", 0, 40),
        )
        writer.tile(dims, 1, 0, pixels((40, 24), 6).tobytes())
        writer.finish("")
    for codec, options in (
        ("uncompressed", "uncompressed:"),
        ("zstd0", "zstd0:ExplicitLevel=3"),
        ("zstd1", "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack"),
    ):
        for kind, shape in (("grey", (40, 50)), ("rgb", (24, 30, 3))):
            path = folder / f"{codec}_{kind}.czi"
            with library.create_czi(str(path), compression_options=options) as writer:
                dtype = np.uint16 if kind == "grey" else np.uint8
                writer.write(pixels(shape, 7, dtype), plane={"C": 0, "Z": 1})
                writer.write_metadata(scale_x=1e-6, scale_y=1e-6, scale_z=0)
            paths.append(path)
    for number, (shape, dtype) in enumerate((((40, 50), np.uint16), ((24, 30, 3), np.uint8))):
        path = folder / f"jpegxr{number}.czi"
        with path.open("xb") as file:
            dims = (Dimension("X", 0, shape[1]), Dimension("Y", 0, shape[0]), Dimension("C", 0))
            # ZEN's colours are blue first, the codec's red first: the same bytes, another name
            coded = imagecodecs.jpegxr_encode(pixels(shape, 8, dtype)).replace(_RGB, _BGR)
            tiles = SegmentWriter(file)
            tiles.tile(dims, 3 * number + (number == 0), 4, bytes(coded))
            tiles.finish(_XML.format(""))
        paths.append(path)
    return paths


def segments(content: bytes) -> list[tuple[int, bytes]]:
    """Where each segment of a sound file begins, and its name."""
    found, at = [], 0
    while at + _HEADER <= len(content):
        name, allocated, _ = struct.unpack_from("<16sqq", content, at)
        found.append((at, name.rstrip(b"\0")))
        at += _HEADER + allocated
    return found


# name of the segment -> offset, format and meaning of the numbers in it
_NUMBERS = {
    b"ZISRAWFILE": [(112, "i"), (116, "q"), (124, "q"), (136, "q")],
    b"ZISRAWSUBBLOCK": [
        *((32, "i"), (36, "i"), (40, "q"), (50, "i"), (54, "q"), (66, "i"), (76, "i")),
        *((84, "i"), (88, "i"), (96, "i"), (104, "i"), (108, "i"), (116, "i"), (128, "i")),
    ],
    b"ZISRAWDIRECTORY": [
        *((32, "i"), (162, "i"), (166, "q"), (174, "i"), (178, "i"), (188, "i"), (196, "i")),
        *((200, "i"), (208, "i"), (216, "i"), (220, "i"), (228, "i"), (240, "i"), (248, "i")),
    ],
    b"ZISRAWATTDIR": [(32, "i"), (300, "q")],
    b"ZISRAWATTACH": [(32, "i")],
    b"ZISRAWMETADATA": [(32, "i"), (36, "i")],
}
_LIES = (0, 1, -1, 2, 7, 255, 10**6, 10**9, 2**31 - 1, -(2**31), 10**12, 2**62, -(2**63))


def structured(seed: Path, n_mutants: int, random_seed: int) -> Iterator[Mutant]:
    """Every number of the format's structures lies; segments are cut, zeroed or exchanged."""
    rng = np.random.default_rng(random_seed)
    content = seed.read_bytes()
    found = segments(content)
    for number in range(n_mutants):
        at, name = found[int(rng.integers(len(found)))]
        changed = bytearray(content)
        kind = int(rng.integers(8))
        if kind == 0:
            changed = changed[: at + int(rng.integers(0, 300))]
        elif kind == 1:
            struct.pack_into("<q", changed, at + 16 + 8 * int(rng.integers(2)), _lie(rng, "q"))
        elif kind == 2:
            other, _ = found[int(rng.integers(len(found)))]
            changed[at : at + 256] = content[other : other + 256]
        elif kind == 3:
            end = min(len(changed), at + int(rng.integers(32, 2000)))
            changed[at:end] = bytes(end - at)
        elif name in _NUMBERS:
            for _ in range(int(rng.integers(1, 3))):
                offset, form = _NUMBERS[name][int(rng.integers(len(_NUMBERS[name])))]
                if at + offset + struct.calcsize(form) <= len(changed):
                    struct.pack_into("<" + form, changed, at + offset, _lie(rng, form))
        yield Mutant(f"{seed.name} structure {number} of seed {random_seed}", _write(seed, changed))


def _lie(rng: np.random.Generator, form: str) -> int:
    bits = 8 * struct.calcsize(form)
    lie = int(rng.choice(np.array(_LIES, dtype=object)))
    return lie if -(2 ** (bits - 1)) <= lie < 2 ** (bits - 1) else 2 ** (bits - 1) - 1


def _write(seed: Path, content: bytes | bytearray):
    return write_bytes(seed.name, bytes(content))


def hostile() -> Iterator[Mutant]:
    """Files made to do harm."""
    yield Mutant("nothing", write_bytes("nothing.czi", b""))
    yield Mutant("zeros", write_bytes("zeros.czi", bytes(100_000)))
    yield Mutant("a header alone", write_bytes("header.czi", b"ZISRAWFILE" + bytes(600)))
    bomb = imagecodecs.zstd_encode(bytes(2**28), level=1)
    for side in (16, 4_000, 20_000, 10**6, 10**8):
        for compression, payload in (
            (0, b"\1" * 512),
            (5, bomb),
            (6, b"\1" + bomb),
            (4, b"II\xbc"),
        ):
            name = f"{side} pixels of compression {compression}"
            yield Mutant(name, _MakeTile(side, compression, bytes(payload)))
    entities = "".join(f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 12))
    laughs = f"<!DOCTYPE x [<!ENTITY a0 'ha'>{entities}]><x>&a11;</x>"
    yield Mutant("entities", _MakeTile(16, 0, b"\1" * 512, laughs))
    yield Mutant("deep XML", _MakeTile(16, 0, b"\1" * 512, "<a>" * 200_000))
    many = _XML.format("<Distance Id='X'><Value>1e-999</Value></Distance>" * 20_000)
    yield Mutant("long XML", _MakeTile(16, 0, b"\1" * 512, many))


class _MakeTile:
    """Writes a file of one square tile that claims what is said here."""

    def __init__(self, side: int, compression: int, payload: bytes, xml: str = "") -> None:
        self._tile = side, compression, payload
        self._xml = xml

    def __call__(self, folder: Path) -> Path:
        side, compression, payload = self._tile
        path = folder / "made.czi"
        with path.open("xb") as file:
            writer = SegmentWriter(file)
            writer.tile((Dimension("X", 0, side), Dimension("Y", 0, side)), 1, compression, payload)
            writer.finish(self._xml)
        return path


def real_seeds() -> list[Path]:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "czi"
    return [folder / name for name in _REAL if (folder / name).is_file()]


def run(seeds: list[Path], n_mutants: int, random_seed: int) -> Result:
    each = max(1, n_mutants // (2 * len(seeds)))

    def mutants() -> Iterator[Mutant]:
        yield from hostile()
        for seed in seeds:
            yield from structured(seed, each, random_seed)
            yield from damaged_bytes(seed, each, random_seed=random_seed)

    return fuzz(mutants())


def test_a_damaged_czi_is_an_image_or_one_line(seeds, n_mutants):
    result = run([*seeds, *real_seeds()], n_mutants, 0)
    assert result.findings == ()
    assert result.n_opened > 0.05 * result.n_inputs
    assert result.n_refused > 0.2 * result.n_inputs


def test_the_undamaged_seeds_open(seeds):
    result = fuzz(Mutant(p.name, write_bytes(p.name, p.read_bytes())) for p in seeds)
    assert result.findings == ()
    assert result.n_opened == len(seeds)
