"""``bridgecorr place-section`` by intensity, alone and from landmarks; its figure."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from section_samples import THICKNESS_UM, brain, cut

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.fitting.sections import SectionFitOptions, fit_section
from napari_bridgecorr.io.plane_file import write_plane
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.refine.section_pictures import FindOptions
from napari_bridgecorr.transform import SectionPlacement
from napari_bridgecorr.workflow.sections import place_by_intensity

BRAIN = brain()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = cut(BRAIN, 8.0, turn_degrees=3.0, tilt_degrees=(0.0, 0.0), bend_um=0.0)
    write_image(truth.section, tmp_path / "section.ome.zarr")
    write_image(BRAIN, tmp_path / "mri.ome.zarr")
    out, figure = tmp_path / "T.json", tmp_path / "figure.png"
    files = ["--section", tmp_path / "section.ome.zarr", "--volume", tmp_path / "mri.ome.zarr"]
    write_plane(truth.plane, tmp_path / "plane.json")
    where = ["--plane", tmp_path / "plane.json", "--upright", "--model", "rigid"]
    more = ["--thickness", THICKNESS_UM, "--figure", figure, "-o", out, "--json"]
    assert main(["place-section", *map(str, [*files, *where, *more])]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["by"] == "intensity"
    assert len(said["profile"]) > 20
    placed = read_transform(out).transform
    assert isinstance(placed, SectionPlacement)
    off = np.linalg.norm(placed.map(truth.points_um) - truth.true_um, axis=1)
    assert np.median(off) < 25
    with Image.open(figure) as picture:
        assert picture.size[0] > 1000
        assert np.asarray(picture).std() > 20


def test_images_improve_what_landmarks_gave() -> None:
    truth = cut(BRAIN, 10.0, seed=3, bend_um=30)
    rng = np.random.default_rng(3)
    which = rng.choice(len(truth.points_um), 9, replace=False)
    moving = truth.true_um[which] + rng.normal(0, 40, (9, 3))
    pairs = LandmarkSet.from_pairs(truth.points_um[which], moving).pairs()
    start = fit_section(pairs, SectionFitOptions("affine", thickness_um=THICKNESS_UM))
    found = place_by_intensity(
        truth.section, BRAIN, FindOptions(THICKNESS_UM, landmark_um=40), start
    )
    before, after = (
        np.sqrt(np.mean(np.sum((p.map(truth.points_um) - truth.true_um) ** 2, axis=1)))
        for p in (start.placement, found.placement)
    )
    assert after < before / 2
    assert found.slice_number is None


def test_wrong_use() -> None:
    names = ["place-section", "--section", "s", "--volume", "v", "-o", "t.json"]
    for more in (["--refine"], ["--landmarks", "l.csv", "--near-slice", "3"]):
        with pytest.raises(SystemExit) as end:
            main([*names, *more])
        assert end.value.code == 2
