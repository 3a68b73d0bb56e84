"""Landmarks to other programs and back by the command line: the same fit at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.io.landmark_files import read_landmarks, read_points, read_points_file
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.transform_files import read_transform

if TYPE_CHECKING:
    from conftest import Files

Output = pytest.CaptureFixture[str]


def run(arguments: list[object], capsys: Output) -> tuple[int, str, list[str]]:
    """Exit status, standard output and the lines of standard error."""
    capsys.readouterr()
    status = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err.splitlines()


def test_every_format_there_and_back_gives_the_same_landmarks(
    files: Files, tmp_path: Path, capsys: Output
) -> None:
    original = read_landmarks(files.landmarks)
    bigwarp = ["--unit", "mm", "--out-unit", "mm"]
    for name, there, back in [
        ("l.csv", ["--to", "bigwarp", *bigwarp[2:]], bigwarp[:2]),
        (
            "l.csv",
            ["--to", "bigwarp", "--unit", "um", "--moving-unit", "mm"],
            ["--unit", "um", "--moving-unit", "mm"],
        ),
        ("l.csv", ["--to", "napari"], []),
        ("l.fcsv", [], []),
        ("l.mrk.json", [], []),
        ("l.csv", ["--to", "bridgecorr"], []),
    ]:
        folder = tmp_path / f"{name}{len(there)}{there[1:]}"
        folder.mkdir()
        status, out, _ = run(["convert", files.landmarks, folder / name, *there], capsys)
        assert status == 0
        written = sorted(folder.iterdir())
        assert out.count("wrote") == len(written)
        again = folder / "again.csv"
        moving = ["--moving", written[1]] if len(written) == 2 else []
        assert run(["convert", written[0], again, *back, *moving], capsys)[0] == 0
        found = read_landmarks(again)
        # BigWarp keeps one of id and name: the name
        by_name = name == "l.csv" and "bigwarp" in there
        for m in original:
            twin = next(
                t for t in found if (t.name == m.name if by_name and m.name else t.id == m.id)
            )
            assert (twin.name, twin.enabled) == (m.name or m.id, m.enabled) or not by_name
            assert (twin.fixed_um, twin.moving_um) == (m.fixed_um, m.moving_um)
        assert len(found) == len(original)


def test_two_files_of_slicer_are_fitted_as_the_pairs_are(
    files: Files, tmp_path: Path, capsys: Output
) -> None:
    run(["convert", files.landmarks, tmp_path / "l.mrk.json"], capsys)
    fixed, moving = tmp_path / "l_fixed.mrk.json", tmp_path / "l_moving.mrk.json"
    out = tmp_path / "t.json"
    assert run(["fit", fixed, "--moving", moving, "-o", out], capsys)[0] == 0
    points = read_landmarks(files.landmarks).pairs().fixed_um
    np.testing.assert_array_equal(
        read_transform(out).transform.map(points),
        read_transform(files.transform).transform.map(points),
    )
    status, _, said = run(["fit", fixed, "-o", tmp_path / "no.json"], capsys)
    assert status == 1
    assert said == [
        f"bridgecorr: {fixed}: none of its landmarks is a pair; "
        "give the file of the moving image's points: --moving FILE"
    ]
    assert not (tmp_path / "no.json").exists()


def test_bigwarp_s_file_is_fitted_once_its_unit_is_said(
    real_data: Path, tmp_path: Path, capsys: Output
) -> None:
    path = real_data / "landmark_files" / "mri-stack-translation-landmarks.csv"
    out = tmp_path / "t.json"
    status, _, said = run(["fit", path, "-o", out], capsys)
    assert status == 1
    assert "states no unit of length; say it: --unit um" in said[0]
    arguments = ["fit", path, "-o", out, "--model", "affine", "--unit", "um", "--json"]
    status, text, said = run(arguments, capsys)
    assert status == 0
    assert json.loads(text)["n"] == 5
    assert any("first voxel" in line for line in said)
    rows = np.loadtxt(path, delimiter=",", quotechar='"', usecols=range(2, 8))
    moving, fixed = rows[:, 2::-1], rows[:, :2:-1]
    # the affine of least squares, by another hand
    design = np.column_stack([fixed, np.ones(5)])
    expected = design @ np.linalg.lstsq(design, moving, rcond=None)[0]
    np.testing.assert_allclose(read_transform(out).transform.map(fixed), expected, atol=1e-8)


def test_pixels_are_placed_by_the_images(files: Files, tmp_path: Path, capsys: Output) -> None:
    grids = [open_image(str(p)).grid for p in (files.fixed, files.moving)]
    pairs = read_landmarks(files.landmarks).pairs()
    indices = [g.to_index(p) for g, p in zip(grids, (pairs.fixed_um, pairs.moving_um), strict=True)]
    path = tmp_path / "px.csv"
    with path.open("w") as file:
        for i, (f, m) in enumerate(zip(*indices, strict=True)):
            numbers = [repr(float(v)) for v in (*m[::-1], *f[::-1])]
            file.write(",".join(f'"{c}"' for c in (f"Pt-{i}", "true", *numbers)) + "\n")
    images = ["--fixed-image", files.fixed, "--moving-image", files.moving]
    own = tmp_path / "own.csv"
    assert run(["convert", path, own, "--unit", "px", *images], capsys)[0] == 0
    found = read_landmarks(own).pairs()
    np.testing.assert_allclose(found.fixed_um, pairs.fixed_um, atol=1e-8)
    np.testing.assert_allclose(found.moving_um, pairs.moving_um, atol=1e-8)
    again = tmp_path / "again.csv"
    to = ["--to", "bigwarp", "--out-unit", "px"]
    assert run(["convert", own, again, *to, *images], capsys)[0] == 0
    written = np.loadtxt(again, delimiter=",", quotechar='"', usecols=range(2, 8))
    np.testing.assert_allclose(written[:, 2::-1], indices[1], atol=1e-8)
    np.testing.assert_allclose(written[:, :2:-1], indices[0], atol=1e-8)
    status, _, said = run(["convert", path, own, "--unit", "px"], capsys)
    assert status == 1
    assert "--moving-image" in said[0]


def test_points_of_any_format_are_mapped_and_handed_back(
    files: Files, tmp_path: Path, capsys: Output
) -> None:
    pairs = read_landmarks(files.landmarks)
    transform = read_transform(files.transform).transform
    run(["convert", files.landmarks, tmp_path / "l.fcsv"], capsys)
    source = tmp_path / "l_fixed.fcsv"
    placed = [m for m in pairs if m.fixed_um is not None]
    expected = transform.map(np.array([m.fixed_um for m in placed]))
    for name in ("out.csv", "out.fcsv", "out.mrk.json"):
        out = tmp_path / name
        assert run(["map", files.transform, source, "-o", out], capsys)[0] == 0
        if name == "out.csv":
            table = read_points(out)
            assert [row[0] for row in table.rows] == [m.name or m.id for m in placed]
            np.testing.assert_array_equal(table.points_um, expected)
        else:
            points = read_points_file(out).points
            assert [p.name for p in points] == [m.name or m.id for m in placed]
            np.testing.assert_array_equal([p.position_um for p in points], expected)
    # of pairs, those of the side that is mapped
    out = tmp_path / "pairs.csv"
    assert run(["map", files.transform, files.landmarks, "-o", out, "--inverse"], capsys)[0] == 0
    moving = np.array([m.moving_um for m in pairs if m.moving_um is not None])
    np.testing.assert_array_equal(read_points(out).points_um, transform.inverse().map(moving))


def test_check_landmarks_of_a_table_may_be_slicer_s(
    files: Files, tmp_path: Path, capsys: Output
) -> None:
    run(["convert", files.landmarks, tmp_path / "l.fcsv"], capsys)
    plain = tmp_path / "plain.json"
    document = json.loads(files.transform.read_text())
    del document["fit"]
    plain.write_text(json.dumps(document))
    for name, arguments in {
        "own.csv": [files.landmarks],
        "slicer.csv": [
            tmp_path / "l_fixed.fcsv",
            "--landmarks-moving",
            tmp_path / "l_moving.fcsv",
        ],
    }.items():
        table = ["table", *files.registered(plain), "-o", tmp_path / name]
        assert run([*table, "--landmarks", *arguments], capsys)[0] == 0
    arguments = ["--landmarks", tmp_path / "l_fixed.fcsv"]
    status, _, said = run([*table[:-1], tmp_path / "no.csv", *arguments], capsys)
    assert status == 1
    assert said[-1].endswith("--landmarks-moving FILE")
    assert (tmp_path / "own.csv").read_bytes() == (tmp_path / "slicer.csv").read_bytes()


def test_wrong_uses_get_one_line(files: Files, tmp_path: Path, capsys: Output) -> None:
    bad = tmp_path / "bad.fcsv"
    bad.write_bytes(b"\0" * 100)
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n")
    for arguments, said in [
        (["convert", bad, tmp_path / "o.csv"], "not a text file"),
        (["convert", table, tmp_path / "o.csv"], "say which is which: --columns"),
        (["convert", files.landmarks, tmp_path / "o.ome.zarr"], "names no landmark format"),
        (["convert", files.landmarks, tmp_path / "o.csv", "--to", "bigwarp"], "--out-unit"),
        (["convert", files.landmarks, tmp_path / "no" / "o.csv"], "folder does not exist"),
        (["map", files.transform, table, "-o", tmp_path / "o.csv"], "lacks z_um, y_um, x_um"),
        (["fit", f"{files.landmarks}#1", "-o", tmp_path / "o.json"], "no list number"),
    ]:
        before = sorted(tmp_path.rglob("*"))
        status, out, lines = run(arguments, capsys)
        assert (status, out) == (1, "")
        assert len(lines) == 1
        assert said in lines[0], lines
        assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(SystemExit):
        main(["fit", str(files.landmarks), "-o", "t.json", "--columns", "x"])
