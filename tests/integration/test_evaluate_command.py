"""``bridgecorr evaluate`` and the left-out landmarks of ``fit``, on the phantom's files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.fitting import FitOptions, k_fold
from napari_bridgecorr.geometry.convex_hull import ConvexHull
from napari_bridgecorr.io.landmark_files import (
    LandmarkOutput,
    read_landmarks,
    write_landmark_file,
    write_landmarks,
)
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.workflow.tables import transform_error

if TYPE_CHECKING:
    from conftest import Files

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def targets(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty check landmarks whose true places the phantom knows."""
    rng = np.random.default_rng(0)
    fitted = read_landmarks(files.landmarks).pairs().fixed_um
    low, high = fitted.min(axis=0), fitted.max(axis=0)
    fixed = rng.uniform(low, high, (40, 3))
    moving = read_transform(files.transform).transform.map(fixed) + rng.normal(0, 10, (40, 3))
    path = tmp_path_factory.mktemp("targets") / "targets.csv"
    # the same names as the fitted ones: names are no sign of sameness
    write_landmarks(LandmarkSet.from_pairs(fixed, moving, [f"L{i:02d}" for i in range(40)]), path)
    return path


def said(arguments: list[str], capsys: Output) -> tuple[dict[str, Any], str]:
    """The JSON that a command printed, and its warnings."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def check(transform: Path, landmarks: Path, *more: str) -> list[str]:
    return ["evaluate", "--transform", str(transform), "--landmarks", str(landmarks), *more]


def test_target_error_at_check_landmarks(files: Files, targets: Path, capsys: Output) -> None:
    found, err = said(check(files.transform, targets), capsys)
    source, pairs = read_transform(files.transform), read_landmarks(targets).pairs()
    error = source.transform.map(pairs.fixed_um) - pairs.moving_um
    length = np.linalg.norm(error, axis=1)
    assert found["n"] == 40
    assert found["rms_um"] == pytest.approx(np.sqrt(np.mean(length**2)), rel=1e-9)
    assert found["median_um"] == pytest.approx(np.median(length), rel=1e-9)
    assert found["percentiles_um"]["95"] == pytest.approx(np.percentile(length, 95), rel=1e-9)
    for axis, column in zip("zyx", error.T, strict=True):
        rms = np.sqrt(np.mean(column**2))
        assert found["axes"][axis]["rms_um"] == pytest.approx(rms, rel=1e-9)
    assert source.pairs is not None
    distance = ConvexHull(source.pairs.fixed_um).distance_um(pairs.fixed_um)
    assert found["inside_hull"]["n"] == np.sum(distance == 0)
    assert found["outside_hull"]["n"] == np.sum(distance > 0)
    model = transform_error(source)
    assert model is not None
    for row, wanted, far, predicted in zip(
        found["landmarks"], length, distance, model.predict(pairs.fixed_um), strict=True
    ):
        assert row["error_um"] == pytest.approx(wanted, rel=1e-9)
        assert row["outside_hull_um"] == pytest.approx(far, abs=1e-9)
        assert row["predicted_error_um"] == pytest.approx(predicted, rel=1e-6)
    for name, level in (("landmark_error_68_um", 0.68), ("landmark_error_95_um", 0.95)):
        limits = np.array([row[f"predicted_{name}"] for row in found["landmarks"]])
        np.testing.assert_allclose(limits, model.landmark_radius(pairs.fixed_um, level), rtol=1e-6)
        inside = distance == 0
        within = {"expected_share": level, "n": np.sum((length <= limits) & inside)}
        assert found["inside_hull_within"][name] == within | {"of": np.sum(inside)}
    assert found["fitted_left_out"] == []
    assert "warning" not in err
    assert main(check(files.transform, targets)) == 0
    out = capsys.readouterr().out
    assert f"RMS {found['rms_um']:.3g} um" in out
    counts = found["inside_hull_within"]["landmark_error_68_um"]
    assert f"of the {counts['of']} check landmarks inside the hull {counts['n']} within" in out
    assert "accura" not in out


def test_fitted_landmarks_are_no_check(
    files: Files, targets: Path, tmp_path: Path, capsys: Output
) -> None:
    assert main(check(files.transform, files.landmarks)) == 1
    assert "was fitted to all of these" in capsys.readouterr().err
    fitted = list(read_landmarks(files.landmarks))[:3]
    both = [*(replace(m, id=f"again {m.id}") for m in fitted), *read_landmarks(targets)]
    write_landmarks(LandmarkSet(tuple(both)), tmp_path / "both.csv")
    found, err = said(check(files.transform, tmp_path / "both.csv"), capsys)
    assert found["fitted_left_out"] == [f"again {m.id}" for m in fitted]
    alone, _ = said(check(files.transform, targets), capsys)
    assert found["rms_um"] == alone["rms_um"]
    assert "3 landmarks took part in the fit and are left out: 'again" in err


def test_landmarks_and_transforms_of_other_programs(
    files: Files, targets: Path, tmp_path: Path, capsys: Output
) -> None:
    alone, _ = said(check(files.transform, targets), capsys)
    write_landmark_file(read_landmarks(targets), tmp_path / "t.fcsv", LandmarkOutput())
    fixed, moving = (tmp_path / f"t_{side}.fcsv" for side in ("fixed", "moving"))
    found, _ = said(check(files.transform, fixed, "--moving", str(moving)), capsys)
    assert found["rms_um"] == pytest.approx(alone["rms_um"], rel=1e-9)
    exported = tmp_path / "T.h5"
    command = ["convert", str(files.transform), str(exported), "--like", str(files.fixed)]
    assert main([*command, "--tolerance", "5"]) == 0
    found, err = said(check(exported, targets), capsys)
    assert found["rms_um"] == pytest.approx(alone["rms_um"], abs=5)
    assert "predicted_rms_um" not in found
    assert "does not say which landmarks it was fitted to" in err
    assert main(check(files.transform, fixed)) == 1
    assert "--moving FILE" in capsys.readouterr().err


def test_two_registrations_at_fifty_by_fifty_points(
    files: Files, tmp_path: Path, capsys: Output
) -> None:
    other, out = tmp_path / "affine.json", tmp_path / "map.csv"
    assert main(["fit", str(files.landmarks), "-o", str(other), "--model", "affine"]) == 0
    command = ["evaluate", "--transform", str(files.transform), "--other", str(other)]
    command += ["--image", str(files.fixed)]
    found, _ = said([*command, "-o", str(out)], capsys)
    grid = open_image(files.fixed).grid
    n_z, n_y, n_x = grid.shape
    y, x = np.linspace(0, n_y - 1, 50), np.linspace(0, n_x - 1, 50)
    index = np.stack(np.meshgrid(np.arange(n_z), y, x, indexing="ij"), axis=-1)
    points = grid.to_world(index.reshape(-1, 3))
    first, second = (read_transform(p).transform.map(points) for p in (files.transform, other))
    square = np.sum((first - second) ** 2, axis=1).reshape(n_z, -1)
    assert found["rms_um"] == pytest.approx(np.sqrt(square.mean()), rel=1e-9)
    assert found["points_per_slice"] == [50, 50]
    assert [s["rms_um"] for s in found["by_slice"]] == pytest.approx(
        list(np.sqrt(square.mean(axis=1))), rel=1e-9
    )
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == n_z * 2500
    written = np.array([[float(r[f"{a}_um"]) for a in ("z", "y", "x", "distance")] for r in rows])
    np.testing.assert_allclose(written[:, :3], points, rtol=0, atol=1e-9)
    np.testing.assert_allclose(written[:, 3], np.sqrt(square.ravel()), rtol=1e-9)
    few, _ = said([*command, "--grid", "3x4"], capsys)
    assert (few["points_per_slice"], few["n"]) == ([3, 4], n_z * 12)
    assert main(command) == 0
    assert f"RMS {found['rms_um']:.3g} um" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["jacobian", "fold", "hull", "error"])
def test_a_map_is_an_image_on_the_grid_asked_for(
    files: Files, tmp_path: Path, capsys: Output, kind: str
) -> None:
    out = tmp_path / "map.nii.gz"
    command = ["evaluate", "--transform", str(files.transform), "--map", kind]
    command += ["--like", str(files.fixed), "-o", str(out)]
    found, _ = said(command, capsys)
    image, fixed = open_image(out), open_image(files.fixed)
    np.testing.assert_allclose(image.grid.index_to_world, fixed.grid.index_to_world, atol=1e-9)
    assert tuple(found["shape"]) == image.grid.shape == fixed.grid.shape
    source = read_transform(files.transform)
    points = fixed.grid.to_world(np.indices(fixed.grid.shape).reshape(3, -1).T)
    determinant = source.transform.jacobian_determinant(points)
    model = transform_error(source)
    assert model is not None
    assert source.pairs is not None
    expected = {
        "jacobian": determinant,
        "fold": determinant <= 0,
        "hull": ConvexHull(source.pairs.fixed_um).distance_um(points),
        "error": model.predict(points),
    }[kind]
    np.testing.assert_allclose(
        image.data.compute().ravel(), expected.astype(np.float32), rtol=1e-5, atol=1e-5
    )
    assert main([*command, "--spacing", "100,100,100"]) == 0
    coarse = open_image(out).grid
    np.testing.assert_allclose(coarse.voxel_size_um, 100, rtol=1e-6)


def test_maps_of_a_transform_without_landmarks_ask_for_them(
    files: Files, targets: Path, tmp_path: Path, capsys: Output
) -> None:
    affine, bare = tmp_path / "affine.json", tmp_path / "T.tfm"
    assert main(["fit", str(files.landmarks), "-o", str(affine), "--model", "affine"]) == 0
    assert main(["convert", str(affine), str(bare)]) == 0
    out = tmp_path / "hull.nii.gz"
    command = ["evaluate", "--transform", str(bare), "--map", "hull", "--image", str(files.fixed)]
    command += ["-o", str(out)]
    capsys.readouterr()
    assert main(command) == 1
    assert "give those of the fit with --landmarks" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--landmarks", str(targets)]) == 0
    grid = open_image(files.fixed).grid
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    hull = ConvexHull(read_landmarks(targets).pairs().fixed_um)
    np.testing.assert_allclose(
        open_image(out).data.compute().ravel(), hull.distance_um(points), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--landmarks CHECK, --other T2 or --map"),
        (["--other", "b.json"], "--image FIXED"),
        (["--map", "hull", "--image", "a.nii"], "-o OUT"),
        (["--landmarks", "a.csv", "--other", "b.json", "--image", "c.nii"], "not both"),
        (["--landmarks", "a.csv", "-o", "b.csv"], "--out belongs"),
        (["--other", "b.json", "--image", "c.nii", "--grid", "50"], "50x50"),
    ],
)
def test_wrong_use_is_told_with_the_usage(arguments: list[str], word: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--transform", "T.json", *arguments])
    assert end.value.code == 2
    assert word in capsys.readouterr().err


def test_fit_tells_how_left_out_landmarks_are_predicted(
    files: Files, tmp_path: Path, capsys: Output
) -> None:
    command = ["fit", str(files.landmarks), "-o", str(tmp_path / "t.json")]
    found, _ = said(command, capsys)
    expected = k_fold(read_landmarks(files.landmarks).pairs(), FitOptions(), folds=10)
    assert found["kfold"] == json.loads(json.dumps(expected.to_dict()))
    assert found["kfold"]["interior"]["n"] + found["kfold"]["hull"]["n"] == 16
    assert found["leave_one_out"]["all"]["rms_um"] == pytest.approx(found["loo_rms_um"])
    few, _ = said([*command, "--folds", "3"], capsys)
    assert few["kfold"]["folds"] == 3
    none, _ = said([*command, "--folds", "0"], capsys)
    assert none["kfold"] is None
    assert main([*command, "--folds", "4"]) == 0
    out = capsys.readouterr().out
    assert "left out in 4 folds, predicted by the others: interior RMS" in out
    with pytest.raises(SystemExit):
        main([*command, "--folds", "1"])
    assert "from 2" in capsys.readouterr().err


def test_table_columns_are_those_of_the_maps(files: Files, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "voxels.parquet"
    kinds = ["--add", "hull", "--add", "jacobian", "--add", "fold"]
    assert main(["table", *files.registered(), "-o", str(out), *kinds]) == 0
    table = pq.read_table(out)
    names = ["jacobian_determinant", "folding", "outside_hull_um", "registration_error_um"]
    assert table.column_names[-4:] == names
    points = np.column_stack([table[f"{a}_um"].to_numpy() for a in "zyx"])
    source = read_transform(files.transform)
    assert source.pairs is not None
    determinant = source.transform.jacobian_determinant(points)
    hull = ConvexHull(source.pairs.fixed_um)
    np.testing.assert_allclose(table[names[0]].to_numpy(), determinant, rtol=1e-6)
    np.testing.assert_array_equal(table[names[1]].to_numpy(), determinant <= 0)
    np.testing.assert_allclose(table[names[2]].to_numpy(), hull.distance_um(points), rtol=1e-6)
    said_of = json.loads(table.schema.metadata[b"bridgecorr"])["columns"]
    assert "convex hull" in str(said_of)
    assert main(["table", *files.registered(), "-o", str(tmp_path / "v.csv")]) == 0
    with (tmp_path / "v.csv").open() as file:
        assert "outside_hull_um" not in next(csv.reader(file))
    capsys.readouterr()
