"""Hostile ParaVision folders: an image or one line, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from harness import Mutant, damaged_bytes, fuzz
from paravision_files import Raw, axes, counts, slices_at, write_scan

_VALUES = ["0", "-1", "1", "3", "65535", "4294967296", "1000000000000", "9" * 400, "1e308", "nan"]
_VALUES += ["", "x", "inf", "<../../etc/passwd>", "(", ")", "<", ">", "@99999999*(1)", "@3*(2)"]
_VALUES += ["_32BIT_FLOAT", "bigEndian", "FG_CYCLE", "FG_ECHO", "spectroscopic", "##", "$$", "\n##"]


@dataclass(frozen=True)
class _Folder:
    """Writes both files into a folder and opens it, or the 2dseq file."""

    parameters: bytes
    image: bytes
    is_file: bool = False

    def __call__(self, folder: Path) -> Path:
        place = folder / "5" / "pdata" / "1"
        place.mkdir(parents=True)
        (place / "visu_pars").write_bytes(self.parameters)
        (place / "2dseq").write_bytes(self.image)
        return place / "2dseq" if self.is_file else folder


@pytest.fixture
def seeds(tmp_path: Path) -> list[tuple[bytes, bytes]]:
    directions = axes(0.3, 0.2)
    stack = write_scan(
        tmp_path / "stack",
        counts((12, 6, 8)),
        extent=(16.0, 9.0),
        orientation=np.repeat(directions.ravel()[None], 3, axis=0),
        position=slices_at((-8, -4.5, 2), directions[2] * 0.7, 3),
        groups="(2, <FG_ECHO>, <>, 0, 0) (3, <FG_SLICE>, <>, 0, 2) (2, <FG_CYCLE>, <>, 2, 0)",
        slope=np.linspace(0.5, 2, 12),
        more={"VisuCoreTransposition": [0] * 6 + [1] * 6, "VisuAcqScanTime": 8000},
    )
    volume = write_scan(
        tmp_path / "volume",
        counts((2, 5, 6, 8), "float32"),
        extent=(16, 9, 10),
        orientation=axes(0.1, -0.4),
        position=np.array([[-8, -4, -5]]),
        groups="(2, <FG_ISA>, <>, 0, 1)",
        big_endian=True,
        more={
            "VisuCoreDiskSliceOrder": "disk_reverse_slice_order",
            "VisuFGElemComment": Raw("( 2, 65 )\n<T2 relaxation time> <std dev>"),
            "VisuGroupDepVals": Raw("( 1 )\n(<VisuFGElemComment>, 0)"),
        },
    )
    return [
        ((folder / "visu_pars").read_bytes(), (folder / "2dseq").read_bytes())
        for folder in (stack, volume)
    ]


def damaged(seed: tuple[bytes, bytes], folder: Path, n: int) -> Iterator[Mutant]:
    """Generic damage of the parameters."""
    path = folder / "visu_pars"
    path.write_bytes(seed[0])
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    for number, mutant in enumerate(damaged_bytes(path, n)):
        content = mutant.write(scratch).read_bytes()
        yield Mutant(mutant.name, _Folder(content, seed[1], is_file=number % 7 == 0))


def rewritten(seed: tuple[bytes, bytes], n: int, random_seed: int = 0) -> Iterator[Mutant]:
    """One to three values become extreme ones, or records go or are doubled."""
    rng = np.random.default_rng(random_seed)
    text = seed[0].decode()
    # the records of pixels and places, not the head
    start = text.index("##$VisuCoreFrameCount")
    for number in range(n):
        changed = text
        for _ in range(int(rng.integers(1, 4))):
            words = list(re.finditer(r"[^\s(),<>=]+", changed[start:]))
            found = words[int(rng.integers(len(words)))]
            a, b = found.start() + start, found.end() + start
            kind = rng.random()
            if kind < 0.8:
                value = _VALUES[int(rng.integers(len(_VALUES)))]
                changed = changed[:a] + value + changed[b:]
            else:
                record, behind = changed.rfind("##", 0, a), changed.find("##", a)
                kept = changed[record:behind] * 2 if kind < 0.9 else ""
                changed = changed[:record] + kept + changed[behind:]
        yield Mutant(f"values {number} of seed {random_seed}", _Folder(changed.encode(), seed[1]))


def crafted(seed: tuple[bytes, bytes]) -> Iterator[Mutant]:
    """Inputs that are hostile on purpose."""
    parameters, image = seed
    text = parameters.decode()
    end = "##END=\n"
    files = {
        "empty": b"",
        "zeros": bytes(10_000),
        "only ##": b"##" * 100_000,
        "only comments": b"##TITLE=a\n" + b"$$ a\n" * 200_000 + b"##END=\n",
        "brackets": parameters.replace(
            end.encode(), b"##$VisuFGOrderDesc=( 1 )\n" + b"(" * 10**6 + b"\n##END=\n"
        ),
        "many groups": parameters.replace(
            end.encode(),
            b"##$VisuFGOrderDesc=( 9 )\n" + b"(1, <FG_A>, <>, 0, 0) " * 50_000 + b"\n##END=\n",
        ),
        "endless string": parameters.replace(
            end.encode(), b"##$VisuUid=<" + b"a" * 10**6 + b"\n##END=\n"
        ),
        "huge repetition": re.sub(
            r"VisuCoreDataSlope=[^#]*", "VisuCoreDataSlope=( 1 )\n@999999999*(1)\n", text
        ).encode(),
        "name on many lines": re.sub("<T2_TurboRARE>", "<T2\n\nTurbo\0RARE>", text).encode(),
        "null": parameters.replace(b"Visu", b"Vi\0su"),
        "utf-16": text.encode("utf-16"),
    }
    for name, data in files.items():
        yield Mutant(name, _Folder(data, image))
    for size in (0, 1, len(image) // 2, len(image) - 1):
        yield Mutant(f"image of {size} bytes", _Folder(parameters, image[:size]))
    tiny = re.sub(r"VisuCoreSize=[^#]*", "VisuCoreSize=( 2 )\n1 1\n", text)
    tiny = re.sub(
        r"VisuFGOrderDesc=[^#]*", "VisuFGOrderDesc=( 1 )\n(150000, <FG_ECHO>, <>, 0, 0)\n", tiny
    )
    tiny = re.sub(
        r"VisuCore(DataSlope|DataOffs|Transposition)=[^#]*", r"VisuCore\1=( 1 )\n1\n", tiny
    )
    for kind in ("FG_ECHO", "FG_CYCLE", "FG_SLICE"):
        many = tiny.replace("FG_ECHO", kind)
        many = re.sub(r"VisuCoreFrameCount=\d+", "VisuCoreFrameCount=150000", many)
        yield Mutant(f"150000 frames of {kind}", _Folder(many.encode(), b"\1" * 600_000))
    for step in range(0, len(parameters), max(1, len(parameters) // 40)):
        yield Mutant(f"parameters cut at {step}", _Folder(parameters[:step] + end.encode(), image))


def test_paravision(seeds: list[tuple[bytes, bytes]], tmp_path: Path, n_mutants: int) -> None:
    share = n_mutants // 4
    mutants = [
        *(mutant for seed in seeds for mutant in damaged(seed, tmp_path, share)),
        *(mutant for number, seed in enumerate(seeds) for mutant in rewritten(seed, share, number)),
        *crafted(seeds[0]),
    ]
    result = fuzz(mutants)
    assert result.findings == ()
    assert result.n_opened > result.n_inputs // 20
    assert result.n_refused > result.n_inputs // 20
