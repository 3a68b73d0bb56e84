"""Every sub-command on a small phantom, and what a user sees when something is wrong."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile

from napari_bridgecorr.cli.console import ConsoleProgress
from napari_bridgecorr.cli.main import main
from napari_bridgecorr.io.landmark_files import read_landmarks, read_points
from napari_bridgecorr.io.registry import open_image, open_images
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.resampling import resample

if TYPE_CHECKING:
    from conftest import Files

Output = pytest.CaptureFixture[str]


def refused(arguments: list[str], capsys: Output, folder: Path | None = None) -> str:
    """The one line of a command that failed and left nothing behind."""
    before = everything(folder) if folder else None
    capsys.readouterr()
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if "warning:" not in line and "..." not in line]
    assert len(lines) == 1, err
    assert lines[0].startswith("bridgecorr: ")
    assert "Traceback" not in err
    if folder:
        assert everything(folder) == before
    return lines[0]


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_info_says_what_the_reader_found(files: Files, capsys: Output) -> None:
    assert main(["info", str(files.moving), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert set(described) == {"file", "format", "images"}
    (image,) = described["images"]
    assert set(image) == {
        "index", "name",
        "role", "axes", "shape", "dtype", "channels", "voxel_size_um", "index_to_world",
        "levels", "warnings", "channel_details", "time_step_s", "metadata",
    }  # fmt: skip
    assert image["axes"] == "czyx"
    assert image["shape"] == [2, 50, 116, 116]
    assert image["dtype"] == "uint16"
    assert image["channels"] == ["vessels", "tumour"]
    np.testing.assert_allclose(image["voxel_size_um"], [12, 10, 10], rtol=1e-9)
    assert main(["info", f"{files.fixed}#0"]) == 0
    assert "50 x 50 x 50 um" in capsys.readouterr().out
    assert "no image #3" in refused(["info", f"{files.fixed}#3"], capsys)


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine", "tps"])
def test_fit_prints_what_the_design_lists(
    files: Files, tmp_path: Path, capsys: Output, model: str
) -> None:
    out = tmp_path / "t.json"
    arguments = ["fit", str(files.landmarks), "-o", str(out), "--model", model, "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    required = {"model", "n", "smoothing", "residual_rms_um", "loo_rms_um", "loo_median_um"}
    assert required | {"landmarks", "warnings"} <= set(found)
    assert (found["model"], found["n"]) == (model, 16)
    assert (found["smoothing"] is not None) == (model == "tps")
    pairs = read_landmarks(files.landmarks).pairs()
    residual = read_transform(out).transform.map(pairs.fixed_um) - pairs.moving_um
    lengths = np.linalg.norm(residual, axis=1)
    assert found["residual_rms_um"] == pytest.approx(np.sqrt(np.mean(lengths**2)), rel=1e-9)
    assert [row["id"] for row in found["landmarks"]] == list(pairs.ids)
    np.testing.assert_allclose([row["residual_um"] for row in found["landmarks"]], lengths)
    errors = np.array([row["loo_um"] for row in found["landmarks"]])
    assert found["loo_rms_um"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-9)
    assert found["loo_median_um"] == pytest.approx(np.median(errors), rel=1e-9)
    assert found["loo_rms_um"] > found["residual_rms_um"]


def test_smoothing_zero_goes_through_the_landmarks(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    assert main(["fit", str(files.landmarks), "-o", str(out), "--smoothing", "0"]) == 0
    pairs = read_landmarks(files.landmarks).pairs()
    np.testing.assert_allclose(
        read_transform(out).transform.map(pairs.fixed_um), pairs.moving_um, atol=1e-6
    )


def test_points_go_there_and_back_with_their_other_columns(
    files: Files, tmp_path: Path, capsys: Output
) -> None:
    pairs = read_landmarks(files.landmarks).pairs()
    low, high = pairs.fixed_um.min(axis=0), pairs.fixed_um.max(axis=0)
    points = np.random.default_rng(0).uniform(low - (high - low), high + (high - low), (300, 3))
    source, there, back = (tmp_path / f"{n}.csv" for n in ("source", "there", "back"))
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note", "x_um", "y_um", "z_um", "n"])
        for i, (z, y, x) in enumerate(points):
            writer.writerow([f'a, "{i}"', repr(float(x)), repr(float(y)), repr(float(z)), i])
    assert main(["map", str(files.transform), str(source), "-o", str(there)]) == 0
    transform = read_transform(files.transform).transform
    np.testing.assert_array_equal(read_points(there).points_um, transform.map(points))
    arguments = ["map", str(files.transform), str(there), "-o", str(back), "--inverse"]
    assert main(arguments) == 0
    found = read_points(back)
    np.testing.assert_allclose(found.points_um, points, atol=1e-3)
    assert found.header == ("note", "x_um", "y_um", "z_um", "n")
    assert [row[0] for row in found.rows] == [f'a, "{i}"' for i in range(300)]
    assert "wrote" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["w.ome.zarr", "w.nii.gz", "w.nii", "w.ome.tif"])
def test_warp_writes_the_same_image_in_every_format(
    files: Files, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    assert main(["warp", *files.registered(), "-o", str(out)]) == 0
    fixed, moving = open_image(files.fixed), open_image(files.moving)
    transform = read_transform(files.transform).transform
    expected = resample(moving, transform, fixed.grid).data.compute()
    read = open_image(out)
    assert np.isfinite(expected).mean() > 0.5
    np.testing.assert_array_equal(read.data.compute(), expected)
    corners = fixed.grid.corners()
    if name.endswith((".nii", ".nii.gz")):  # the other formats cannot hold an oblique place
        np.testing.assert_allclose(read.grid.corners(), corners, atol=1e-2)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_warp_takes_a_channel_and_a_spacing(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "w.nii"
    arguments = ["warp", *files.registered(), "-o", str(out), "--spacing", "100,75,150"]
    assert main([*arguments, "--channel", "tumour"]) == 0
    by_name = open_image(out)
    np.testing.assert_allclose(by_name.grid.voxel_size_um, (100, 75, 150), rtol=1e-6)
    first = by_name.data.compute()
    assert first.shape[1] == 1
    assert main([*arguments, "--channel", "1"]) == 0
    np.testing.assert_array_equal(open_image(out).data.compute(), first)


def test_table_and_its_error_and_mask(files: Files, tmp_path: Path, capsys: Output) -> None:
    mask = tmp_path / "inside.nii"
    assert main(["warp", *files.registered(), "-o", str(mask), "--channel", "0"]) == 0
    out = tmp_path / "v.parquet"
    arguments = ["table", *files.registered(), "-o", str(out), "--mask", str(mask)]
    assert main([*arguments, "--mask", f"mri={files.fixed}#0"]) == 0
    table = pq.read_table(out)
    assert table.num_rows == 12 * 23 * 23
    assert {"mask_inside", "mask_mri", "vessels", "tumour_coverage"} <= set(table.column_names)
    error = table["registration_error_um"].to_numpy()
    assert 5 < np.median(error) < 60
    assert "rows)" in capsys.readouterr().out

    assert main(["table", *files.registered(files.truth), "-o", str(out)]) == 0
    assert "warning" in capsys.readouterr().err
    assert np.all(np.isnan(pq.read_table(out)["registration_error_um"].to_numpy()))
    targets = str(files.folder / "targets.csv")
    assert (
        main(["table", *files.registered(files.truth), "-o", str(out), "--landmarks", targets]) == 0
    )
    error = pq.read_table(out)["registration_error_um"].to_numpy()
    assert error.max() < 0.3  # the file holds the truth every 50 um, linear between
    assert "two masks" in refused([*arguments, "--mask", str(mask)], capsys, tmp_path)


def test_report_is_one_page(files: Files, tmp_path: Path) -> None:
    table, out = tmp_path / "v.parquet", tmp_path / "r.html"
    assert main(["table", *files.registered(), "-o", str(table)]) == 0
    arguments = ["report", *files.registered(), "-o", str(out), "--table", str(table)]
    assert main(arguments) == 0
    page = out.read_text(encoding="utf-8")
    assert page.count("data:image/") + page.count("<svg") >= 4
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert everything(tmp_path) == ["r.html", "v.parquet"]


def test_convert_keeps_pixels_and_names(files: Files, tmp_path: Path) -> None:
    out = tmp_path / "c.ome.zarr"
    assert main(["convert", str(files.moving), str(out), "--image", "0"]) == 0
    source, read = open_image(files.moving), open_image(out)
    np.testing.assert_array_equal(read.data.compute(), source.data.compute())
    assert [c.name for c in read.channels] == ["vessels", "tumour"]


def test_missing_scale_is_said_and_can_be_answered(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.zeros((3, 20, 30), np.uint16), photometric="minisblack")
    out = tmp_path / "c.ome.zarr"
    assert main(["convert", str(path), str(out)]) == 0
    assert "no voxel size" in capsys.readouterr().err
    assert main(["convert", str(path), str(out), "--spacing", "5,2,3"]) == 0
    assert "warning" not in capsys.readouterr().err
    np.testing.assert_allclose(open_image(out).grid.voxel_size_um, (5, 2, 3))
    assert main(["info", str(path), "--json"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["voxel_size_um"] is None
    assert any("no voxel size" in w for w in image["warnings"])
    assert main(["info", str(path), "--json", "--spacing", "5,2,3"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["voxel_size_um"] == [5, 2, 3]
    assert not any("no voxel size" in w for w in image["warnings"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["fit"],
        ["fit", "a.csv", "-o", "t.json", "--model", "magic"],
        ["info", "x.tif", "--spacing", "1,0,1"],
        ["info", "x.tif", "--spacing", "1,nan,1"],
        ["info", "x.tif", "--spacing", "1,1"],
        ["warp", "--fixed", "a"],
    ],
)
def test_wrong_use_is_status_2(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: bridgecorr" in capsys.readouterr().err


def test_an_interrupt_is_status_130(
    files: Files, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ConsoleProgress, "advance", interrupt)
    for name in ("w.nii.gz", "w.ome.zarr", "w.ome.tif"):
        assert main(["warp", *files.registered(), "-o", str(tmp_path / name)]) == 130
    assert main(["table", *files.registered(), "-o", str(tmp_path / "v.parquet")]) == 130
    said = capsys.readouterr().err
    assert "bridgecorr: interrupted" in said
    # the blocks of an OME-Zarr that are finished are kept for the next run, under another name
    assert [p.name for p in tmp_path.iterdir()] == [".unfinished.w.ome.zarr"], said
    assert "what is finished is kept in" in said


BAD_IMAGES = {
    "empty.nii.gz": b"",
    "noise.nii.gz": bytes(range(256)) * 8,
    "cut.nii.gz": None,
    "zip.nii.gz": gzip.compress(b"hello"),
    "noise.czi": bytes(range(256)) * 8,
    "empty.czi": b"",
    "noise.tif": b"II*\0" + b"\xff" * 200,
    "text.ome.tif": b"hello",
    "named.xyz": b"hello",
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images_are_refused_by_every_command(
    files: Files, tmp_path: Path, capsys: Output, name: str
) -> None:
    path = tmp_path / name
    content = BAD_IMAGES[name]
    path.write_bytes(files.fixed.read_bytes()[:3000] if content is None else content)
    fixed_bad = ["--fixed", str(path), *files.registered()[2:]]
    moving_bad = [*files.registered()[:2], "--moving", str(path), *files.registered()[4:]]
    commands_ = [
        ["info", str(path)],
        ["convert", str(path), str(tmp_path / "o.ome.zarr")],
        ["table", *fixed_bad, "-o", str(tmp_path / "o.parquet")],
        ["warp", *moving_bad, "-o", str(tmp_path / "o.nii.gz")],
        ["table", *files.registered(), "-o", str(tmp_path / "o.csv"), "--mask", str(path)],
    ]
    if name == "cut.nii.gz":  # the header is whole: only who reads all pixels can know
        commands_ = commands_[1:]
    for arguments in commands_:
        assert name in refused(arguments, capsys, tmp_path), arguments


def test_wrong_inputs_of_other_kinds(files: Files, tmp_path: Path, capsys: Output) -> None:
    out = str(tmp_path / "o.parquet")
    text = tmp_path / "t.csv"
    header = files.landmarks.read_text().splitlines()[0]
    for content, said in [
        ("", "empty"),
        (header + "\n", "no landmarks"),
        (header + "\na,a,true,1,2,3,4,5,6\na,b,true,1,2,3,4,5,6\n", "id 'a'"),
        (header + "\na,a,true,1,2,3,4,5,6\n", "too few"),
        (
            header + "".join(f"\n{i},n,true,0,{i * i},{i},0,{i * i},{i}" for i in range(9)),
            "in one plane",
        ),
    ]:
        text.write_text(content)
        arguments = ["fit", str(text), "-o", str(tmp_path / "t.json")]
        assert said in refused(arguments, capsys, tmp_path)
    arguments = ["fit", str(files.landmarks), "-o", str(tmp_path / "t.json"), "--smoothing", "-1"]
    assert "smoothing" in refused(arguments, capsys, tmp_path)
    for arguments, said in [
        (["table", *files.registered(files.landmarks), "-o", out], "no transform"),
        (["table", *files.registered(tmp_path / "none.json"), "-o", out], "no such file"),
        (["table", *files.registered(), "-o", str(tmp_path / "o.txt")], ".parquet"),
        (["table", *files.registered(), "-o", str(tmp_path / "no" / "o.csv")], "folder"),
        (["warp", *files.registered(), "-o", str(tmp_path / "o.png")], ".ome.zarr"),
        (["warp", *files.registered(), "-o", str(tmp_path / "no" / "o.nii")], "folder"),
        (["warp", *files.registered(), "-o", str(tmp_path / "o.nii"), "--channel", "red"], "red"),
        (["warp", *files.registered(), "-o", str(tmp_path / "o.nii"), "--time", "4"], "no 4"),
        (["map", str(files.transform), str(files.fixed), "-o", out], "mri.nii.gz"),
        (["run", str(files.transform)], "not a bridgecorr session"),
        (["run", str(tmp_path)], "folder"),
        (["demo", str(files.fixed)], "cannot be made"),
        (["report", *files.registered(), "-o", out, "--table", str(files.fixed)], "mri.nii.gz"),
    ]:
        assert said in refused(arguments, capsys, tmp_path), arguments


def test_existing_outputs_are_replaced_whole(files: Files, tmp_path: Path) -> None:
    for name in ("w.nii", "w.ome.zarr", "w.ome.tif"):
        arguments = ["warp", *files.registered(), "-o", str(tmp_path / name), "--channel", "0"]
        assert main([*arguments, "--spacing", "100,100,100"]) == 0
        assert main([*arguments, "--spacing", "200,200,200"]) == 0
        np.testing.assert_allclose(open_image(tmp_path / name).grid.voxel_size_um[1:], 200)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.nii", "w.ome.tif", "w.ome.zarr"]


def test_as_a_program(files: Files, tmp_path: Path) -> None:
    base = [sys.executable, "-m", "napari_bridgecorr.cli"]
    done = subprocess.run(
        [*base, "info", str(files.fixed), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["format"].startswith("NIfTI")
    bad = tmp_path / "bad.csv"
    bad.write_text("x;y\n")
    failed = subprocess.run(
        [*base, "fit", str(bad), "-o", str(tmp_path / "t.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.count("\n") == 1
    assert everything(tmp_path) == ["bad.csv"]


def test_info_on_every_real_file(real_data: Path, capsys: Output) -> None:
    places = [p for p in real_data.rglob("*") if p.is_file() and "two_photon" not in p.parts[-2]]
    places = [p for p in places if ".zarr" not in str(p.parent) and "ome_zarr" not in str(p.parent)]
    places += [p for p in (real_data / "ome_zarr").iterdir() if p.is_dir()]
    places.append(real_data / "two_photon_brain")
    opened = 0
    for place in places:
        status = main(["info", str(place), "--json"])
        out, err = capsys.readouterr()
        if status == 0:
            found = json.loads(out)
            if "landmarks" in found:
                assert found["landmarks"]["n"] > 0
                continue
            assert found["images"]
            assert len(found["images"]) == len(open_images(place))
            opened += 1
        else:
            assert status == 1
            assert err.count("\n") == 1, err
            assert str(place) in err
    assert opened >= 18
