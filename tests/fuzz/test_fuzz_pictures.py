"""Damaged and lying PNG and JPEG pictures: an image or one line."""

from __future__ import annotations

import struct
from itertools import chain
from pathlib import Path

import numpy as np
from harness import Mutant, damaged_bytes, fuzz, write_bytes
from PIL import Image

RNG = np.random.default_rng(2)


def _seeds(folder: Path) -> list[Path]:
    pixels = (100 + RNG.random((40, 50, 4)) * 90).astype(np.uint8)
    made = {
        "grey.png": Image.fromarray(pixels[:, :, 0]),
        "rgba.png": Image.fromarray(pixels),
        "deep.png": Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200),
        "palette.png": Image.fromarray(pixels[:, :, :3]).convert("P"),
        "grey.jpg": Image.fromarray(pixels[:, :, 0]),
        "rgb.jpg": Image.fromarray(pixels[:, :, :3]),
    }
    for name, picture in made.items():
        picture.save(folder / name)
    Image.fromarray(pixels[:, :, :3]).save(folder / "progressive.jpg", progressive=True)
    return [*(folder / name for name in made), folder / "progressive.jpg"]


def test_damaged_pictures(tmp_path: Path, n_mutants: int) -> None:
    seeds = _seeds(tmp_path)
    share = max(10, n_mutants // len(seeds))
    result = fuzz(
        chain.from_iterable(damaged_bytes(s, share, random_seed=i) for i, s in enumerate(seeds))
    )
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 0


def test_cut_pictures_are_refused(tmp_path: Path, n_mutants: int) -> None:
    mutants = []
    for seed in _seeds(tmp_path):
        content = seed.read_bytes()
        for cut in range(0, len(content) - 12, max(1, 10 * len(content) // n_mutants)):
            mutants.append(
                Mutant(f"{seed.name} cut at {cut}", write_bytes(seed.name, content[:cut]))
            )
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_opened == 0


def _scan_bomb(jpeg: bytes) -> bytes:
    """A picture of 65,500 x 65,500 pixels in thousands of scans."""
    frame = jpeg.index(b"\xff\xc2") if b"\xff\xc2" in jpeg else jpeg.index(b"\xff\xc0")
    grown = jpeg[: frame + 5] + struct.pack(">HH", 8000, 8000) + jpeg[frame + 9 :]
    scan = grown.index(b"\xff\xda")
    return grown[:-2] + grown[scan:-2] * 2000 + b"\xff\xd9"


def test_bombs(tmp_path: Path) -> None:
    seeds = {seed.name: seed.read_bytes() for seed in _seeds(tmp_path)}
    mutants = [
        Mutant("scans", write_bytes("a.jpg", _scan_bomb(seeds["progressive.jpg"]))),
        Mutant("zeros", write_bytes("a.png", bytes(5000))),
        Mutant("nothing", write_bytes("a.jpg", b"")),
        Mutant("a head alone", write_bytes("a.jpg", b"\xff\xd8\xff\xd9")),
    ]
    for name, content in seeds.items():
        if not name.endswith(".png"):
            continue
        for side in (2**15, 2**16, 2**30, 2**31 - 1, 2**31, 2**32 - 1):
            lie = content[:16] + struct.pack(">II", side, side) + content[24:]
            mutants.append(Mutant(f"{name} claims {side}", write_bytes(name, lie)))
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_refused == len(mutants)
