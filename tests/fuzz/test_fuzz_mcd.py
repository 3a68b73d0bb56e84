"""Hostile MCD files and text files of mass cytometers: an image or one line, nothing else."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import Mutant, damaged_bytes, fuzz, open_and_read, write_bytes
from imc_files import (
    Region,
    picture_bytes,
    rectangle,
    rgba,
    textured,
    write_mcd,
    write_text,
)

from napari_bridgecorr.io.registry import open_images

_START = "<MCDSchema".encode("utf-16-le")
_VALUES = ["0", "-1", "1", "3", "65535", "4294967296", "1000000000000", "9" * 400, "1e308", "nan"]
_VALUES += ["", "x", "inf", "../../etc/passwd", "\ud7ff", "0x10", "1_0", "-0", "2147483648", "12.5"]


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    regions = [
        Region(1, textured((3, 9, 8)), rectangle(31000, 13000, 8, 9)),
        Region(
            2,
            textured((3, 7, 5), 1),
            rectangle(31100, 12900, 5, 7, turned=0.4),
            before=picture_bytes(rgba(14, 10, 2)),
            after=picture_bytes(rgba(14, 10, 3)[..., :3], "JPEG"),
        ),
        Region(3, textured((3, 4, 4), 2), None, after=picture_bytes(rgba(5, 4)[..., :3], "BMP")),
    ]
    panoramas = [(picture_bytes(rgba(20, 25, 4)), rectangle(30990, 13010, 100, 80))]
    mcd = write_mcd(tmp_path / "seed.mcd", regions, panoramas, picture_bytes(rgba(9, 27, 5)))
    return [mcd, write_text(tmp_path / "seed.txt", regions[0])]


def rewritten_fields(path: Path, n: int, random_seed: int = 0) -> Iterator[Mutant]:
    """One to three values of the XML become extreme ones."""
    rng = np.random.default_rng(random_seed)
    content = path.read_bytes()
    at = content.rfind(_START)
    pixels, xml = content[:at], content[at:].decode("utf-16-le")
    values = list(re.finditer(r">([^<>]+)<", xml))
    for number in range(n):
        changed = xml
        for place in sorted(rng.choice(len(values), int(rng.integers(1, 4))), reverse=True):
            found = values[place]
            value = _VALUES[int(rng.integers(len(_VALUES)))]
            if rng.random() < 0.3:
                value = str(int(rng.integers(0, 2 * len(content))))
            changed = changed[: found.start(1)] + value + changed[found.end(1) :]
        encoded = changed.encode("utf-16-le", "surrogatepass")
        name = f"{path.name} fields {number} of seed {random_seed}"
        yield Mutant(name, write_bytes("a.mcd", pixels + encoded))


def rewritten_cells(path: Path, n: int, random_seed: int = 0) -> Iterator[Mutant]:
    """One to three cells of a text file become extreme ones, or lines are moved about."""
    rng = np.random.default_rng(random_seed)
    lines = path.read_text().splitlines()
    for number in range(n):
        changed = list(lines)
        for _ in range(int(rng.integers(1, 4))):
            line = int(rng.integers(len(changed)))
            cells = changed[line].split("\t")
            kind = rng.random()
            if kind < 0.6:
                cells[int(rng.integers(len(cells)))] = _VALUES[int(rng.integers(len(_VALUES)))]
                changed[line] = "\t".join(cells)
            elif kind < 0.7:
                changed[line] = "\t".join(cells[: int(rng.integers(len(cells)))])
            elif kind < 0.8:
                del changed[line]
            elif kind < 0.9:
                changed.insert(line, changed[int(rng.integers(len(changed)))])
            else:
                changed[line] = ""
        name = f"{path.name} cells {number} of seed {random_seed}"
        yield Mutant(name, write_bytes("a.txt", "\n".join(changed).encode("utf-8", "replace")))


def crafted(mcd: Path, text: Path) -> Iterator[Mutant]:
    """Inputs that are hostile on purpose."""
    content = mcd.read_bytes()
    at = content.rfind(_START)
    xml = content[at:].decode("utf-16-le")

    def with_xml(changed: str, before: bytes = b"") -> bytes:
        return content[:at] + before + changed.encode("utf-16-le")

    laughs = "<!DOCTYPE l [<!ENTITY a 'ha'>"
    laughs += "".join(
        f"<!ENTITY {b} '{('&' + a + ';') * 10}'>"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    files = {
        "empty": b"",
        "one byte": b"<",
        "zeros": bytes(100_000),
        "only the start": _START,
        "no XML": content[:at],
        "half the XML": content[: (at + len(content)) // 2],
        "entities": with_xml(
            xml.replace(">ROI_001<", ">&i;<"), (laughs + "]>").encode("utf-16-le")
        ),
        "inner document type": with_xml(xml.replace("<Slide>", laughs + "]><Slide>", 1)),
        "external entity": with_xml(
            xml.replace("<Slide>", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><Slide>", 1)
        ),
        "deep": with_xml(xml.replace("<Slide>", "<a>" * 200_000, 1)),
        "many attributes": with_xml(
            xml.replace(
                "<Slide>", "<Slide " + " ".join(f"a{i}='1'" for i in range(50_000)) + ">", 1
            )
        ),
        "endless name": with_xml(xml.replace("ROI_001", "R" * 10**6)),
        "many lines in a name": with_xml(xml.replace("ROI_001", "R\n\n\r\nO\0I")),
        "many acquisitions": with_xml(
            xml.replace(
                "</MCDSchema>", "<Acquisition><ID>7</ID></Acquisition>" * 50_000 + "</MCDSchema>"
            )
        ),
        "all claim everything": with_xml(
            re.sub(
                r"(Data|Image)StartOffset>\d+<",
                r"\1StartOffset>0<",
                re.sub(r"(Data|Image)EndOffset>\d+<", rf"\1EndOffset>{len(content)}<", xml),
            )
        ),
        "huge": with_xml(
            xml.replace("<MaxX>8<", "<MaxX>250000<").replace("<MaxY>9<", "<MaxY>20000<")
        ),
    }
    for name, data in files.items():
        yield Mutant(f"MCD {name}", write_bytes("a.mcd", data))
    for step in range(0, len(content), max(1, len(content) // 40)):
        yield Mutant(f"MCD cut at {step}", write_bytes("a.mcd", content[:step]))
    for name, picture in (("bomb", _bomb(20_000)), ("small bomb", _bomb(3000))):
        # the panorama's own place, filled with a picture that grows a thousandfold
        start = content.index(b"\x89PNG")
        record = re.sub(
            r"ImageStartOffset>\d+<(.*?)ImageEndOffset>\d+<",
            rf"ImageStartOffset>{at}<\1ImageEndOffset>{at + 161 + len(picture) + 1}<",
            xml,
            flags=re.DOTALL,
        )
        yield Mutant(
            f"MCD {name} for {start}",
            write_bytes("a.mcd", with_xml(record, b"#" * 161 + picture + b"\x0b")),
        )
    line = text.read_bytes().split(b"\n")
    head = line[0] + b"\n"
    for name, data in {
        "empty": b"",
        "header only": head,
        "half a header": head[:30],
        "no newline": head * 1 + b"1" * 3_000_000,
        "zeros": head + bytes(100_000),
        "newlines": head + b"\n" * 1_000_000,
        "tabs": head + b"\t" * 1_000_000,
        "wide": head.rstrip() + b"\tL(Ir191Di)" * 90_000 + b"\n" + line[1],
        "one pixel": head + line[1],
        "far pixel": head + line[1].replace(b"\t0\t0\t0\t", b"\t299999\t0\t0\t"),
    }.items():
        yield Mutant(f"text {name}", write_bytes("a.txt", data))


def open_and_look(path: Path) -> str:
    """As the harness opens a file; and no pixel of an acquisition may be a zero that nobody told.

    The seed has none, and what is done to the XML invents none.
    """
    opened = open_and_read(path)
    for image in open_images(path)[:20]:
        is_small = np.prod(image.data.shape) < 10**6
        if image.source.role == "image" and not image.warnings and is_small:
            assert np.asarray(image.data).all(), f"silent zeros in {image.name}"
    return opened


def _bomb(side: int) -> bytes:
    """A PNG file of zeros: as small as deflate makes it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    head = side.to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0"
    row = bytes(1 + 4 * side)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_mass_cytometry(seeds: list[Path], n_mutants: int) -> None:
    mcd, text = seeds
    mutants = [
        *damaged_bytes(mcd, n_mutants // 3),
        *damaged_bytes(text, n_mutants // 3),
        *rewritten_cells(text, n_mutants // 3),
        *crafted(mcd, text),
    ]
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_opened > result.n_inputs // 20
    assert result.n_refused > result.n_inputs // 20


def test_lying_descriptions_give_no_silent_zeros(seeds: list[Path], n_mutants: int) -> None:
    result = fuzz(rewritten_fields(seeds[0], n_mutants // 3), open_and_look)
    assert result.findings == ()
    assert result.n_opened > 0 < result.n_refused


def test_real_files(real_data: Path, n_mutants: int) -> None:
    mcd = real_data / "mcd" / "20210305_NE_mockData1.mcd"
    text = mcd.with_name(f"{mcd.stem}_ROI_003_3.txt")
    mutants = [
        *damaged_bytes(mcd, n_mutants // 8),
        *damaged_bytes(text, n_mutants // 8),
        *rewritten_fields(mcd, n_mutants // 8),
    ]
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_opened > 0 < result.n_refused
