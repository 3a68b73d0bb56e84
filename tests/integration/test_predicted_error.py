"""The predicted error as numbers, columns and images, from one set of files."""

import csv
import json
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.fitting import FitOptions, error_model, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.landmark_files import read_landmark_file, write_landmark_file
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 1000, (24, 3))
    moving = fixed + 30 * np.sin(fixed[:, [1, 2, 0]] / 250) + rng.normal(0, 5, (24, 3))
    write_landmark_file(LandmarkSet.from_pairs(fixed, moving), tmp_path / "L.csv")
    return tmp_path


@pytest.mark.parametrize("model", ["gp", "rigid"])
def test_map_and_image_agree_with_the_model(
    folder: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    marks, transform = folder / "L.csv", folder / "T.json"
    arguments = ["fit", str(marks), "-o", str(transform), "--model", model, "--json"]
    assert main([*arguments, "--folds", "0"]) == 0
    said = json.loads(capsys.readouterr().out)
    inner = said["predicted_error"]["interior"]
    assert 0 < inner["predicted_error_um"] < inner["target_error_95_um"]
    assert inner["target_error_68_um"] < inner["target_error_95_um"]
    # 5 um along each axis, whatever the map
    assert inner["landmark_error_68_um"] > max(9.0, inner["target_error_68_um"])
    assert (said["prior"] is None) == (model == "rigid")

    pairs = read_landmark_file(marks).landmarks.pairs()
    result = fit(pairs, FitOptions(model))
    expected = error_model(pairs, result.transform, model, evidence=result.evidence)
    points = np.random.default_rng(1).uniform(0, 1000, (20, 3))
    (folder / "P.csv").write_text(
        "name,z_um,y_um,x_um\n" + "".join(f"p,{z},{y},{x}\n" for z, y, x in points.tolist())
    )
    out = folder / "O.csv"
    assert main(["map", str(transform), str(folder / "P.csv"), "-o", str(out), "--error"]) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    for name, values in (
        ("predicted_error_um", expected.predict(points)),
        ("target_error_68_um", expected.radius(points, 0.68)),
        ("target_error_95_um", expected.radius(points, 0.95)),
        ("landmark_error_68_um", expected.landmark_radius(points, 0.68)),
        ("landmark_error_95_um", expected.landmark_radius(points, 0.95)),
    ):
        np.testing.assert_allclose([float(r[name]) for r in rows], values, rtol=2e-3)
    assert rows[0]["name"] == "p"

    grid = Grid.from_spacing((4, 5, 6), (250.0, 200.0, 160.0))
    image = SpatialImage(
        levels=(da.zeros((1, 1, 4, 5, 6), dtype=np.float32),),
        grids=(grid,),
        channels=(Channel("c"),),
        source=Source(folder / "f", "made"),
    )
    write_image(image, folder / "F.nii.gz")
    picture = folder / "E.nii.gz"
    arguments = ["evaluate", "--transform", str(transform), "--image", str(folder / "F.nii.gz")]
    assert main([*arguments, "--map", "error95", "-o", str(picture)]) == 0
    places = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    found = np.asarray(open_image(str(picture)).data[0, 0]).ravel()
    np.testing.assert_allclose(found, expected.radius(places, 0.95), rtol=2e-3)


def test_it_is_refused_where_nothing_is_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = {
        "format": "bridgecorr-transform",
        "version": 1,
        "direction": "fixed_to_moving",
        "transform": {"type": "affine", "matrix": np.eye(4).tolist()},
    }
    (folder / "A.json").write_text(json.dumps(bare))
    (folder / "P.csv").write_text("z_um,y_um,x_um\n1,2,3\n")
    arguments = ["map", str(folder / "A.json"), str(folder / "P.csv"), "--error"]
    assert main([*arguments, "-o", str(folder / "O.csv")]) == 1
    assert "no landmarks that tell how wrong it is" in capsys.readouterr().err
