"""``bridgecorr refine`` on the small phantom's files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.io.transform_files import read_transform

if TYPE_CHECKING:
    from conftest import Files


def images(files: Files) -> list[str]:
    return ["--fixed", str(files.fixed), "--moving", str(files.moving)]


def test_the_refined_map_knows_its_landmarks_and_what_was_done(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "refined.json"
    arguments = ["refine", *images(files), "--transform", str(files.transform), "-o", str(out)]
    assert main([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    document = json.loads(out.read_text())
    assert document["refine"]["verdict"] == said["verdict"]
    assert said["after"]["held_out_rms_um"] <= said["before"]["held_out_rms_um"]
    before, after = read_transform(files.transform), read_transform(out)
    assert before.pairs is not None
    assert after.pairs is not None
    assert after.pairs.ids == before.pairs.ids
    steps = np.linalg.norm(
        after.transform.map(before.pairs.fixed_um) - before.transform.map(before.pairs.fixed_um),
        axis=1,
    )
    assert (steps.max() > 0) == said["accepted"]
    # how wrong it is now, told by the landmarks that were left out
    points, mapped = tmp_path / "P.csv", tmp_path / "M.csv"
    centre = before.pairs.fixed_um.mean(axis=0)
    rows = [centre, centre + 1e5]
    points.write_text("z_um,y_um,x_um\n" + "".join(f"{z},{y},{x}\n" for z, y, x in rows))
    assert main(["map", str(out), str(points), "-o", str(mapped), "--error"]) == 0
    with mapped.open() as file:
        inside, beyond = (float(r["predicted_error_um"]) for r in csv.DictReader(file))
    if said["accepted"]:
        assert inside == pytest.approx(said["after"]["held_out_rms_um"], rel=1e-3)
    assert beyond > 10 * inside > 0
    # landmarks that took part are no check landmarks
    check = ["evaluate", "--transform", str(out), "--landmarks", str(files.landmarks)]
    assert main(check) == 1
    assert "fitted to all of these landmarks" in capsys.readouterr().err


def test_without_a_start_one_is_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(size=(120, 140)), 3)
    texture *= gaussian_filter(np.pad(np.ones((80, 100)), 20), 4) / texture.std()
    angle = np.deg2rad(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.array([60.0, 70.0]) - turn @ np.array([55.0, 76.0])
    # the moving pixel q shows what the fixed one at turn q + offset shows, as a negative
    turned = affine_transform(texture, turn, offset)
    for name, picture in (("a.png", 120 + 30 * texture), ("b.png", 120 - 25 * turned)):
        noisy = picture + rng.normal(0, 2, picture.shape)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(tmp_path / name)
    fixed, moving, out = (str(tmp_path / n) for n in ("a.png", "b.png", "T.json"))
    assert main(["refine", "--fixed", fixed, "--moving", moving, "-o", out]) == 0
    said = capsys.readouterr().out
    assert "searched" in said
    assert "not checked on landmarks" in said
    document = json.loads(Path(out).read_text())["refine"]
    assert document["start"]["is_clear"]
    assert document["cross_check"]["landmarks"] == 0
    points = np.column_stack([np.zeros(30), rng.uniform(40, 80, 30), rng.uniform(45, 95, 30)])
    true = (points[:, 1:] - offset) @ turn  # the inverse of a rotation
    found = read_transform(Path(out)).transform.map(points)[:, 1:]
    assert np.median(np.linalg.norm(found - true, axis=1)) < 1.0


def test_a_doubtful_start_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    for name in ("a.png", "b.png"):
        noise = gaussian_filter(rng.normal(size=(60, 70)), 3)
        Image.fromarray((120 + 20 * noise / noise.std()).clip(0, 255).astype(np.uint8)).save(
            tmp_path / name
        )
    fixed, moving, out = (str(tmp_path / n) for n in ("a.png", "b.png", "T.json"))
    assert main(["refine", "--fixed", fixed, "--moving", moving, "-o", out, "--json"]) == 0
    said = capsys.readouterr()
    assert "DOUBTFUL" in said.err
    assert json.loads(said.out)["start"]["confidence"] < 0.5


def test_an_unknown_channel_is_named(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "T.json"
    start = ["--transform", str(files.transform), "-o", str(out)]
    assert main(["refine", *images(files), *start, "--channel", "nuclei"]) == 1
    assert "no channel 'nuclei'" in capsys.readouterr().err
    assert not out.exists()
