"""BigWarp's landmarks: its own files value by value, units and origins asked for, exact returns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_bridgecorr.errors import ReadError, WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.io.landmark_files import (
    LandmarkFileOptions,
    LandmarkOutput,
    landmark_format_of,
    read_landmark_file,
    read_landmarks,
    write_landmark_file,
)
from napari_bridgecorr.landmarks import Landmark, LandmarkSet

MICROMETRES = LandmarkFileOptions(unit="um")
BIGWARP = LandmarkOutput("bigwarp_csv", "um")
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# an oblique grid of anisotropic voxels that starts far from zero
OBLIQUE = Grid(
    (4, 5, 6),
    np.array(
        [
            [0.0, 2.0, 0.0, -700.0],
            [3.0, 0.0, 0.0, 80.0],
            [0.0, 0.0, -0.5, 9000.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    ),
)


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "n", "dimensions"),
    [
        ("mr_landmarks_p2p2p4-111.csv", 6, 3),
        ("mri-stack-translation-landmarks.csv", 5, 3),
        ("landmarks2d-blobs.csv", 5, 2),
    ],
)
def test_its_own_files_are_what_pandas_reads(
    real_data: Path, name: str, n: int, dimensions: int
) -> None:
    path = real_data / "landmark_files" / name
    assert landmark_format_of(path) == "bigwarp_csv"
    table = pd.read_csv(path, header=None)
    coordinates = table.iloc[:, 2:].to_numpy(dtype=float)
    assert coordinates.shape == (n, 2 * dimensions)
    for unit, factor in (("um", 1.0), ("mm", 1e3), ("nm", 1e-3), ("inch", 25400.0)):
        found = read_landmarks(path, LandmarkFileOptions(unit=unit))
        assert [m.name for m in found] == [f"Pt-{i}" for i in range(n)]
        assert all(m.enabled and m.is_pair for m in found)
        pairs = found.pairs()
        for world, columns in (
            (pairs.moving_um, coordinates[:, :dimensions]),
            (pairs.fixed_um, coordinates[:, dimensions:]),
        ):
            expected = np.zeros((n, 3))
            expected[:, 3 - dimensions :] = columns[:, ::-1] * factor
            np.testing.assert_allclose(world, expected, rtol=4e-16, atol=0)


def test_its_own_file_is_written_as_bigwarp_writes_it(real_data: Path, tmp_path: Path) -> None:
    for name, dimensions in (
        ("mr_landmarks_p2p2p4-111.csv", 3),
        ("landmarks2d-blobs.csv", 2),
    ):
        path = real_data / "landmark_files" / name
        for unit in ("um", "mm", "nm", "inch"):
            found = read_landmarks(path, LandmarkFileOptions(unit=unit))
            output = LandmarkOutput("bigwarp_csv", unit, dimensions=dimensions)
            write_landmark_file(found, tmp_path / "out.csv", output)
            written, wanted = (pd.read_csv(p, header=None) for p in (tmp_path / "out.csv", path))
            # from um to the last digit, through another unit to the last bit but one
            rtol = 0 if unit == "um" else 4e-16
            pd.testing.assert_frame_equal(written, wanted, rtol=rtol, atol=0)
            # every cell quoted, as BigWarp's own writer does
            for line in (tmp_path / "out.csv").read_text().splitlines():
                assert line.count('"') == 2 * (2 + 2 * dimensions)


def test_half_pairs_and_flags(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l.csv",
        '"Pt-0","true","1.0","2.0","3.0","4.0","5.0","6.0"',
        '"Pt-1","false","1.5","2.5","3.5","4.5","5.5","6.5"',
        '"Pt-2","false","1.0","2.0","3.0","Infinity","Infinity","Infinity"',
        '"Pt-3","false","-Infinity","-Infinity","-Infinity","4.0","5.0","6.0"',
        '"Pt-4","false","NaN","NaN","NaN","Infinity","Infinity","Infinity"',
    )
    found = read_landmarks(path, MICROMETRES)
    assert found.landmarks == (
        Landmark("Pt-0", "Pt-0", True, (6, 5, 4), (3, 2, 1)),
        Landmark("Pt-1", "Pt-1", False, (6.5, 5.5, 4.5), (3.5, 2.5, 1.5)),
        # BigWarp keeps what is not complete inactive, and activates it when it is
        Landmark("Pt-2", "Pt-2", True, None, (3, 2, 1)),
        Landmark("Pt-3", "Pt-3", True, (6, 5, 4), None),
        Landmark("Pt-4", "Pt-4", True, None, None),
    )
    write_landmark_file(found, tmp_path / "again.csv", BIGWARP)
    lines = (tmp_path / "again.csv").read_text().splitlines()
    assert lines[2] == '"Pt-2","false","1.0","2.0","3.0","Infinity","Infinity","Infinity"'
    assert lines[3] == '"Pt-3","false","Infinity","Infinity","Infinity","4.0","5.0","6.0"'
    assert read_landmarks(tmp_path / "again.csv", MICROMETRES) == found


NUMBER = st.floats(-1e9, 1e9, allow_nan=False)
POINT = st.tuples(NUMBER, NUMBER, NUMBER)
NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).map(
    str.strip
)


@RELAXED
@given(
    rows=st.lists(
        st.tuples(NAME.filter(bool), st.booleans(), POINT, POINT),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row[0],
    ),
    unit=st.sampled_from(["um", "mm", "nm", "cm", "m", "inch", "angstrom"]),
)
def test_pairs_come_back_to_the_last_digit_in_every_unit(
    tmp_path: Path, rows: list[tuple[str, bool, tuple[float, ...], tuple[float, ...]]], unit: str
) -> None:
    marks = LandmarkSet(tuple(Landmark(n, n, e, f, m) for n, e, f, m in rows))  # type: ignore[arg-type]
    path = tmp_path / "b.csv"
    write_landmark_file(marks, path, LandmarkOutput("bigwarp_csv", unit))
    assert landmark_format_of(path) == "bigwarp_csv"
    assert read_landmarks(path, LandmarkFileOptions(unit=unit)) == marks


def test_the_unit_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", '"Pt-0","true","1","2","3","4","5","6"')
    with pytest.raises(ReadError, match=r"states no unit of length; say it: --unit um"):
        read_landmarks(path)
    with pytest.raises(ReadError, match="'furlong' is not a unit"):
        read_landmarks(path, LandmarkFileOptions(unit="furlong"))
    with pytest.raises(ReadError, match=r"pixels and the moving image is not known.*moving-image"):
        read_landmarks(path, LandmarkFileOptions(unit="px"))
    with pytest.raises(WriteError, match="--out-unit"):
        write_landmark_file(read_landmarks(path, MICROMETRES), path, LandmarkOutput("bigwarp_csv"))


def test_sides_may_have_units_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", '"Pt-0","true","1","2","3","4","5","6"')
    found = read_landmarks(path, LandmarkFileOptions(unit="mm", moving_unit="um"))
    assert found["Pt-0"].fixed_um == (6000, 5000, 4000)
    assert found["Pt-0"].moving_um == (3, 2, 1)


def test_pixels_and_calibrated_units_find_their_place_in_a_rotated_image(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", '"Pt-0","true","3","2","1","3","2","1"')
    grids = {"fixed_grid": OBLIQUE, "moving_grid": Grid.from_spacing((9, 9, 9), (4, 2, 1))}
    pixels = read_landmarks(path, LandmarkFileOptions(unit="px", **grids))["Pt-0"]
    # index (1, 2, 3): worked out by hand from the matrix above
    assert pixels.fixed_um == (2 * 2 - 700, 3 * 1 + 80, -0.5 * 3 + 9000)
    assert pixels.moving_um == (4, 4, 3)
    lengths = read_landmarks(path, LandmarkFileOptions(unit="um", **grids))["Pt-0"]
    # 1, 2 and 3 um from the first voxel's centre along axes of 3, 2 and 0.5 um
    np.testing.assert_allclose(lengths.fixed_um, (2 - 700, 1 + 80, -3 + 9000), rtol=1e-15)
    assert lengths.moving_um == (1, 2, 3)
    for unit, mark in (("px", pixels), ("um", lengths)):
        output = LandmarkOutput("bigwarp_csv", unit, **grids)
        write_landmark_file(LandmarkSet((mark,)), tmp_path / "out.csv", output)
        written = pd.read_csv(tmp_path / "out.csv", header=None).iloc[0, 2:].to_numpy(float)
        np.testing.assert_allclose(written, [3, 2, 1, 3, 2, 1], rtol=1e-12)


def test_without_the_images_the_user_is_told_where_coordinates_start(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", '"Pt-0","true","1","2","3","4","5","6"')
    assert "first voxel" in read_landmark_file(path, MICROMETRES).warnings[0]
    grid = Grid.from_spacing((9, 9, 9), (4, 2, 1))
    options = LandmarkFileOptions(unit="um", fixed_grid=grid, moving_grid=grid)
    assert read_landmark_file(path, options).warnings == ()


def test_names_that_repeat_or_are_missing_get_ids_of_their_own(tmp_path: Path) -> None:
    rest = '"true","1","2","3","4","5","6"'
    path = write(tmp_path / "l.csv", f'"a",{rest}', f'"a",{rest}', f'"",{rest}', f'"a (2)",{rest}')
    found = read_landmarks(path, MICROMETRES)
    assert [m.name for m in found] == ["a", "a", "", "a (2)"]
    assert [m.id for m in found] == ["a", "a (3)", "L3", "a (2)"]


def test_what_a_spreadsheet_makes_of_it_is_read(tmp_path: Path) -> None:
    expected = (Landmark("Pt-0", "Pt-0", True, (6.5, 5, 4), (3.5, 2, 1)),)
    for text in (
        "Pt-0,TRUE,1,2,3.5,4,5,6.5\r\n",
        "Pt-0;TRUE;1;2;3,5;4;5;6,5\r\n",
        "Pt-0\tTRUE\t1\t2\t3.5\t4\t5\t6.5\r\n",
    ):
        path = tmp_path / "l.csv"
        path.write_bytes(text.encode("utf-8-sig"))
        assert landmark_format_of(path) == "bigwarp_csv"
        assert read_landmarks(path, MICROMETRES).landmarks == expected


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (['"a","true","1","2","3","4","5","6"', '"b","true","1","2","3","4"'], "6 cells, not 8"),
        (['"a","true","1","2","3","4","5","6"', '"b","maybe","1","2","3","4","5","6"'], "'maybe'"),
        (['"a","true","1","2","3","4","5","6"', '"b","true","1","x","3","4","5","6"'], "line 2"),
        (['"a","true","1e400","2","3","4","5","6"'], "not a finite number"),
        (['"a","true","1e308","2","3","4","5","6"'], "too large"),
    ],
)
def test_bad_files(tmp_path: Path, rows: list[str], said: str) -> None:
    path = write(tmp_path / "l.csv", *rows)
    with pytest.raises(ReadError) as caught:
        read_landmarks(path, LandmarkFileOptions(unit="mm"))
    assert said in str(caught.value)
