"""``bridgecorr place-section``: from files to a placement and its images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.landmark_files import write_landmarks
from napari_bridgecorr.io.plane_file import write_plane
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import SectionPlacement

Output = pytest.CaptureFixture[str]

VOLUME_GRID = Grid.from_spacing((24, 40, 44), (50.0, 50.0, 50.0))
SECTION_GRID = Grid.from_spacing((1, 90, 100), (1.0, 18.0, 18.0))
PLANE = Plane.from_normal((600.0, 1000.0, 1050.0), (1.0, 0.1, -0.15)).turned(10)


def image(values: np.ndarray, grid: Grid, name: str) -> SpatialImage:
    return SpatialImage(
        (da.from_array(values[None, None].astype(np.float32), chunks=(1, 1, *values.shape)),),
        (grid,),
        (Channel("C0"),),
        Source(Path(name), "test", image_name=name),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A volume that is linear in the world, a section, and landmarks of both."""
    points = VOLUME_GRID.to_world(np.indices(VOLUME_GRID.shape).reshape(3, -1).T)
    volume = (points @ (0.5, 0.2, 0.1)).reshape(VOLUME_GRID.shape)
    write_image(image(volume, VOLUME_GRID, "volume"), tmp_path / "volume.ome.zarr")
    section = np.arange(9000.0).reshape(SECTION_GRID.shape)
    write_image(image(section, SECTION_GRID, "section"), tmp_path / "section.ome.zarr")
    rng = np.random.default_rng(0)
    flat = SECTION_GRID.to_world(rng.uniform(0, 1, (12, 3)) * (0, 89, 99))
    within = flat - (0, 800, 900) + 10 * np.sin(flat / 300)[:, [0, 2, 1]] * (0, 1, 1)
    pairs = LandmarkSet.from_pairs(flat, PLANE.points(within))
    write_landmarks(pairs, tmp_path / "L.csv")
    write_plane(PLANE.shifted(5.0), tmp_path / "plane.json")
    return tmp_path


def arguments(folder: Path, *more: Any) -> list[str]:
    names = ("--section", "section.ome.zarr", "--volume", "volume.ome.zarr", "-o", "T.json")
    given = [str(folder / n) if "." in n else n for n in names]
    return ["place-section", *given, *map(str, more)]


def test_by_landmarks(folder: Path, capsys: Output) -> None:
    on_section, in_volume = folder / "on.ome.zarr", folder / "in.ome.zarr"
    more = ("--landmarks", folder / "L.csv", "--thickness", 80, "--smoothing", 0)
    wanted = ("--volume-on-section", on_section, "--section-in-volume", in_volume, "--json")
    assert main(arguments(folder, *more, *wanted)) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n"] == 12
    assert said["off_plane_rms_um"] < 1e-6
    placed = read_transform(folder / "T.json").transform
    assert isinstance(placed, SectionPlacement)
    assert placed.thickness_um == 80
    np.testing.assert_allclose(placed.plane.normal, PLANE.normal, atol=1e-9)
    assert json.loads((folder / "T.json").read_text())["placed"]["n"] == 12
    shown = open_image(str(on_section))
    assert shown.grid.shape == SECTION_GRID.shape
    values = shown.data[0, 0].compute().ravel()
    points = SECTION_GRID.to_world(np.indices(SECTION_GRID.shape).reshape(3, -1).T)
    expected = placed.map(points) @ (0.5, 0.2, 0.1)
    known = np.isfinite(values)
    assert known.mean() > 0.9
    np.testing.assert_allclose(values[known], expected[known], atol=0.2)
    assert open_image(str(in_volume)).grid.shape == VOLUME_GRID.shape
    # the inverse, by the command that composes
    back = folder / "back.json"
    assert main(["chain", f"{folder / 'T.json'}^-1", "-o", str(back)]) == 0
    again = read_transform(back).transform.map(placed.map(points[::97]))
    np.testing.assert_allclose(again, points[::97], atol=1e-4)


def test_with_a_chosen_plane(folder: Path, capsys: Output) -> None:
    more = ("--landmarks", folder / "L.csv", "--plane", folder / "plane.json")
    assert main(arguments(folder, *more, "--model", "affine")) == 0
    out, err = capsys.readouterr()
    assert "off the chosen plane" in out
    assert "5 um below the chosen plane" in err
    placed = read_transform(folder / "T.json").transform
    assert isinstance(placed, SectionPlacement)
    np.testing.assert_allclose(placed.plane.origin_um, PLANE.shifted(5.0).origin_um)


def test_stacks_are_refused(folder: Path, capsys: Output) -> None:
    wrong = arguments(folder, "--landmarks", folder / "L.csv")
    wrong[2] = wrong[4]
    assert main(wrong) == 1
    assert "has 24 slices, a section has one" in capsys.readouterr().err
    assert not (folder / "T.json").exists()
