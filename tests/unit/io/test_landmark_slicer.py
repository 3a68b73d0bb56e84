"""3D Slicer's point files against its own files and documents; and how points are paired."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from napari_bridgecorr.errors import ReadError, WriteError
from napari_bridgecorr.io.landmark_files import (
    LandmarkFileOptions,
    LandmarkOutput,
    landmark_format_of,
    read_landmark_file,
    read_landmarks,
    read_points_file,
    write_landmark_file,
)
from napari_bridgecorr.landmarks import Landmark, LandmarkSet

RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# the examples of Slicer's developer guide, "Markups fiducial point list file format" and
# "Markups json file format"; the third point in (z, y, x) um of a (R, A, S) world
GUIDE_FCSV = """\
# Markups fiducial file version = 4.13
# CoordinateSystem = LPS
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
0,-19.906699999999987,13.9347,29.442970822281154,0,0,0,1,1,1,0,F-1,,
1,-7.3939,-76.94990495817181,17.552540297898375,0,0,0,1,1,1,0,F-2,,
2,81.73332450520303,-42.9415,9.625586614976527,0,0,0,1,1,1,0,F-3,,
"""
GUIDE_THIRD = (9625.586614976527, 42941.5, -81733.32450520303)
GUIDE_JSON = """\
{"@schema": "https://raw.githubusercontent.com/Slicer/Slicer/main/Modules/Loadable/Markups/\
Resources/Schema/markups-schema-v1.0.0.json#",
"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": [
    { "label": "F-1", "position": [-53.388409961685827, -73.33572796934868, 0.0] },
    { "label": "F-2", "position": [49.8682950191571, -88.58955938697324, 0.0] },
    { "label": "F-3", "position": [-25.22749042145594, 59.255268199233729, 0.0] }
]}]}
"""
GUIDE_TABLE = """\
label,l,p,s,defined,selected,visible,locked,description
F-1,-19.9067,13.9347,29.443,1,1,1,0,
F-2,-7.3939,-76.9499,17.5525,0,1,1,0,
F-3,81.7333,-42.9415,9.62559,1,0,1,0,
"""


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_slicer_3_s_own_file_is_in_ras(real_data: Path) -> None:
    path = real_data / "landmark_files" / "midsag.fcsv"
    rows = [line.split(",") for line in path.read_text().splitlines() if line and line[0] != "#"]
    expected = np.array([[1000 * float(v) for v in row[3:0:-1]] for row in rows])
    assert landmark_format_of(path) == "slicer_fcsv"
    found = read_points_file(path)
    assert len(found.points) == len(rows) == 56
    np.testing.assert_array_equal([p.position_um for p in found.points], expected)
    assert [p.name for p in found.points] == [row[0] for row in rows]
    assert "RAS" in found.warnings[0]


def test_the_guide_s_fcsv(tmp_path: Path) -> None:
    path = put(tmp_path / "p.fcsv", GUIDE_FCSV)
    found = read_points_file(path)
    assert found.warnings == ()
    assert [p.name for p in found.points] == ["F-1", "F-2", "F-3"]
    assert found.points[2].position_um == GUIDE_THIRD


@pytest.mark.parametrize(
    ("header", "frame", "warns"),
    [
        ("# CoordinateSystem = LPS", "LPS", False),
        ("# CoordinateSystem = 1", "LPS", False),
        ("# CoordinateSystem = RAS", "RAS", False),
        ("# CoordinateSystem = 0", "RAS", False),
        ("#CoordinateSystem=RAS", "RAS", False),
        ("# Markups fiducial file version = 4.6", "RAS", True),
        ("# Markups fiducial file version = 4.10", "RAS", True),
        ("# Markups fiducial file version = 4.11", "LPS", True),
        ("# Markups fiducial file version = 5.6", "LPS", True),
    ],
)
def test_the_header_s_frame_is_obeyed(tmp_path: Path, header: str, frame: str, warns: bool) -> None:
    version = "# Markups fiducial file version = 4.6\n"
    head = header if "version" in header else version + header
    path = put(tmp_path / "p.fcsv", f"{head}\n0,1,2,3,0,0,0,1,1,1,0,F-1,,\n")
    found = read_points_file(path)
    sign = 1 if frame == "RAS" else -1
    assert found.points[0].position_um == (3000, 2000 * sign, 1000 * sign)
    assert bool(found.warnings) == warns


def test_flags_labels_and_points_that_are_not_placed(tmp_path: Path) -> None:
    # the last two columns are those of Slicer 5.4: position status (2 is defined) and one more
    path = put(
        tmp_path / "p.fcsv",
        GUIDE_FCSV
        + '3,1,2,3,0,0,0,1,1,0,0,"a, ""b""",,\n'
        + "4,1,2,3,0,0,0,1,0,1,0,hidden,,,2,0\n"
        + "5,1,2,3,0,0,0,1,1,1,0,crossed,,,3,0\n"
        + '6,1,2,3,0,0,0,1,1,1,0,5" thick,,,0,0\n',
    )
    points = read_points_file(path).points[3:]
    assert [(p.name, p.enabled, p.position_um is not None) for p in points] == [
        ('a, "b"', False, True),
        ("hidden", True, True),
        ("crossed", True, False),
        ('5" thick', True, False),
    ]


def test_the_guide_s_json(tmp_path: Path) -> None:
    path = put(tmp_path / "p.mrk.json", GUIDE_JSON)
    assert landmark_format_of(path) == "slicer_json"
    found = read_points_file(path)
    assert found.warnings == ()
    assert [(p.name, p.position_um) for p in found.points] == [
        ("F-1", (0.0, 73335.72796934868, 53388.409961685827)),
        ("F-2", (0.0, 88589.55938697324, -49868.2950191571)),
        ("F-3", (0.0, -59255.268199233729, 25227.49042145594)),
    ]


def markups(*lists: dict[str, object]) -> str:
    return json.dumps({"@schema": "x/markups-schema-v1.0.3.json#", "markups": lists})


def test_frames_units_flags_and_statuses_of_json(tmp_path: Path) -> None:
    points = [
        {"label": "a", "position": [1, 2, 3], "selected": False, "visibility": False},
        {"label": "b", "position": "", "positionStatus": "undefined"},
        {"label": "c", "position": [9, 9, 9], "positionStatus": "missing"},
        {"label": "d", "position": [9, 9, 9], "positionStatus": "preview"},
        {"label": "e", "position": [1.5, 2.5, 3.5], "positionStatus": "defined"},
    ]
    for frame, sign in (("RAS", 1), ("LPS", -1)):
        for unit, factor in (("mm", 1000), ("um", 1), (["mm", "UCUM", "millimeter"], 1000)):
            text = markups(
                {
                    "type": "Fiducial",
                    "coordinateSystem": frame,
                    "coordinateUnits": unit,
                    "controlPoints": points,
                }
            )
            found = read_points_file(put(tmp_path / "p.mrk.json", text)).points
            assert [p.name for p in found] == list("abcde")
            assert [p.enabled for p in found] == [False, True, True, True, True]
            s = sign * factor
            assert found[0].position_um == (3 * factor, 2 * s, 1 * s)
            assert [p.position_um for p in found[1:4]] == [None] * 3
            assert found[4].position_um == (3.5 * factor, 2.5 * s, 1.5 * s)


def test_a_point_that_lacks_its_position_is_reported(tmp_path: Path) -> None:
    text = markups({"type": "Fiducial", "controlPoints": [{"label": "a"}, {"position": [1, 2, 3]}]})
    found = read_points_file(put(tmp_path / "p.mrk.json", text))
    assert found.points[0].position_um is None
    assert "control point 1 has no position" in found.warnings[0]


def test_one_of_several_lists_is_chosen_by_number(tmp_path: Path) -> None:
    def one(x: int) -> dict[str, object]:
        return {"type": "Fiducial", "controlPoints": [{"label": "a", "position": [x, 0, 0]}]}

    empty: dict[str, object] = {"type": "Fiducial", "controlPoints": []}
    path = put(tmp_path / "p.mrk.json", markups(empty, one(1), one(2)))
    with pytest.raises(ReadError, match=r"several lists of points: #1 \(1 points\), #2 .*json#1"):
        read_points_file(path)
    assert read_points_file(Path(f"{path}#2")).points[0].position_um == (0, 0, -2000)
    pair = read_landmarks(Path(f"{path}#1"), LandmarkFileOptions(moving=Path(f"{path}#2")))
    assert pair.landmarks == (Landmark("a", "a", True, (0, 0, -1000), (0, 0, -2000)),)
    with pytest.raises(ReadError, match="no list number 0 with points; choose one of 1, 2"):
        read_points_file(Path(f"{path}#0"))
    # a curve's control points are taken where there is nothing else, and reported
    curve = one(3) | {"type": "Curve"}
    assert read_points_file(put(path, markups(curve, one(1)))).points[0].position_um == (
        0,
        0,
        -1000,
    )
    assert "Curve" in read_points_file(put(path, markups(curve))).warnings[0]


def test_the_guide_s_table(tmp_path: Path) -> None:
    for text, sign in ((GUIDE_TABLE, -1), (GUIDE_TABLE.replace("l,p,s", "r,a,s"), 1)):
        path = put(tmp_path / "p.csv", text)
        assert landmark_format_of(path) == "slicer_table"
        points = read_points_file(path).points
        assert points[0].position_um == (29443.0, sign * 13934.7, sign * -19906.7)
        assert points[1].position_um is None
        assert [p.enabled for p in points] == [True, True, False]


NUMBER = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
POINT = st.tuples(NUMBER, NUMBER, NUMBER)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
MARK = st.builds(
    Landmark,
    TEXT.map(str.strip).filter(bool),
    TEXT,
    st.booleans(),
    st.none() | POINT,
    st.none() | POINT,
)
MARKS = st.lists(MARK, min_size=1, max_size=5, unique_by=lambda m: m.id).filter(
    lambda marks: any(m.fixed_um for m in marks) and any(m.moving_um for m in marks)
)


@RELAXED
@given(marks=MARKS)
def test_json_gives_back_everything(tmp_path: Path, marks: list[Landmark]) -> None:
    landmarks = LandmarkSet(tuple(marks))
    fixed, moving = write_landmark_file(landmarks, tmp_path / "p.mrk.json")
    assert (fixed.name, moving.name) == ("p_fixed.mrk.json", "p_moving.mrk.json")
    found = read_landmark_file(fixed, LandmarkFileOptions(moving=moving))
    assert found.landmarks == landmarks
    assert found.warnings == ()


@RELAXED
@given(marks=MARKS)
def test_fcsv_gives_back_what_is_placed(tmp_path: Path, marks: list[Landmark]) -> None:
    lines = "".join(m.id + m.name for m in marks)
    assume("\n" not in lines and "\r" not in lines)
    written = write_landmark_file(LandmarkSet(tuple(marks)), tmp_path / "p.fcsv")
    found = read_landmarks(written[0], LandmarkFileOptions(moving=written[1]))
    placed = {m.id: m for m in marks if m.fixed_um or m.moving_um}
    assert {m.id for m in found} == set(placed)
    names = [m.name.strip() for m in marks]
    for m in found:
        kept = placed[m.id]
        # a side's labels are its names where these tell its points apart
        assert m.name in (kept.name, kept.name or kept.id)
        if len(set(names)) == len(names) and all(names):
            assert m == kept
        else:
            assert (m.fixed_um, m.moving_um, m.enabled) == (
                kept.fixed_um,
                kept.moving_um,
                kept.enabled,
            )


def test_what_is_written_is_what_slicer_reads(tmp_path: Path) -> None:
    """By the rules of vtkMRMLMarkupsFiducialStorageNode and the JSON schema 1.0.3."""
    marks = LandmarkSet(
        (
            Landmark("i1", "a, b", True, (3000, 2000, 1000), None),
            Landmark("i2", "c", False, (0.1, 0.2, 0.3), (1, 2, 3)),
        )
    )
    (path,) = write_landmark_file(marks, tmp_path / "p.fcsv", LandmarkOutput(side="fixed"))
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# Markups fiducial file version = ")
    assert lines[1] == "# CoordinateSystem = LPS"
    rows = list(csv.reader(line for line in lines if line[0] != "#"))
    assert [len(row) for row in rows] == [14, 14]
    assert [float(v) for v in rows[0][1:4]] == [-1, -2, 3]
    assert [rows[0][11], rows[1][11]] == ["a, b", "c"]
    assert [row[9] for row in rows] == ["1", "0"]
    for row in rows:
        np.testing.assert_allclose(np.linalg.norm([float(v) for v in row[4:8]]), 1)

    paths = write_landmark_file(marks, tmp_path / "p.mrk.json")
    document = json.loads(paths[1].read_text())
    assert "markups-schema-v1." in document["@schema"]
    (markup,) = document["markups"]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == (
        "Fiducial",
        "LPS",
        "mm",
    )
    unplaced, placed = markup["controlPoints"]
    assert unplaced["positionStatus"] == "undefined"
    assert "position" not in unplaced
    assert placed["position"] == [-0.003, -0.002, 0.001]
    assert placed["positionStatus"] == "defined"
    assert placed["selected"] is False
    assert placed["label"] == "c"


def test_points_are_paired_by_name_whatever_their_order(tmp_path: Path) -> None:
    head = "# Markups fiducial file version = 5.6\n# CoordinateSystem = RAS\n"
    row = "{0},{1},0,0,0,0,0,1,1,1,0,{2},,\n"
    fixed = put(
        tmp_path / "f.fcsv",
        head + "".join(row.format(i, i + 1, name) for i, name in enumerate("abc")),
    )
    moving = put(
        tmp_path / "m.fcsv",
        head + "".join(row.format(i, i + 1, name) for i, name in enumerate("cdba")),
    )
    found = read_landmark_file(fixed, LandmarkFileOptions(moving=moving))
    assert {m.name: (m.fixed_um, m.moving_um) for m in found.landmarks} == {
        "a": ((0, 0, 1000), (0, 0, 4000)),
        "b": ((0, 0, 2000), (0, 0, 3000)),
        "c": ((0, 0, 3000), (0, 0, 1000)),
        "d": (None, (0, 0, 2000)),
    }
    assert [m.id for m in found.landmarks] == ["a", "b", "c", "d"]
    assert found.warnings == (
        "1 of the 4 points of f.fcsv and m.fcsv have no counterpart of their name "
        "and are half pairs",
    )


def test_other_names_are_paired_by_order_and_reported_or_refused(tmp_path: Path) -> None:
    head = "# Markups fiducial file version = 5.6\n# CoordinateSystem = RAS\n"
    row = "{0},{1},0,0,0,0,0,1,1,1,0,{2},,\n"

    def file(name: str, labels: list[str]) -> Path:
        rows = [row.format(i, i + 1, label) for i, label in enumerate(labels)]
        return put(tmp_path / name, head + "".join(rows))

    fixed = file("f.fcsv", ["F-1", "F-2"])
    for labels in (["M-1", "M-2"], ["F-1", "F-1"], ["", "x"]):
        found = read_landmark_file(fixed, LandmarkFileOptions(moving=file("m.fcsv", labels)))
        assert [m.name for m in found.landmarks] == ["F-1", "F-2"]
        assert [m.moving_um for m in found.landmarks] == [(0, 0, 1000), (0, 0, 2000)]
        assert "one after the other" in found.warnings[-1]
    with pytest.raises(ReadError, match=r"its 3 points cannot be paired with the 2 of f.fcsv"):
        read_landmarks(fixed, LandmarkFileOptions(moving=file("m.fcsv", ["M-1", "M-2", "M-3"])))


def test_a_file_alone_is_half_of_the_pairs(tmp_path: Path) -> None:
    path = put(tmp_path / "p.fcsv", GUIDE_FCSV)
    found = read_landmark_file(path)
    assert found.landmarks["F-3"] == Landmark("F-3", "F-3", True, GUIDE_THIRD, None)
    assert "no moving points" in found.warnings[-1]
    found = read_landmark_file(path, LandmarkFileOptions(side="moving"))
    assert found.landmarks["F-3"] == Landmark("F-3", "F-3", True, None, GUIDE_THIRD)
    own = tmp_path / "pairs.csv"
    write_landmark_file(found.landmarks, own)
    for arguments in ((own, path), (path, own)):
        with pytest.raises(ReadError, match="it holds pairs"):
            read_landmarks(arguments[0], LandmarkFileOptions(moving=arguments[1]))


BAD = {
    "empty": ("p.fcsv", "", "no points"),
    "no points": ("p.fcsv", GUIDE_FCSV[:130], "no points"),
    "ijk": ("p.fcsv", GUIDE_FCSV.replace("= LPS", "= IJK"), "is 'IJK', not LPS or RAS"),
    "text": ("p.fcsv", GUIDE_FCSV.replace("13.9347", "left"), "line 4: 'left' is not a number"),
    "nan": ("p.fcsv", GUIDE_FCSV.replace("13.9347", "nan"), "not a finite number"),
    "short": ("p.fcsv", GUIDE_FCSV + "7,1,2\n", "line 7: the position is incomplete"),
    "columns": ("p.fcsv", GUIDE_FCSV.replace("id,x,y,z", "id,u,v,w"), "do not include x, y"),
    "no json": ("p.mrk.json", GUIDE_JSON[:-9], "not readable JSON"),
    "other json": ("p.mrk.json", '{"markups": 3}', "no markups file"),
    "a list": ("p.mrk.json", "[1, 2]", "no markups file"),
    "no lists": ("p.mrk.json", markups(), "no points"),
    "frame": ("p.mrk.json", GUIDE_JSON.replace('"LPS"', '"IJK"'), "is 'IJK', not LPS or RAS"),
    "unit": (
        "p.mrk.json",
        GUIDE_JSON.replace('"type"', '"coordinateUnits": "s", "type"'),
        "unit 's'",
    ),
    "position": ("p.mrk.json", GUIDE_JSON.replace("-73.33572796934868, ", ""), "not three numbers"),
    "words": ("p.mrk.json", GUIDE_JSON.replace("0.0]", '"0"]'), "not three numbers"),
    "NaN": ("p.mrk.json", GUIDE_JSON.replace("0.0]", "NaN]"), "not a finite number"),
    "huge": ("p.mrk.json", GUIDE_JSON.replace("0.0]", "1e308]"), "too large"),
    "endless": ("p.mrk.json", GUIDE_JSON.replace("0.0]", "9" * 5000 + "]"), "not a finite"),
    "status": (
        "p.mrk.json",
        GUIDE_JSON.replace('"label"', '"positionStatus": "lost", "label"'),
        "status is 'lost'",
    ),
    "deep": ("p.mrk.json", '{"markups": ' + "[" * 200_000, "nested too deeply"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(tmp_path: Path, case: str) -> None:
    name, text, said = BAD[case]
    with pytest.raises(ReadError) as caught:
        read_landmarks(put(tmp_path / name, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_written_where_nothing_is_placed(tmp_path: Path) -> None:
    marks = LandmarkSet((Landmark("a", "a", True, None, (1, 2, 3)),))
    assert [p.name for p in write_landmark_file(marks, tmp_path / "p.fcsv")] == ["p_moving.fcsv"]
    for output in (LandmarkOutput(side="fixed"), LandmarkOutput("napari_csv", side="fixed")):
        with pytest.raises(WriteError, match="no point of this image is placed"):
            write_landmark_file(marks, tmp_path / "q.fcsv", output)
    with pytest.raises(WriteError, match="no landmark is placed"):
        write_landmark_file(LandmarkSet((Landmark("a"),)), tmp_path / "q.mrk.json")
    with pytest.raises(WriteError, match="names no landmark format"):
        write_landmark_file(marks, tmp_path / "q.txt")
    assert not list(tmp_path.glob("q*"))
