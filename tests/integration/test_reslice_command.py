"""`bridgecorr reslice`: planes from files, what is written, and sessions that repeat it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import GeometryError, SessionError
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.plane_file import read_plane, write_plane
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.resampling import reslice
from napari_bridgecorr.session import ImageRef, Output, load_session, save_session
from napari_bridgecorr.workflow.planes import plane_through_file
from napari_bridgecorr.workflow.replay import run_session
from napari_bridgecorr.workflow.reslice import (
    ResliceOptions,
    reslice_output,
    reslice_session,
    resliced,
)

POINTS = [(20.0, 5.0, 5.0), (24.0, 40.0, 8.0), (17.0, 9.0, 44.0), (21.0, 43.0, 47.0)]


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack of two channels and two times."""
    data = np.random.default_rng(0).integers(0, 4000, (2, 2, 14, 24, 25)).astype(np.uint16)
    image = SpatialImage(
        (da.from_array(data, chunks=(1, 1, 5, 24, 25)),),
        (Grid.from_spacing((14, 24, 25), (3, 2, 2)),),
        (Channel("vessels"), Channel("tumour")),
        Source(tmp_path / "x", "sample", axes="tczyx"),
        time_step_s=2.0,
    )
    path = tmp_path / "stack.ome.zarr"
    write_image(image, path)
    return path


@pytest.fixture
def points(tmp_path: Path) -> Path:
    path = tmp_path / "points.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["z_um", "y_um", "x_um"])
        writer.writerows(POINTS)
    return path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 1
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    return said


@pytest.mark.parametrize("name", ["r.ome.zarr", "r.nii.gz", "r.ome.tif"])
def test_every_format_keeps_the_pixels_and_the_slant(
    stack: Path, points: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / name
    assert main(["reslice", str(stack), "-o", str(out), "--points", str(points)]) == 0
    said = capsys.readouterr().out
    assert f"wrote {out} (" in said
    assert "plane through 4 points: residual RMS" in said
    plane = Plane.through_points(POINTS)
    expected = reslice(open_image(stack), plane)
    read = open_image(out)
    np.testing.assert_array_equal(read.data.compute(), expected.data.compute())
    np.testing.assert_allclose(read.grid.corners(), expected.grid.corners(), atol=1e-6)


def test_the_plane_is_changed_kept_and_used_again(
    stack: Path, points: Path, tmp_path: Path
) -> None:
    kept, first, again = tmp_path / "plane.json", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    change = ["--origin", "0,10,12", "--turn", "30", "--flip", "--shift=-2,1,0"]
    arguments = ["reslice", str(stack), "-o", str(first), "--points", str(points), *change]
    assert main([*arguments, "--write-plane", str(kept)]) == 0
    expected = Plane.through_points(POINTS).with_origin((0, 10, 12)).turned(30).flipped()
    plane = read_plane(kept)
    assert plane == expected.shifted(-2, 1, 0)
    assert plane.made["points_um"] == [list(p) for p in POINTS]
    assert len(plane.made["changes"]) == 4
    assert main(["reslice", str(stack), "-o", str(again), "--plane", str(kept)]) == 0
    assert first.read_bytes() == again.read_bytes()


def test_points_go_into_the_plane_and_back(stack: Path, points: Path, tmp_path: Path) -> None:
    out, t = tmp_path / "a.nii.gz", tmp_path / "t.json"
    inside, back = tmp_path / "inside.csv", tmp_path / "back.csv"
    arguments = ["reslice", str(stack), "-o", str(out), "--points", str(points)]
    assert main([*arguments, "--write-transform", str(t)]) == 0
    assert main(["map", str(t), str(points), "-o", str(inside), "--inverse"]) == 0
    assert main(["map", str(t), str(inside), "-o", str(back)]) == 0
    found = np.loadtxt(inside, delimiter=",", skiprows=1)
    np.testing.assert_allclose(found, Plane.through_points(POINTS).place(POINTS), atol=1e-9)
    np.testing.assert_allclose(np.loadtxt(back, delimiter=",", skiprows=1), POINTS, atol=1e-9)


def test_lines_depths_channel_and_slabs(stack: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ome.zarr"
    lines = ["--line", "20,0,24:22,0,30", "--line", "20,5,24:20,40,24"]
    choice = ["--channel", "tumour", "--time", "1", "--slab", "10", "--coverage"]
    assert main(["reslice", str(stack), "-o", str(out), *lines, *choice]) == 0
    plane = Plane.through_lines([(20, 0, 24), (22, 0, 30)], [(20, 5, 24), (20, 40, 24)])
    options = ResliceOptions(slab_um=10, coverage=True, channel="tumour", time=1)
    expected = resliced(open_image(stack), plane, options)
    read = open_image(out)
    np.testing.assert_array_equal(read.data.compute(), expected.data.compute())
    assert [c.name for c in read.channels] == ["tumour", "tumour_coverage"]
    assert read.n_times == 1
    like = tmp_path / "like.ome.zarr"
    assert main(["reslice", str(stack), "-o", str(like), *lines, "--slab-like", str(out)]) == 0
    assert open_image(like).grid.voxel_size_um[0] == pytest.approx(10)
    one = tmp_path / "one.nii.gz"
    assert main(["reslice", str(stack), "-o", str(one), *lines, "--depths", "0,0"]) == 0
    assert open_image(one).grid.shape[0] == 1


def test_a_session_repeats_it(stack: Path, points: Path, tmp_path: Path) -> None:
    out, session = tmp_path / "sub" / "a.nii.gz", tmp_path / "s.json"
    out.parent.mkdir()
    arguments = ["reslice", str(stack), "-o", str(out), "--points", str(points), "--slab", "10"]
    assert main([*arguments, "--least-coverage", "0.3", "--write-session", str(session)]) == 0
    before = out.read_bytes()
    out.unlink()
    points.unlink()  # the plane itself is in the session
    assert main(["run", str(session)]) == 0
    assert out.read_bytes() == before
    kept = load_session(session)
    (output,) = kept.outputs
    assert output.options["least_coverage"] == 0.3
    assert Plane.from_dict(output.options["plane"]) == Plane.through_points(POINTS)


def test_a_session_from_python_with_several_planes(stack: Path, tmp_path: Path) -> None:
    plane = Plane.through_points(POINTS)
    options = ResliceOptions(spacing_um=(4, 3, 3), depth_range_um=(-8, 8))
    session = reslice_session(
        ImageRef("stack", str(stack), channels=(1,)),
        reslice_output("stack", plane, "a.nii.gz", options),
        reslice_output("stack", plane.turned(45), "b.nii.gz"),
    )
    save_session(session, tmp_path / "s.json")
    result = run_session(tmp_path / "s.json")
    assert [p.name for p in result.written] == ["a.nii.gz", "b.nii.gz"]
    expected = resliced(open_image(stack).part([1]), plane, options)
    np.testing.assert_array_equal(
        open_image(tmp_path / "a.nii.gz").data.compute(), expected.data.compute()
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"image": "other"}, "no image 'other'"),
        ({"thickness": 3}, "not understood"),
        ({"plane": {}}, "no plane"),
        ({"coverage": True}, "state their thickness"),
    ],
)
def test_damaged_records_are_refused(
    stack: Path, tmp_path: Path, changed: dict, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = reslice_output("stack", Plane.through_points(POINTS), "a.nii.gz")
    output = replace(good, options={**good.options, **changed})
    save_session(reslice_session(ImageRef("stack", str(stack)), output), tmp_path / "s.json")
    assert reason in refused(["run", str(tmp_path / "s.json")], capsys)
    assert not (tmp_path / "a.nii.gz").exists()


def test_other_outputs_still_need_their_registration(stack: Path, tmp_path: Path) -> None:
    session = reslice_session(ImageRef("stack", str(stack)), Output("warp", "w.nii.gz"))
    save_session(session, tmp_path / "s.json")
    with pytest.raises(SessionError, match="no registration"):
        run_session(tmp_path / "s.json")


def test_wrong_use_is_one_line(
    stack: Path, points: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "a.nii.gz")
    base = ["reslice", str(stack), "-o", out]
    one_line = [*base, "--line", "20,0,24:22,0,30"]
    assert "twice" in refused(one_line, capsys)
    with_points = [*base, "--points", str(points)]
    assert "thickness" in refused([*with_points, "--coverage"], capsys)
    assert "thinner" in refused([*with_points, "--slab", "0.5"], capsys)
    assert "reaches from" in refused([*with_points, "--depths", "900,990"], capsys)
    assert "format" in refused(["reslice", str(stack), "-o", "a.png", "--points", "p"], capsys)
    elsewhere = ["--write-session", str(tmp_path / "deeper" / "s.json")]
    assert "outside the session" in refused([*with_points, *elsewhere], capsys)
    damaged = tmp_path / "plane.json"
    damaged.write_text("{")
    assert str(damaged) in refused([*base, "--plane", str(damaged)], capsys)
    damaged.write_text(json.dumps({"format": "bridgecorr-session"}))
    assert "no plane" in refused([*base, "--plane", str(damaged)], capsys)
    # what is said of how it was made need not make sense: only the plane must
    told = {**Plane.through_points(POINTS).to_dict(), "made": {"by": "points", "points_um": 3}}
    damaged.write_text(json.dumps(told))
    assert (
        main(
            [
                "reslice",
                str(stack),
                "-o",
                str(tmp_path / "b.nii"),
                *base[4:],
                "--plane",
                str(damaged),
            ]
        )
        == 0
    )
    assert not Path(out).exists()
    for wrong in ("1,2", "1,2,3:4", "a,b,c:1,2,3", "nan,0,0:1,1,1"):
        with pytest.raises(SystemExit) as end:
            main([*base, "--line", wrong])
        assert end.value.code == 2
    capsys.readouterr()


def test_plane_files(tmp_path: Path) -> None:
    plane = Plane.through_points(POINTS).turned(12.3)
    write_plane(plane, tmp_path / "p.json")
    assert read_plane(tmp_path / "p.json") == plane
    marks = tmp_path / "marks.csv"
    marks.write_text(
        "id,name,enabled,fixed_z_um,fixed_y_um,fixed_x_um,moving_z_um,moving_y_um,moving_x_um\n"
        + "".join(f"{i},,true,{z},{y},{x},,,\n" for i, (z, y, x) in enumerate(POINTS))
        + "9,,false,900,0,0,,,\n"
    )
    assert plane_through_file(marks) == Plane.through_points(POINTS)
    marks.write_text("z_um,y_um,x_um\n1,2,3\n")
    with pytest.raises(GeometryError, match="three points"):
        plane_through_file(marks)
