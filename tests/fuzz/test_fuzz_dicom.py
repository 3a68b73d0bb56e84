"""Hostile DICOM files and folders: images or one line."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from harness import Mutant, damaged_bytes, fuzz, hostile, write_bytes
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from napari_bridgecorr.io.registry import open_images

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "io"))

from dicom_samples import dataset, multi_frame, save_series


@dataclass(frozen=True)
class _WriteFolder:
    """A series of which one file is hostile."""

    good: tuple[bytes, ...]
    bad: bytes

    def __call__(self, folder: Path) -> Path:
        for number, content in enumerate((*self.good, self.bad)):
            (folder / f"IM{number}").write_bytes(content)
        return folder


def _bytes(found: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, found, enforce_file_format=True)
    return buffer.getvalue()


def _volume() -> np.ndarray:
    return np.random.default_rng(4).integers(1, 99, (4, 8, 10)).astype(np.uint16)


def _seeds(folder: Path) -> dict[str, bytes]:
    """Small files of every kind, without a pixel of 0."""
    rgb = np.random.default_rng(3).integers(1, 255, (8, 10, 3)).astype(np.uint8)
    plane = _volume()[0]
    seeds = {
        "plain.dcm": _bytes(dataset(plane)),
        "implicit.dcm": _bytes(dataset(plane, syntax=ImplicitVRLittleEndian)),
        "big.dcm": _bytes(dataset(plane, syntax=ExplicitVRBigEndian)),
        "frames.dcm": _bytes(multi_frame(_volume())),
        "rgb.dcm": _bytes(dataset(rgb)),
        "scaled.dcm": _bytes(dataset(plane, RescaleSlope="2.5", RescaleIntercept="3")),
    }
    for compressor in ("JPEG", "JPEG2000"):
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        path = folder / f"{compressor.lower()}.dcm"
        writer.SetFileName(str(path))
        writer.Execute(sitk.GetImageFromArray(_volume()))
        seeds[path.name] = path.read_bytes()
    for name, content in seeds.items():
        (folder / name).write_bytes(content)
    return seeds


_TAGS = {
    "rows": (b"\x28\0\x10\0US\2\0", [0, 1, 7, 9, 0xFFFF]),
    "columns": (b"\x28\0\x11\0US\2\0", [0, 1, 9, 11, 0xFFFF]),
    "samples": (b"\x28\0\2\0US\2\0", [0, 2, 3, 4, 0xFFFF]),
    "bits allocated": (b"\x28\0\0\1US\2\0", [0, 1, 8, 12, 16, 32, 64, 0xFFFF]),
    "bits stored": (b"\x28\0\1\1US\2\0", [0, 1, 12, 17, 0xFFFF]),
    "high bit": (b"\x28\0\2\1US\2\0", [0, 1, 12, 17, 0xFFFF]),
    "sign": (b"\x28\0\3\1US\2\0", [1, 2, 0xFFFF]),
}


def _number_lies(seeds: dict[str, bytes]) -> Iterator[Mutant]:
    for name in ("plain.dcm", "frames.dcm", "rgb.dcm", "jpeg.dcm", "jpeg2000.dcm"):
        content = seeds[name]
        for what, (tag, values) in _TAGS.items():
            at = content.find(tag)
            if at < 0:
                continue
            at += len(tag)
            for value in values:
                changed = content[:at] + struct.pack("<H", value) + content[at + 2 :]
                yield Mutant(f"{name}: {what} {value}", write_bytes(name, changed))


def _text_lies() -> Iterator[Mutant]:
    texts = ("", "0", "-1", "nan", "inf", "1e400", "x", "1\\2", "\\".join(["1e11"] * 9), "9" * 60)
    names = (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "RescaleSlope",
        "RescaleIntercept",
        "NumberOfFrames",
        "InstanceNumber",
        "SeriesDescription",
        "PhotometricInterpretation",
        "ImageType",
        "TemporalPositionIdentifier",
        "FrameTime",
    )
    for name in names:
        for text in texts:
            found = dataset(_volume()[0])
            # by tag, so that pydicom checks nothing
            tag = pydicom.datadict.tag_for_keyword(name)
            found[tag] = pydicom.DataElement(tag, "LT", text)
            yield Mutant(f"{name} {text[:20]!r}", write_bytes("a.dcm", _bytes(found)))


def _structural(seeds: dict[str, bytes]) -> Iterator[Mutant]:
    for name, content in seeds.items():
        for part in (0, 1, 100, 131, 132, 133, 139, 144, 200, 330, 400, len(content) // 2):
            yield Mutant(f"{name} cut at {part}", write_bytes(name, content[:part]))
        for part in (1, 2, 7, 8, 9, 20):
            yield Mutant(f"{name} {part} short", write_bytes(name, content[:-part]))
    yield Mutant("empty", write_bytes("a.dcm", b""))
    yield Mutant("zeros", write_bytes("a.dcm", bytes(9000)))
    plain = seeds["plain.dcm"]
    head = plain[: plain.index(b"\x08\0\x16\0")]
    pixels = plain.index(b"\xe0\x7f\x10\0")
    nested = b"\x09\0\0\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    for depth in (1, 11, 12, 13, 500, 20000):
        content = head + nested * depth + plain[pixels:]
        yield Mutant(f"{depth} nested sequences", write_bytes("a.dcm", content))
    items = b"\xfe\xff\0\xe0\0\0\0\0" * 200_000
    content = head + b"\x09\0\0\x10SQ\0\0" + struct.pack("<I", len(items)) + items + plain[pixels:]
    yield Mutant("many items", write_bytes("a.dcm", content))
    undefined = plain[: pixels + 8] + b"\xff\xff\xff\xff" + plain[pixels + 12 :]
    yield Mutant("pixels of undefined length", write_bytes("a.dcm", undefined))
    ending = b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    yield Mutant("no fragments", write_bytes("a.dcm", plain[: pixels + 8] + b"\xff" * 4 + ending))
    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "9.9"):
        old = b"1.2.840.10008.1.2.1\0"
        new = syntax.encode().ljust(len(old), b"\0")[: len(old)]
        changed = plain.replace(old, new, 1)
        yield Mutant(f"syntax {syntax}", write_bytes("a.dcm", changed))
    compressed = seeds["jpeg.dcm"]
    for syntax in ("4.50", "4.51", "4.57", "4.70", "4.80", "4.90", "4.91", "5", "4.100"):
        at = compressed.index(b"1.2.840.10008.1.2.4")
        new = f"1.2.840.10008.1.2.{syntax}".encode()
        length = struct.unpack_from("<H", compressed, at - 2)[0]
        changed = compressed[:at] + new.ljust(length, b"\0")[:length] + compressed[at + length :]
        yield Mutant(f"JPEG said to be {syntax}", write_bytes("a.dcm", changed))


def _folders(seeds: dict[str, bytes], folder: Path) -> Iterator[Mutant]:
    save_series(folder / "good", _volume())
    good = tuple(path.read_bytes() for path in sorted((folder / "good").iterdir()))
    for name, content in seeds.items():
        yield Mutant(f"a folder with {name}", _WriteFolder(good, content))
        for mutant in damaged_bytes(folder / name, 6, random_seed=99):
            (folder / "scratch").mkdir(exist_ok=True)
            bad = mutant.write(folder / "scratch").read_bytes()
            yield Mutant(f"a folder with {mutant.name}", _WriteFolder(good, bad))


def test_hostile_files(tmp_path: Path, n_mutants: int) -> None:
    seeds = _seeds(tmp_path)
    lies = [
        *_structural(seeds),
        *_number_lies(seeds),
        *_text_lies(),
        *_folders(seeds, tmp_path),
    ]
    each = max(2, n_mutants // (2 * len(seeds)))
    result = fuzz(hostile(lies, tmp_path, seeds, each, n_mutants))
    assert result.findings == ()
    assert result.n_opened > result.n_inputs // 10
    assert result.n_refused > result.n_inputs // 10


def test_a_cut_never_becomes_zeros(tmp_path: Path) -> None:
    seeds = _seeds(tmp_path)
    mutants = [
        Mutant(f"{name} cut to {part}", write_bytes(name, content[: int(len(content) * part)]))
        for name, content in seeds.items()
        for part in (0.3, 0.6, 0.9, 0.97)
    ]
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_opened == 0
    for name in seeds:
        (image,) = open_images(tmp_path / name)
        assert np.all(image.data.compute() > 0)
