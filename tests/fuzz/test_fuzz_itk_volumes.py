"""Hostile NRRD and MetaImage files: an image or one line."""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from harness import Mutant, fuzz, hostile, write_bytes

from napari_bridgecorr.io.registry import open_images

_VALUES = ("0", "-1", "1", "999999999999", "1e12", "nan", "inf", "-inf", "1e-320", "x" * 5000, "")


@dataclass(frozen=True)
class _WriteFiles:
    """Several files, of which the first is opened."""

    files: tuple[tuple[str, bytes], ...]

    def __call__(self, folder: Path) -> Path:
        for name, content in self.files:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return folder / self.files[0][0]


@dataclass(frozen=True)
class _WriteLinked:
    """The data file is a link (or a pipe) instead of a file."""

    name: str
    header: bytes
    target: str

    def __call__(self, folder: Path) -> Path:
        if self.target == "pipe":
            os.mkfifo(folder / "a.raw")
        else:
            (folder / "a.raw").symlink_to(self.target)
        path = folder / self.name
        path.write_bytes(self.header)
        return path


def _image(is_vector: bool = False) -> sitk.Image:
    shape = (5, 6, 7, 3) if is_vector else (5, 6, 7)
    array = np.random.default_rng(3).integers(1, 999, shape).astype(np.int16)
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    image.SetSpacing((0.1, 0.2, 0.3))
    image.SetDirection((0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, 1))
    return image


def _seeds(folder: Path) -> dict[str, bytes]:
    """Attached files by ITK, without a voxel of 0."""
    for ending in ("nrrd", "mha"):
        sitk.WriteImage(_image(), folder / f"raw.{ending}")
        sitk.WriteImage(_image(), folder / f"packed.{ending}", True)
        sitk.WriteImage(_image(is_vector=True), folder / f"vector.{ending}")
    array = sitk.GetArrayFromImage(_image()).astype("<i2")
    raw = (folder / "raw.nrrd").read_bytes()
    head = raw[: raw.index(b"\n\n") + 2]
    for name, encoding, content in (
        ("bzip", b"bzip2", bz2.compress(array.tobytes())),
        ("text", b"text", " ".join(map(str, array.ravel())).encode()),
        ("hex", b"hex", array.tobytes().hex().encode()),
    ):
        changed = head.replace(b"encoding: raw", b"encoding: " + encoding) + content
        (folder / f"{name}.nrrd").write_bytes(changed)
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.*"))}


def _head_of(name: str, content: bytes) -> bytes:
    """The header with its end."""
    if name.endswith("nrrd"):
        return content[: content.index(b"\n\n") + 2]
    start = content.index(b"ElementDataFile")
    return content[: content.index(b"\n", start) + 1]


def _field_lies(name: str, content: bytes) -> Iterator[Mutant]:
    """Each field gone, doubled, emptied, or with a value that lies."""
    head = _head_of(name, content)
    voxels = content[len(head) :]
    separator = ": " if name.endswith("nrrd") else " = "
    lines = head.decode().rstrip("\n").split("\n")
    ending = "\n\n" if name.endswith("nrrd") else "\n"

    def mutant(what: str, changed: list[str]) -> Mutant:
        whole = ("\n".join(changed) + ending).encode() + voxels
        return Mutant(f"{name}: {what}", write_bytes(name, whole))

    for number, line in enumerate(lines):
        key, mark, value = line.partition(separator)
        yield mutant(f"without line {number}", lines[:number] + lines[number + 1 :])
        yield mutant(f"line {number} twice", lines[: number + 1] + lines[number:])
        yield mutant(f"line {number} first", [line, *lines[:number], *lines[number + 1 :]])
        if not mark:
            continue
        words = value.split()
        values = [
            *_VALUES,
            " ".join([*words, *words]),
            " ".join(words[:-1]),
            "LIST",
            "%s%n%d 1 9 1",
        ]
        values += [" ".join([lie] * len(words)) for lie in _VALUES if len(words) > 1]
        values += [" ".join([*words[:-1], lie]) for lie in _VALUES if len(words) > 1]
        values += [" ".join(f"({lie},{lie},{lie})" for _ in range(3)) for lie in _VALUES[:8]]
        for lie in values:
            changed = [*lines[:number], f"{key}{separator}{lie}", *lines[number + 1 :]]
            yield mutant(f"{key} {lie[:40]}", changed)


def _bombs(seeds: dict[str, bytes]) -> Iterator[Mutant]:
    zeros = bytes(2**27)
    for name, old, new, content in (
        ("packed.nrrd", b"sizes: 7 6 5", b"sizes: 4096 4096 4096", gzip.compress(zeros, 1)),
        ("packed.nrrd", b"sizes: 7 6 5", b"sizes: 1000000 1000000 1", gzip.compress(zeros, 1)),
        ("packed.nrrd", b"sizes: 7 6 5", b"sizes: 7 6 5", gzip.compress(zeros, 1)),
        ("bzip.nrrd", b"sizes: 7 6 5", b"sizes: 4096 4096 4096", bz2.compress(zeros)),
        ("bzip.nrrd", b"sizes: 7 6 5", b"sizes: 7 6 5", bz2.compress(zeros)),
        ("packed.mha", b"DimSize = 7 6 5", b"DimSize = 4096 4096 4096", zlib.compress(zeros, 1)),
        ("packed.mha", b"DimSize = 7 6 5", b"DimSize = 7 6 5", zlib.compress(zeros, 1)),
        ("text.nrrd", b"sizes: 7 6 5", b"sizes: 4096 4096 4096", b"1 " * 999),
        ("text.nrrd", b"sizes: 7 6 5", b"sizes: 7 6 5", b"9" * 2**22),
        ("text.nrrd", b"sizes: 7 6 5", b"sizes: 7 6 5", b"1e9 " * 999),
    ):
        head = _head_of(name, seeds[name])
        assert old in head
        changed = head.replace(old, new) + content
        yield Mutant(f"bomb {name} {new.decode()}", write_bytes(name, changed))


def _detached(seeds: dict[str, bytes]) -> Iterator[Mutant]:
    """Data file names that lead elsewhere, or to something that is no file."""
    nrrd = _head_of("raw.nrrd", seeds["raw.nrrd"]).decode().rstrip("\n")
    meta = _head_of("raw.mha", seeds["raw.mha"]).decode()
    voxels = seeds["raw.nrrd"][len(_head_of("raw.nrrd", seeds["raw.nrrd"])) :]
    names = [
        "a.raw",
        "./a.raw",
        "sub/a.raw",
        "../a.raw",
        "../../../../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/mem",
        "C:\\a.raw",
        "\\\\host\\share\\a.raw",
        "file:///etc/passwd",
        "a.nhdr",
        "a.mhd",
        ".",
        "..",
        "sub",
        "x" * 300,
        "x\0y",
        "%d",
        "s%d.raw 1 1000000000 1",
        "s%999999999d.raw 1 5 1",
        "s%d.raw 1 5 0",
        "s%d.raw 5 1 -1",
        "s%*d.raw 1 5 1",
        "LIST",
        "LIST 99",
        "LIST\na.raw",
        "LIST\n../a.raw\nb\nc\nd\ne",
        "LIST 3\na.raw",
        "",
    ]
    for name in names:
        files = (("a.raw", voxels), ("sub/a.raw", voxels))
        header = f"{nrrd}\ndata file: {name}\n".encode()
        yield Mutant(f"nhdr to {name[:40]}", _WriteFiles((("a.nhdr", header), *files)))
        header = meta.replace("LOCAL", name).encode()
        yield Mutant(f"mhd to {name[:40]}", _WriteFiles((("a.mhd", header), *files)))
    for target in ("pipe", "/etc/passwd", "/dev/zero", "a.raw", ".."):
        header = f"{nrrd}\ndata file: a.raw\n".encode()
        yield Mutant(f"nhdr, link to {target}", _WriteLinked("a.nhdr", header, target))
        header = meta.replace("LOCAL", "a.raw").encode()
        yield Mutant(f"mhd, link to {target}", _WriteLinked("a.mhd", header, target))
    for length in (0, 1, len(voxels) // 2, len(voxels) - 1):
        header = f"{nrrd}\ndata file: a.raw\n".encode()
        files = (("a.nhdr", header), ("a.raw", voxels[:length]))
        yield Mutant(f"nhdr, voxels cut at {length}", _WriteFiles(files))


def _other(seeds: dict[str, bytes]) -> Iterator[Mutant]:
    for name in ("a.nrrd", "a.nhdr", "a.mha", "a.mhd"):
        yield Mutant(f"empty {name}", write_bytes(name, b""))
        yield Mutant(f"zeros {name}", write_bytes(name, bytes(5000)))
        yield Mutant(f"endless line {name}", write_bytes(name, b"NRRD0004\ntype: " + b"a" * 2**22))
        yield Mutant(f"endless head {name}", write_bytes(name, b"NDims = 3\n" + b"a = b\n" * 2**19))
    for name, content in seeds.items():
        head = len(_head_of(name, content))
        for length in {0, 1, 4, 8, 9, 10, head // 2, head - 2, head - 1, head, head + 1}:
            yield Mutant(f"{name} cut at {length}", write_bytes(name, content[:length]))


def test_hostile_files(tmp_path: Path, n_mutants: int) -> None:
    seeds = _seeds(tmp_path)
    lies = [*_bombs(seeds), *_detached(seeds), *_other(seeds)]
    for name in ("raw.nrrd", "raw.mha", "vector.nrrd", "packed.mha"):
        lies += _field_lies(name, seeds[name])
    each = max(2, n_mutants // (2 * len(seeds)))
    result = fuzz(hostile(lies, tmp_path, seeds, each, n_mutants))
    assert result.findings == ()
    assert result.n_opened > result.n_inputs // 20
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
