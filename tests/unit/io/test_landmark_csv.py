"""Landmark and point CSVs: exact round trips, and one line for whatever else users bring."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.io.landmark_files import (
    LANDMARK_COLUMNS,
    iter_points,
    read_landmark_file,
    read_landmarks,
    read_points,
    write_landmarks,
    write_point_chunks,
    write_points,
)
from napari_bridgecorr.landmarks import Landmark, LandmarkSet

HEADER = "id,name,enabled,fixed_z_um,fixed_y_um,fixed_x_um,moving_z_um,moving_y_um,moving_x_um"
GOOD = f"{HEADER}\na,first,true,1,2,3,4,5,6\nb,second,false,1.5,2,3,,,\n"

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
POINT = st.none() | st.tuples(NUMBER, NUMBER, NUMBER)
LANDMARK = st.builds(
    Landmark,
    TEXT.map(str.strip).filter(bool),
    TEXT,
    st.booleans(),
    POINT,
    POINT,
)
RELAXED = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@RELAXED
@given(marks=st.lists(LANDMARK, min_size=1, max_size=6, unique_by=lambda m: m.id))
def test_landmarks_come_back_as_they_were(tmp_path: Path, marks: list[Landmark]) -> None:
    landmarks = LandmarkSet(tuple(marks))
    path = tmp_path / "l.csv"
    write_landmarks(landmarks, path)
    assert read_landmarks(path) == landmarks
    assert path.read_text(encoding="utf-8").splitlines()[0] == HEADER
    assert ",".join(LANDMARK_COLUMNS) == HEADER


@pytest.mark.parametrize(
    "name", ["a,b", 'say "x"', "two\nlines", "two\r\nlines", "\r", "Gefäß µ 血管", " x ", ";", "'"]
)
def test_odd_names_survive(tmp_path: Path, name: str) -> None:
    landmarks = LandmarkSet((Landmark("1", name, True, (1, 2, 3), None), Landmark("2", name)))
    write_landmarks(landmarks, tmp_path / "l.csv")
    assert read_landmarks(tmp_path / "l.csv") == landmarks


@RELAXED
@given(
    rows=st.lists(st.tuples(NUMBER, NUMBER, NUMBER, TEXT, TEXT), min_size=1, max_size=5),
    data=st.data(),
)
def test_points_carry_their_other_columns(
    tmp_path: Path, rows: list[tuple[float, float, float, str, str]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(["z_um", "y_um", "x_um", "note", "2nd, note"]))
    place = {name: i for i, name in enumerate(["z_um", "y_um", "x_um", "note", "2nd, note"])}
    lines = [",".join(f'"{n}"' for n in order)]
    for row in rows:
        cells = [str(row[place[n]]).replace('"', '""') for n in order]
        lines.append(",".join(f'"{c}"' for c in cells))
    path = tmp_path / "p.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    table = read_points(path)
    np.testing.assert_array_equal(table.points_um, [row[:3] for row in rows])
    write_points(table, table.points_um[:, ::-1], tmp_path / "q.csv")
    again = read_points(tmp_path / "q.csv")
    assert again.header == tuple(order)
    np.testing.assert_array_equal(again.points_um, table.points_um[:, ::-1])
    for cells, row in zip(again.rows, rows, strict=True):
        assert cells[order.index("note")] == row[3]
        assert cells[order.index("2nd, note")] == row[4]


def test_a_long_table_comes_part_by_part(tmp_path: Path) -> None:
    path, out = tmp_path / "p.csv", tmp_path / "q.csv"
    rows = np.random.default_rng(0).normal(size=(25, 3))
    lines = [f"{i},{z!r},{y!r},{x!r}" for i, (z, y, x) in enumerate(rows.tolist())]
    path.write_text("\n".join(["n,z_um,y_um,x_um", *lines]) + "\n")
    parts = list(iter_points(path, rows_per_chunk=10))
    assert [len(p.points_um) for p in parts] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate([p.points_um for p in parts]), rows)
    write_point_chunks(((p, -p.points_um) for p in iter_points(path, 10)), out)
    found = read_points(out)
    np.testing.assert_array_equal(found.points_um, -rows)
    assert [row[0] for row in found.rows] == [str(i) for i in range(25)]
    path.write_text("z_um,y_um,x_um\n")
    assert read_points(path).points_um.shape == (0, 3)


def test_points_that_could_not_be_mapped_have_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,z_um,y_um,x_um\na,1,2,3\nb,4,5,6\n")
    write_points(read_points(path), np.array([[math.nan] * 3, [0.1, 0.2, 0.3]]), path)
    assert path.read_text() == "id,z_um,y_um,x_um\na,,,\nb,0.1,0.2,0.3\n"


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode("utf-8-sig"),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        GOOD.rstrip("\n").encode(),
        GOOD.replace("\n", "\n\n").encode(),
        GOOD.replace("true", "TRUE").replace("false", "0").encode(),
        GOOD.replace("a,first", "  a  ,first").encode(),
        GOOD.encode("utf-16"),
        GOOD.encode("utf-16-le"),
        GOOD.encode("utf-16-be"),
        GOOD.replace(",", "\t").encode(),
        GOOD.replace(",", ";").encode(),
        GOOD.replace(",", ";").replace(".", ",").encode(),
        ("sep=;\r\n" + GOOD.replace(",", ";").replace(".", ",")).encode(),
        GOOD.replace("\n", ",,\n").encode(),
    ],
)
def test_what_other_programs_make_of_the_file_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "l.csv"
    path.write_bytes(content)
    assert read_landmarks(path).landmarks == (
        Landmark("a", "first", True, (1, 2, 3), (4, 5, 6)),
        Landmark("b", "second", False, (1.5, 2, 3), None),
    )


def test_a_western_spreadsheet_s_letters_are_read_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_bytes(GOOD.replace("first", "Gefäß").encode("cp1252"))
    found = read_landmark_file(path)
    assert found.landmarks["a"].name == "Gefäß"
    assert "Windows-1252" in found.warnings[0]


def test_decimal_commas_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text(GOOD.replace(",", ";").replace(".", ","))
    assert "decimal signs" in read_landmark_file(path).warnings[0]
    path.write_text(GOOD)
    assert read_landmark_file(path).warnings == ()


def test_columns_may_be_in_another_order_and_some_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text(
        "moving_x_um,moving_y_um,moving_z_um,fixed_x_um,fixed_y_um,fixed_z_um,rater,id\n"
        "6,5,4,3,2,1,me,a\n"
    )
    assert read_landmarks(path).landmarks == (Landmark("a", "a", True, (1, 2, 3), (4, 5, 6)),)


BAD = {
    "empty": (b"", "empty"),
    "blank": (b"\n \n,,\n", "empty"),
    "no header": (b"a,first,true,1,2,3,4,5,6\n", "columns are not those of landmarks"),
    "no unit": (b"id,x,y,z\n1,2,3,4\n", "states no unit of length"),
    "missing column": (HEADER.replace("fixed_z_um,", "").encode(), "its header lacks fixed_z_um"),
    "missing columns": (b"id,fixed_z_um,fixed_y_um\n1,2,3\n", "lacks fixed_x_um, moving_z_um"),
    "no landmarks": (HEADER.encode(), "holds no landmarks"),
    "comma decimals": ((HEADER + "\na,n,true,1,5,2,3,4,5,6,0\n").encode(), "line 2 has 11 cells"),
    "quoted comma": ((HEADER + '\na,n,true,"1,5",2,3,4,5,6\n').encode(), "decimal sign"),
    "both signs": (
        (HEADER + "\na,n,true,1.5,2,3,4,5,6\nb,n,true,1,5,2,3,4,5,6\n")
        .replace(",", ";")
        .replace("1;5;", "1,5;")
        .encode(),
        "line 3: '1,5' leaves open which sign is the decimal one",
    ),
    "duplicate id": ((GOOD + "a,x,true,1,2,3,4,5,6\n").encode(), "id 'a'"),
    "no id": ((HEADER + "\n ,n,true,1,2,3,4,5,6\n").encode(), "line 2 has no id"),
    "nan": ((HEADER + "\na,n,true,nan,2,3,4,5,6\n").encode(), "line 2: 'nan'"),
    "inf": ((HEADER + "\na,n,true,1,2,-inf,4,5,6\n").encode(), "not a finite number"),
    "too large": ((HEADER + "\na,n,true,1e999,2,3,4,5,6\n").encode(), "not a finite number"),
    "half position": (
        (HEADER + "\na,n,true,1,,3,4,5,6\n").encode(),
        "fixed position is incomplete",
    ),
    "text": ((HEADER + "\na,n,true,1,2,3,4,here,6\n").encode(), "'here' is not a number"),
    "flag": ((HEADER + "\na,n,maybe,1,2,3,4,5,6\n").encode(), "enabled is 'maybe'"),
    "short row": ((HEADER + "\na,n,true,1,2,3\n").encode(), "line 2 has 6 cells"),
    "same column": ((HEADER + ",id\na,n,true,1,2,3,4,5,6,b\n").encode(), "same name"),
    "half of a utf-16": (GOOD.encode("utf-16")[:-1], "not a text file"),
    "binary": (bytes(range(32)) * 40, "not a text file"),
    "open quote": ((HEADER + '\na,"n,true,1,2,3,4,5,6\n').encode(), "not a readable CSV"),
    "huge cell": ((HEADER + "\na," + "x" * 200_000 + ",true,1,2,3,4,5,6\n").encode(), "CSV"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_bad_file_has_its_one_line(tmp_path: Path, case: str) -> None:
    content, said = BAD[case]
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ReadError) as caught:
        read_landmarks(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("z,y,x\n1,2,3\n", "header lacks z_um, y_um, x_um"),
        ("z_um,y_um,x_um,n\n,,,a\n", "line 2 has no coordinates"),
        ("z_um,y_um,x_um\n1,,3\n", "incomplete"),
        ("z_um;y_um;x_um\n1.5;2,5;3\n", "which sign is the decimal one"),
        ("z_um,y_um,x_um\n1,5,2,5,3,5\n", "decimal"),
    ],
)
def test_bad_points(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(content)
    with pytest.raises(ReadError, match=said):
        read_points(path)


def test_a_folder_a_missing_file_and_a_device_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="folder"):
        read_landmarks(tmp_path)
    with pytest.raises(ReadError, match="no such file"):
        read_landmarks(tmp_path / "none.csv")
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for endless in (pipe, Path("/dev/zero")):
        with pytest.raises(ReadError, match="not a file"):
            read_landmarks(endless)
