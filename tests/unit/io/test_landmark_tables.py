"""Tables of napari and of anybody: whose columns, which unit, which image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.io.landmark_files import (
    LANDMARK_COLUMNS,
    LandmarkFileOptions,
    LandmarkOutput,
    landmark_format_of,
    own_csv,
    read_landmark_file,
    read_landmarks,
    read_points_file,
    write_landmark_file,
)
from napari_bridgecorr.landmarks import Landmark, LandmarkSet

MICROMETRES = LandmarkFileOptions(unit="um")


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_napari_s_own_csv(tmp_path: Path) -> None:
    io = pytest.importorskip("napari_builtins.io")
    data = np.random.default_rng(0).normal(size=(4, 3)) * 1000
    names = np.array(["a", "b, c", "d", "e"], dtype=object)
    path = tmp_path / "p.csv"
    io.napari_write_points(str(path), data, {"properties": {"name": names}})
    assert landmark_format_of(path) == "napari_csv"
    with pytest.raises(ReadError, match="napari's points states no unit of length"):
        read_points_file(path)
    for unit, factor in (("um", 1), ("mm", 1000)):
        points = read_points_file(path, LandmarkFileOptions(unit=unit)).points
        np.testing.assert_allclose([p.position_um for p in points], data * factor, rtol=3e-16)
        assert [p.name for p in points] == list(names)
    grid = Grid.from_spacing((9, 9, 9), (4, 2, 1), (100, 200, 300))
    points = read_points_file(path, LandmarkFileOptions(unit="px", fixed_grid=grid)).points
    expected = data * (4, 2, 1) + (100, 200, 300)
    np.testing.assert_allclose([p.position_um for p in points], expected, rtol=1e-14)
    with pytest.raises(ReadError, match="give the image: --fixed-image"):
        read_points_file(path, LandmarkFileOptions(unit="px"))


def test_napari_opens_what_is_written_for_it(tmp_path: Path) -> None:
    io = pytest.importorskip("napari_builtins.io")
    marks = LandmarkSet(
        (
            Landmark("1", "a, b", True, (0.1, 0.2, 0.3), (1e-7, 2, 3)),
            Landmark("2", "", False, (4, 5, 6), None),
            Landmark("3", "c", True, None, (7, 8, 9)),
        )
    )
    fixed, moving = write_landmark_file(marks, tmp_path / "p.csv", LandmarkOutput("napari_csv"))
    assert (fixed.name, moving.name) == ("p_fixed.csv", "p_moving.csv")
    table, columns, kind = io.read_csv(str(fixed), require_type="points")
    assert kind == "points"
    np.testing.assert_array_equal(table[:, 1:4].astype(float), [(0.1, 0.2, 0.3), (4, 5, 6)])
    assert columns[:4] == ["index", "axis-0", "axis-1", "axis-2"]
    # its unit and ids are its own: nothing is asked for, and no order is needed
    found = read_landmark_file(fixed, LandmarkFileOptions(moving=moving))
    assert found.landmarks == marks
    assert found.warnings == ()
    with pytest.raises(ReadError, match="in um, not in mm"):
        read_landmarks(fixed, LandmarkFileOptions(unit="mm"))


def test_napari_axes(tmp_path: Path) -> None:
    flat = put(tmp_path / "p.csv", "index,axis-0,axis-1\n0,2,3\n1,4,5\n")
    assert [p.position_um for p in read_points_file(flat, MICROMETRES).points] == [
        (0, 2, 3),
        (0, 4, 5),
    ]
    rows = "index,axis-0,axis-1,axis-2,axis-3\n0,7,1,2,3\n1,{},4,5,6\n"
    path = put(tmp_path / "t.csv", rows.format(7))
    assert read_points_file(path, MICROMETRES).points[1].position_um == (4, 5, 6)
    with pytest.raises(ReadError, match="several times"):
        read_points_file(put(path, rows.format(8)), MICROMETRES)
    shapes = "index,shape-type,vertex-index,axis-0,axis-1\n0,line,0,1,2\n"
    assert landmark_format_of(put(path, shapes)) is None
    with pytest.raises(ReadError, match="columns are not those of landmarks"):
        read_points_file(path, MICROMETRES)


def test_histologists_points(real_data: Path) -> None:
    """Points of two stains as the ANHIR challenge hands them out: ``,X,Y`` in pixels."""
    fixed, moving = (
        real_data / "histology_landmarks" / f"Izd2-29-041-w35_{stain}.csv"
        for stain in ("HE", "proSPC")
    )
    tables = [pd.read_csv(p, index_col=0) for p in (fixed, moving)]
    grid = Grid.from_spacing((1, 5000, 5000), (1, 2, 3))
    options = LandmarkFileOptions(
        unit="px", moving=moving, fixed_grid=grid, moving_grid=Grid.from_spacing((1, 9, 9), 1)
    )
    pairs = read_landmarks(fixed, options).pairs()
    assert len(pairs) == len(tables[0]) == len(tables[1]) > 50
    np.testing.assert_array_equal(pairs.fixed_um[:, 1:], tables[0][["Y", "X"]].to_numpy() * (2, 3))
    np.testing.assert_array_equal(pairs.moving_um[:, 1:], tables[1][["Y", "X"]].to_numpy())
    assert not pairs.fixed_um[:, 0].any()
    assert "z = 0" in read_landmark_file(fixed, options).warnings[0]


@pytest.mark.parametrize(
    ("header", "unit", "factor"),
    [
        ("name,fixed_z_um,fixed_y_um,fixed_x_um,moving_z_um,moving_y_um,moving_x_um", None, 1),
        ("name,fixed_z,fixed_y,fixed_x,moving_z,moving_y,moving_x", "mm", 1000),
        ("Name,Fixed Z (mm),Fixed Y (mm),Fixed X (mm),Moving Z,Moving Y,Moving X", "mm", 1000),
        ("label,fix-z,fix-y,fix-x,mvg-z,mvg-y,mvg-x", "nm", 0.001),
        ("label,z_fixed,y_fixed,x_fixed,z_moving,y_moving,x_moving", "um", 1),
        ("label,z_fixed_µm,y_fixed_µm,x_fixed_µm,z_moving_um,y_moving_um,x_moving_um", None, 1),
    ],
)
def test_columns_that_say_what_they_are(
    tmp_path: Path, header: str, unit: str | None, factor: float
) -> None:
    path = put(tmp_path / "p.csv", f"{header}\na,1,2,3,4,5,6\nb,NA,NA,NA,1,2,3\nc,7,8,9,,,\n")
    assert landmark_format_of(path) == "plain_csv"
    found = read_landmarks(path, LandmarkFileOptions(unit=unit))
    assert [m.name for m in found] == ["a", "b", "c"]
    np.testing.assert_allclose(found["a"].fixed_um, np.array([1, 2, 3]) * factor, rtol=1e-15)
    np.testing.assert_allclose(found["a"].moving_um, np.array([4, 5, 6]) * factor, rtol=1e-15)
    assert found["b"].fixed_um is None
    assert found["c"].moving_um is None


def test_columns_that_the_user_names(tmp_path: Path) -> None:
    path = put(tmp_path / "p.csv", "who;u1;v1;u2;v2\nleft;1,5;2;3;4\n")
    assert landmark_format_of(path) is None
    with pytest.raises(ReadError, match=r"'who', 'u1'.*say which is which: --columns"):
        read_landmarks(path, MICROMETRES)
    columns = {
        "fixed_x": "u1",
        "fixed_y": "v1",
        "moving_x": "u2",
        "moving_y": "v2",
        "name": "who",
    }
    found = read_landmark_file(path, LandmarkFileOptions(unit="um", columns=columns))
    assert found.landmarks.landmarks == (Landmark("left", "left", True, (0, 2, 1.5), (0, 4, 3)),)
    assert len(found.warnings) == 2  # decimal commas; no z
    swapped = {"x": "u2", "y": "v2"}
    points = read_points_file(path, LandmarkFileOptions(unit="um", columns=swapped)).points
    assert points[0].position_um == (0, 4, 3)
    for bad, said in (
        ({"x": "u9", "y": "v1"}, "no column 'u9'"),
        ({"width": "u1"}, "no column can be 'width'"),
        ({"x": "u1"}, "not those of landmarks"),
    ):
        with pytest.raises(ReadError, match=said):
            read_landmarks(path, LandmarkFileOptions(unit="um", columns=bad))


def test_two_files_may_have_columns_of_their_own(tmp_path: Path) -> None:
    fixed = put(tmp_path / "f.csv", "n,u,v\na,1,2\n")
    moving = put(tmp_path / "m.csv", "who,p,q\na,3,4\n")
    columns = {"fixed_x": "u", "fixed_y": "v", "moving_x": "p", "moving_y": "q"}
    options = LandmarkFileOptions(unit="um", moving=moving, columns=columns)
    (mark,) = read_landmarks(fixed, options)
    assert (mark.fixed_um, mark.moving_um) == ((0, 2, 1), (0, 4, 3))


def test_a_user_s_columns_rule_over_a_known_header(tmp_path: Path) -> None:
    """A table of both, whose own names would mean something else."""
    path = put(tmp_path / "p.csv", "x,y,X warped,Y warped\n1,2,3,4\n")
    assert read_points_file(path, MICROMETRES).points[0].position_um == (0, 2, 1)
    columns = {"x": "X warped", "y": "Y warped"}
    options = LandmarkFileOptions(unit="um", columns=columns)
    assert read_points_file(path, options).points[0].position_um == (0, 4, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y\n1,2\n", "states no unit of length"),
        ("x_mm,y_um\n1,2\n", "its columns are in mm and um"),
        ("x_um,y_um\n1,2\n", "in um, not in mm"),
        ("x,y,z\n1,2\n", "line 2 has 2 cells, the header 3"),
        ("x,y,z\n1,,3\n", "line 2: the position is incomplete"),
        ("x,y\n", "no points"),
        ("fixed_x,fixed_y,moving_x,moving_y\n", "no landmarks"),
        ("fixed_x,fixed_y,moving_x,moving_y,moving_z\n1,2,3,4,5\n", "only one side"),
        ("id,fixed_x,fixed_y,moving_x,moving_y\na,1,2,3,4\na,1,2,3,4\n", "id 'a'"),
        ("1,2,3\n4,5,6\n", "not those of landmarks: '1', '2', '3'"),
        ("x,y\n１,2\n", "is not a number"),
        ("x,y\n1_0,2\n", "is not a number"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, said: str) -> None:
    unit = None if "no unit" in said or "and um" in said else "mm"
    with pytest.raises(ReadError) as caught:
        read_landmarks(put(tmp_path / "p.csv", text), LandmarkFileOptions(unit=unit))
    assert said in str(caught.value)


def test_an_absurd_number_of_landmarks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, most in ((200_003, 100_000), (11, 10)):
        monkeypatch.setattr(own_csv, "MOST_LANDMARKS", most)
        for name, text in {
            "p.csv": "x_um,y_um\n" + "1,2\n" * n,
            "own.csv": ",".join(LANDMARK_COLUMNS) + "\na,a,true,1,2,3,4,5,6" * n,
            "b.csv": '"a","true","1","2","3","4","5","6"\n' * n,
            "p.fcsv": "# CoordinateSystem = LPS\n" + "a,1,2,3\n" * n,
            "p.mrk.json": '{"markups": [{"controlPoints": ['
            + ",".join(['{"position": [1, 2, 3]}'] * n)
            + "]}]}",
            "n.csv": "index,axis-0,axis-1\n" + "0,1,2\n" * n,
            "t.csv": "label,l,p,s\n" + "a,1,2,3\n" * n,
        }.items():
            with pytest.raises(ReadError, match=f"more than {most:,} landmarks"):
                read_landmarks(put(tmp_path / name, text), MICROMETRES)


def test_formats_are_told_by_content_and_nothing_is_raised(real_data: Path, tmp_path: Path) -> None:
    for name in (
        "nifti/anatomical.nii",
        "nifti/ZEROBYTE_bold.nii.gz",
        "czi/write_roi.czi",
        "two_photon_brain/image_0000.tif",
        "histology_landmarks/Izd2-29-041-w35_HE.jpg",
        "mcd/20210305_NE_mockData1_ROI_001_1.txt",
        "none.csv",
        "nifti",
    ):
        assert landmark_format_of(real_data / name) is None
    assert landmark_format_of(put(tmp_path / "a.csv", "a,b\n1,2\n")) is None
    assert landmark_format_of(put(tmp_path / "b.csv", "z_um,y_um,x_um\n1,2,3\n")) == "points_csv"
    assert landmark_format_of(put(tmp_path / "c.json", '{"type": "affine"}')) is None
    # a name that says nothing, and 64 KiB that end within a letter of two bytes
    row = "ä" * 50 + ",true,1,2,3,4,5,6\n"
    assert landmark_format_of(put(tmp_path / "d.txt", row * 2000)) == "bigwarp_csv"
    wide = tmp_path / "e.csv"
    wide.write_bytes((row * 2000).encode("utf-16"))
    assert landmark_format_of(wide) == "bigwarp_csv"
    assert landmark_format_of(Path("bad\0name")) is None
