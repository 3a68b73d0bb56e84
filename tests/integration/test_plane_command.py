"""`bridgecorr plane`, and reslicing along a plane that is found: files, pictures, sessions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.plane_file import read_plane
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.session import load_session
from napari_bridgecorr.workflow.replay import run_session

NORMAL = np.array([1.0, 0.2, -0.1]) / np.linalg.norm([1.0, 0.2, -0.1])


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Light below a tilted glass, in the second of two channels."""
    rng = np.random.default_rng(0)
    grid = Grid.from_spacing((40, 30, 32), (5, 8, 8))
    depth = (grid.to_world(np.indices(grid.shape).reshape(3, -1).T) - grid.centre_um) @ NORMAL
    signal = 100 + 400 * np.clip(depth / 5 + 0.5, 0, 1).reshape(grid.shape)
    data = np.stack([rng.normal(200, 20, grid.shape), signal + rng.normal(0, 20, grid.shape)])
    image = SpatialImage(
        (da.from_array(data.astype(np.uint16)[None], chunks=(1, 1, 10, 30, 32)),),
        (grid,),
        (Channel("vessels"), Channel("tumour")),
        Source(tmp_path / "x", "sample", axes="czyx"),
    )
    path = tmp_path / "stack.ome.zarr"
    write_image(image, path)
    return path


def test_a_plane_is_found_written_and_drawn(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "plane.json", tmp_path / "plane.png"
    assert main(["plane", str(stack), "-o", str(out), "--detect", "window",
                 "--report", str(picture)]) == 0  # fmt: skip
    said = capsys.readouterr().out
    assert "window found in channel tumour (brighter beyond it, the tissue towards +z)" in said
    plane = read_plane(out)
    assert np.rad2deg(np.arccos(plane.normal @ NORMAL)) < 0.3
    assert abs(plane.place(open_image(str(stack)).grid.centre_um[None])[0, 0]) < 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_found_plane_reslices_and_replays_to_the_same_voxels(stack: Path, tmp_path: Path) -> None:
    out, session = tmp_path / "flat.ome.zarr", tmp_path / "session.json"
    assert main(["reslice", str(stack), "-o", str(out), "--detect", "surface", "--turn", "30",
                 "--depths", "0,20", "--write-session", str(session)]) == 0  # fmt: skip
    first = np.asarray(open_image(str(out)).data)
    recorded = Plane.from_dict(load_session(session).outputs[0].options["plane"])
    assert recorded.made["by"] == "detection"
    assert recorded.made["target"] == "surface"
    run_session(session)
    np.testing.assert_array_equal(np.asarray(open_image(str(out)).data), first)
    # at the plane the light is half of what it becomes, all over
    light = open_image(str(out)).data[0, 1].compute()
    assert abs(np.nanmedian(light[0]) - 300) < 15
    assert np.nanmedian(light[-1]) > 480


def test_points_are_carried_along(stack: Path, tmp_path: Path) -> None:
    points, carried = tmp_path / "points.csv", tmp_path / "carried.csv"
    points.write_text(
        "name,z_um,y_um,x_um,depth_um\na,97.5,116,124,7\nb,100,40,60,8\nfar,900,0,0,9\n",
        encoding="utf-8",
    )
    out, kept = tmp_path / "flat.ome.zarr", tmp_path / "plane.json"
    assert main(["reslice", str(stack), "-o", str(out), "--detect", "window", "--turn", "20",
                 "--write-plane", str(kept), "--carry", str(points),
                 "--carry-out", str(carried)]) == 0  # fmt: skip
    with carried.open(newline="") as file:
        rows = list(csv.DictReader(file))
    plane, image = read_plane(kept), open_image(str(out))
    world = np.array([[float(r[f"{a}_um"]) for a in "zyx"] for r in rows])
    place = [[float(r[k]) for k in ("plane_depth_um", "down_um", "across_um")] for r in rows]
    index = np.array([[float(r[k]) for k in ("slice", "row", "column")] for r in rows])
    np.testing.assert_array_equal(world, [[97.5, 116, 124], [100, 40, 60], [900, 0, 0]])
    np.testing.assert_allclose(plane.points(place), world, atol=1e-9)
    np.testing.assert_allclose(image.grid.to_world(index), world, atol=1e-6)
    assert [r["inside"] for r in rows] == ["1", "1", "0"]
    assert [r["depth_um"] for r in rows] == ["7", "8", "9"]
    with pytest.raises(SystemExit):
        main(["reslice", str(stack), "-o", str(out), "--detect", "window", "--carry", str(points)])


def test_points_and_json(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, out = tmp_path / "points.csv", tmp_path / "plane.json"
    points.write_text("z_um,y_um,x_um\n10,0,0\n10,90,0\n10,0,90\n", encoding="utf-8")
    assert main(["plane", str(stack), "-o", str(out), "--points", str(points), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["normal"] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--detect", "window", "--detect-channel", "0"], "no window found"),
        (["--detect", "window", "--detect-channel", "bone"], "no channel 'bone'"),
        (["--detect", "window", "--detect-time", "3"], "1 time points, no 3"),
        (["--detect", "window", "--report", "plane.jpg"], "name it .png"),
        (["--line", "0,0,0:0,0,9", "--line", "0,0,0:0,9,0", "--report", "p.png"], "give --detect"),
    ],
)
def test_refused_in_a_line(
    stack: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert main(["plane", str(stack), "-o", str(tmp_path / "p.json"), *arguments]) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("bridgecorr:")]
    assert said in line
    assert not (tmp_path / "p.json").exists()
