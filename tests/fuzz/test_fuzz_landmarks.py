"""Damaged landmark files of every format: landmarks, or one line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import Mutant, damaged_bytes, fuzz, write_bytes

from napari_bridgecorr.io.landmark_files import (
    LandmarkFileOptions,
    LandmarkOutput,
    landmark_format_of,
    read_landmark_file,
    read_points,
    write_landmark_file,
)
from napari_bridgecorr.landmarks import LandmarkSet

OPTIONS = LandmarkFileOptions(unit="mm")
# no coordinate is zero in the seeds, so that zeros in place of what cannot be read are noticed
POSITIONS = np.random.default_rng(3).uniform(1, 9999, (2, 12, 3))
HUGE = [
    "1e308",
    "-1e308",
    "1e999",
    "nan",
    "Infinity",
    "9" * 400,
    "9" * 5000,
    "1_0",
    "0x10",
    "١",
    "",
]


def read_all(path: Path) -> str:
    """As the window and the command line read it."""
    # what is written for napari states its unit
    options = LandmarkFileOptions() if landmark_format_of(path) == "napari_csv" else OPTIONS
    found = read_landmark_file(path, options).landmarks
    assert len(found)
    for mark in found:
        for point in (mark.fixed_um, mark.moving_um):
            assert point is None or all(math.isfinite(v) for v in point)
    return "opened"


def read_table(path: Path) -> str:
    """As `map` reads it."""
    assert np.isfinite(read_points(path).points_um).all()
    return "opened"


def seeds(folder: Path) -> list[Path]:
    """A good file of every format."""
    marks = LandmarkSet.from_pairs(POSITIONS[0], POSITIONS[1])
    written = [
        *write_landmark_file(marks, folder / "own.csv"),
        *write_landmark_file(marks, folder / "bw.csv", LandmarkOutput("bigwarp_csv", "mm")),
        *write_landmark_file(marks, folder / "n.csv", LandmarkOutput("napari_csv", side="fixed")),
        *write_landmark_file(marks, folder / "s.fcsv", LandmarkOutput(side="fixed")),
        *write_landmark_file(marks, folder / "s.mrk.json", LandmarkOutput(side="moving")),
    ]
    tables = {
        "plain.csv": "name,fixed_z,fixed_y,fixed_x,moving_z,moving_y,moving_x\n",
        "german.csv": "name;fixed_z;fixed_y;fixed_x;moving_z;moving_y;moving_x\r\n",
        "table.csv": "label,l,p,s,defined,selected,visible,locked,description\n",
    }
    for name, header in tables.items():
        mark = ";" if ";" in header else ","
        text = header
        for i, (f, m) in enumerate(zip(*POSITIONS, strict=True)):
            numbers = [repr(float(v)) for v in (*f, *m)]
            if name == "table.csv":
                text += ",".join([f"F-{i}", *numbers[:3], "1", "1", "1", "0", "note"]) + "\n"
            else:
                cells = [f"L{i}", *(n.replace(".", ",") if mark == ";" else n for n in numbers)]
                text += mark.join(cells) + "\n"
        (folder / name).write_text(text, newline="")
        written.append(folder / name)
    wide = folder / "wide.csv"
    wide.write_bytes((folder / "german.csv").read_bytes().decode().encode("utf-16"))
    return [*written, wide]


def hostile(folder: Path) -> Iterator[Mutant]:
    """What damage by chance does not make."""
    good = {p.name: p.read_bytes() for p in seeds(folder)}
    for name, content in good.items():
        lines = content.splitlines(keepends=True)
        for n in range(len(lines)):
            yield Mutant(f"{name} cut after line {n}", write_bytes(name, b"".join(lines[:n])))
        for text in HUGE:
            number = repr(float(POSITIONS[0][3][1])).encode()
            yield Mutant(
                f"{name} with {text[:9]}",
                write_bytes(name, content.replace(number, text.encode())),
            )
        for what, changed in {
            "zero bytes": b"",
            "all zero": bytes(len(content)),
            "all blank": b" \n" * len(content),
            "nul inside": content[:200] + b"\0" + content[200:],
            "an endless line": content[:200] + b"7" * 1_000_000,
            "an open quote": content + b'"' + b"x,1\n" * 20_000,
            "as utf-16": content.decode("utf-8", "ignore").encode("utf-16"),
            "half of a letter": content.decode("utf-8", "ignore").encode("utf-16")[:-1],
            "a mark alone": b"\xff\xfe",
            "lone surrogates": b"\xff\xfe" + b"\x00\xd8" * 100,
            "commas": b"," * 300_000,
            "separators": b"sep=;\n" + content,
            "an odd separator": b"sep=\0\n" + content,
        }.items():
            yield Mutant(f"{name}: {what}", write_bytes(name, changed))
    for n in (300_000, 1_000_000):
        yield Mutant(
            f"{n} rows", write_bytes("bw.csv", b'"Pt","true","1","2","3","4","5","6"\n' * n)
        )
    yield from hostile_json(json.loads(good["s.mrk.json"]))


def hostile_json(good: dict[str, list[dict[str, object]]]) -> Iterator[Mutant]:
    """Markups files that are JSON all the same."""
    for value in (None, True, 1, 1e300, "x", [], {}, [[]], [None], {"a": []}, [1, 2], "é" * 9):
        for key in ("markups", "@schema"):
            yield _json(f"{key} is {value}", good | {key: value})
        for key in ("type", "coordinateSystem", "coordinateUnits", "controlPoints", "writer"):
            markup = good["markups"][0] | {key: value}
            yield _json(f"{key} is {value}", good | {"markups": [markup]})
        points = good["markups"][0]["controlPoints"]
        assert isinstance(points, list)
        for key in ("id", "label", "position", "selected", "positionStatus"):
            changed = [points[0], points[1] | {key: value}]
            markup = good["markups"][0] | {"controlPoints": changed}
            yield _json(f"point's {key} is {value}", good | {"markups": [markup]})
        yield _json(f"a point is {value}", {"markups": [{"controlPoints": [value]}]})
        yield _json(f"the file is {value}", value)
    for deep in ("[", '{"markups":'):
        yield Mutant("deep", write_bytes("p.mrk.json", ('{"markups": ' + deep * 500_000).encode()))
    digits = '{"markups": [{"controlPoints": [{"position": [1, 2, ' + "3" * 3_000_000 + "]}]}]}"
    yield Mutant("a number of many digits", write_bytes("p.mrk.json", digits.encode()))
    one = '{"position": [1, 2, 3]}'
    many = '{"markups": [{"controlPoints": [' + ",".join([one] * 1_000_000) + "]}]}"
    yield Mutant("a million points", write_bytes("p.mrk.json", many.encode()))
    lists = '{"markups": [' + ",".join(['{"controlPoints": [1]}'] * 300_000) + "]}"
    yield Mutant("many lists", write_bytes("p.mrk.json", lists.encode()))


def _json(name: str, document: object) -> Mutant:
    return Mutant(name, write_bytes("p.mrk.json", json.dumps(document).encode()))


def test_damaged_files_of_every_format(tmp_path: Path, n_mutants: int) -> None:
    files = seeds(tmp_path)
    result = fuzz(
        (
            mutant
            for number, file in enumerate(files)
            for mutant in damaged_bytes(file, n_mutants // 4, random_seed=number)
        ),
        read_all,
    )
    assert result.findings == ()
    assert result.n_opened > result.n_inputs // 20
    assert result.n_refused > result.n_inputs // 20


def test_real_files(real_data: Path, n_mutants: int) -> None:
    files = sorted((real_data / "landmark_files").iterdir())
    result = fuzz((m for file in files for m in damaged_bytes(file, n_mutants // 5)), read_all)
    assert result.findings == ()
    assert result.n_opened
    assert result.n_refused


def test_hostile_files(tmp_path: Path) -> None:
    result = fuzz(hostile(tmp_path), read_all)
    assert result.findings == ()
    assert result.n_opened > 50
    assert result.n_refused > 100


def test_damaged_points(tmp_path: Path, n_mutants: int) -> None:
    table = tmp_path / "p.csv"
    rows = [",".join(["p", *(repr(float(v)) for v in row)]) for row in POSITIONS[0]]
    table.write_text("\n".join(["name,z_um,y_um,x_um", *rows]) + "\n")
    result = fuzz(damaged_bytes(table, n_mutants), read_table)
    assert result.findings == ()
    assert result.n_opened
    assert result.n_refused
