"""Hostile NIfTI and ANALYZE files: an image or one line."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from harness import Mutant, damaged_bytes, fuzz, hostile, open_and_read, write_bytes

from napari_bridgecorr.io.registry import open_images

_OBLIQUE = np.array([[0.8, -0.6, 0, 1], [0.6, 0.8, 0, 2], [0, 0, 1.5, 3], [0, 0, 0, 1.0]])


def _seeds(folder: Path) -> dict[str, bytes]:
    """Small files of every kind, without a voxel of 0."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(1, 999, (6, 7, 8)).astype(np.int16)
    rgb = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for name in "RGB":
        rgb[name] = rng.integers(1, 255, rgb.shape)
    scaled = nib.Nifti1Image(pixels.astype(float) / 7, _OBLIQUE)
    scaled.header.set_data_dtype(np.int16)
    big = nib.Nifti1Image(pixels.astype(">i2"), _OBLIQUE, nib.Nifti1Header(endianness=">"))
    labels = nib.Nifti1Image(pixels.astype(np.float32), _OBLIQUE)
    labels.header["intent_code"] = 1002
    found = {
        "int16.nii": nib.Nifti1Image(pixels, _OBLIQUE),
        "two.nii": nib.Nifti2Image(pixels, _OBLIQUE),
        "packed.nii.gz": nib.Nifti1Image(pixels, _OBLIQUE),
        "rgb.nii": nib.Nifti1Image(rgb, _OBLIQUE),
        "complex.nii": nib.Nifti1Image(pixels * (1 + 2j), _OBLIQUE),
        "scaled.nii": scaled,
        "big.nii": big,
        "labels.nii.gz": labels,
        "five.nii": nib.Nifti1Image(rng.random((3, 4, 5, 2, 3)) + 1, _OBLIQUE),
    }
    for name, image in found.items():
        nib.save(image, folder / name)
    return {name: (folder / name).read_bytes() for name in found}


def _analyze(folder: Path) -> tuple[bytes, bytes]:
    pixels = np.random.default_rng(6).integers(1, 999, (6, 7, 8)).astype(np.int16)
    nib.Spm2AnalyzeImage(pixels, np.eye(4)).to_filename(folder / "pair.img")
    return (folder / "pair.hdr").read_bytes(), (folder / "pair.img").read_bytes()


@dataclass(frozen=True)
class _WritePair:
    header: bytes
    pixels: bytes

    def __call__(self, folder: Path) -> Path:
        (folder / "pair.img").write_bytes(self.pixels)
        path = folder / "pair.hdr"
        path.write_bytes(self.header)
        return path


@dataclass(frozen=True)
class _WriteLinkedPair:
    """The pixels are a link to a file elsewhere: legal, as users link large files."""

    header: bytes
    target: Path

    def __call__(self, folder: Path) -> Path:
        (folder / "pair.img").symlink_to(self.target)
        path = folder / "pair.hdr"
        path.write_bytes(self.header)
        return path


def _edited(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


def _header_lies(name: str, content: bytes) -> Iterator[Mutant]:
    """Fields of a NIfTI-1 header that lie, one by one."""
    lies: list[tuple[str, int, bytes]] = []
    for sizes in (
        (3, 10000, 10000, 10000),
        (3, 32767, 32767, 32767),
        (7, 32767, 32767, 32767, 32767, 32767, 32767, 32767),
        (4, 6, 7, 8, 32767),
        (3, -1, 7, 8),
        (3, 0, 7, 8),
        (0, 0, 0, 0),
        (1, 30),
        (8, 6, 7, 8),
        (-1, 6, 7, 8),
    ):
        lies.append((f"sizes {sizes}", 40, struct.pack(f"<{len(sizes)}h", *sizes)))
    for code in (0, 1, 2, 255, 1536, 2048, 2304, -1, 999, 128, 1024):
        lies.append((f"voxel type {code}", 70, struct.pack("<h", code)))
    for offset in (0, 1, 348, 353.7, 1e9, 1e18, -400, np.inf, np.nan):
        lies.append((f"offset {offset}", 108, struct.pack("<f", offset)))
    for slope, inter in ((np.nan, 1), (np.inf, 1), (1e38, 1e38), (2, np.inf), (-1, 0), (1e-45, 0)):
        lies.append((f"slope {slope}, {inter}", 112, struct.pack("<2f", slope, inter)))
    for code in (-1, 0, 1, 9, 32767):
        lies.append((f"qform code {code}", 252, struct.pack("<2h", code, 0)))
        lies.append((f"sform code {code}", 252, struct.pack("<2h", 0, code)))
    for value in (np.nan, np.inf, 0, 1e38, -1e38, 1e-38):
        lies.append((f"sform of {value}", 280, struct.pack("<12f", *[value] * 12)))
        lies.append((f"sizes of voxels {value}", 76, struct.pack("<8f", *[value] * 8)))
        lies.append((f"quaternion {value}", 256, struct.pack("<3f", *[value] * 3)))
    for code in (1002, 1005, 1006, 1007, 2003, -5):
        lies.append((f"intent {code}", 68, struct.pack("<h", code)))
    for units in range(0, 256, 5):
        lies.append((f"units {units}", 123, bytes([units])))
    for size, code in ((0, 6), (8, 6), (2**31 - 1, 6), (-16, 6), (32, 6), (17, 4)):
        extension = b"\1\0\0\0" + struct.pack("<ii", size, code) + b"bridgecorr {"
        lies.append((f"extension of {size}", 348, extension))
    note = b'bridgecorr {"index_to_world": "x", "channels": [{"name": 1, "colour": {}}]}'
    lies.append(("a note of ours", 348, b"\1\0\0\0" + struct.pack("<ii", 96, 6) + note))
    nested = b"bridgecorr " + b"[" * 100_000
    lies.append(("a deep note", 348, b"\1\0\0\0" + struct.pack("<ii", 100_032, 6) + nested))
    for what, at, value in lies:
        yield Mutant(f"{name}: {what}", write_bytes(name, _edited(content, at, value)))
        packed = gzip.compress(_edited(content, at, value), 1)
        yield Mutant(f"{name}.gz: {what}", write_bytes(name + ".gz", packed))


def _structural(seeds: dict[str, bytes]) -> Iterator[Mutant]:
    plain, packed = seeds["int16.nii"], seeds["packed.nii.gz"]
    for length in (0, 1, 3, 4, 40, 343, 347, 348, 349, 351, 352, 353, len(plain) - 1):
        yield Mutant(f"cut at {length}", write_bytes("a.nii", plain[:length]))
        yield Mutant(
            f"gz of a cut at {length}", write_bytes("a.nii.gz", gzip.compress(plain[:length]))
        )
    for length in (0, 1, 2, 9, 10, 11, 20, len(packed) // 2, len(packed) - 8, len(packed) - 1):
        yield Mutant(f"gz cut at {length}", write_bytes("a.nii.gz", packed[:length]))
    for name in ("a.nii", "a.nii.gz", "a.hdr", "a.img", "a.hdr.gz"):
        yield Mutant(f"empty {name}", write_bytes(name, b""))
        yield Mutant(f"zeros {name}", write_bytes(name, bytes(5000)))
        yield Mutant(f"half of a pair {name}", write_bytes(name, plain))
    members = gzip.compress(plain[:300]) + gzip.compress(plain[300:])
    yield Mutant("two members", write_bytes("a.nii.gz", members))
    yield Mutant("two members, the last cut", write_bytes("a.nii.gz", members[:-20]))
    yield Mutant("padding behind gz", write_bytes("a.nii.gz", packed + bytes(100)))
    yield Mutant("junk behind gz", write_bytes("a.nii.gz", packed + b"junk" * 9))
    yield Mutant("gz in gz", write_bytes("a.nii.gz", gzip.compress(packed)))
    yield Mutant("a bomb", write_bytes("a.nii.gz", gzip.compress(plain + bytes(2**28))))
    huge = _edited(plain, 40, struct.pack("<4h", 3, 1024, 1024, 1024))
    yield Mutant("a bomb as said", write_bytes("a.nii.gz", gzip.compress(huge + bytes(2**28))))
    yield Mutant("a lying trailer", write_bytes("a.nii.gz", packed[:-4] + b"\xff" * 4))


def _pairs(header: bytes, pixels: bytes) -> Iterator[Mutant]:
    yield Mutant("a good pair", _WritePair(header, pixels))
    for length in (0, 1, 40, 100, 347):
        yield Mutant(f"pair, header cut at {length}", _WritePair(header[:length], pixels))
    for length in (0, 1, 500, len(pixels) - 1):
        yield Mutant(f"pair, pixels cut at {length}", _WritePair(header, pixels[:length]))
    for sizes in ((3, 32767, 32767, 32767), (4, 6, 7, 8, -1), (0,), (3, 0, 0, 0)):
        lie = _edited(header, 40, struct.pack(f"<{len(sizes)}h", *sizes))
        yield Mutant(f"pair, sizes {sizes}", _WritePair(lie, pixels))
    for code in (0, 1, 2, 8, 32, 128, 255, 512, -1):
        lie = _edited(header, 70, struct.pack("<h", code))
        yield Mutant(f"pair, voxel type {code}", _WritePair(lie, pixels))
    for value in (np.nan, np.inf, -np.inf, 0, 1e38):
        for at in (76, 80, 108, 112, 116, 124):
            lie = _edited(header, at, struct.pack("<4f", *[value] * 4))
            yield Mutant(f"pair, {value} at {at}", _WritePair(lie, pixels))
    yield Mutant("pair of links to nothing", _WriteLinkedPair(header, Path("nowhere/x.img")))


def _damaged_pairs(folder: Path, n: int) -> Iterator[Mutant]:
    for mutant in damaged_bytes(folder / "pair.hdr", n, random_seed=77):
        content = mutant.write(folder / "scratch").read_bytes()
        yield Mutant(mutant.name, _WritePair(content, (folder / "pair.img").read_bytes()))


def test_hostile_files(tmp_path: Path, n_mutants: int) -> None:
    seeds = _seeds(tmp_path)
    header, pixels = _analyze(tmp_path)
    (tmp_path / "scratch").mkdir()
    lies = [
        *_structural(seeds),
        *_pairs(header, pixels),
        *_header_lies("int16.nii", seeds["int16.nii"]),
        *_header_lies("complex.nii", seeds["complex.nii"]),
    ]
    each = max(2, n_mutants // (2 * (len(seeds) + 1)))
    mutants = hostile(lies, tmp_path, seeds, each, n_mutants)
    result = fuzz([*mutants, *_damaged_pairs(tmp_path, each)])
    assert result.findings == ()
    assert result.n_opened > result.n_inputs // 10
    assert result.n_refused > result.n_inputs // 10


def test_damage_never_becomes_zeros(tmp_path: Path) -> None:
    """No seed holds a 0: what opens after a cut is refused or whole."""
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
        assert open_and_read(tmp_path / name) == "opened"
        assert np.all(image.data.compute() != 0) or "complex" in name or "scaled" in name
