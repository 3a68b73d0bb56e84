"""``bridgecorr align`` on a real pair of stained sections, with the landmarks kept out."""

import json

import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.io.transform_files import read_transform

PAIR = "Izd2-29-041-w35_"
TARGET = 0.0058  # median distance over the image's diagonal


@pytest.fixture
def folder(real_data):
    found = real_data / "histology_landmarks"
    if not found.is_dir():
        pytest.skip(f"the stained sections are not at {found}")
    return found


def landmarks(path):
    """(n, 3) z, y, x in pixels, which are 1 um where no size is known."""
    x, y = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2)).T
    return np.column_stack([np.zeros(x.size), y, x])


def test_sections_of_two_stains_without_landmarks(folder, tmp_path, capsys):
    fixed, moving = (folder / f"{PAIR}{stain}" for stain in ("HE", "proSPC"))
    out, picture = tmp_path / "T.json", tmp_path / "fit.png"
    arguments = ["--fixed", f"{fixed}.jpg", "--moving", f"{moving}.jpg", "-o", str(out)]
    assert main(["align", *arguments, "--report", str(picture), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["start"]["is_clear"]
    assert said["elastic"]["least_jacobian"] > 0
    assert any("not known" in w for w in said["warnings"])
    assert picture.read_bytes().startswith(b"\x89PNG")

    transform = read_transform(out).transform
    here, there = landmarks(f"{fixed}.csv"), landmarks(f"{moving}.csv")
    diagonal = np.hypot(890, 733)
    before = np.median(np.linalg.norm(here - there, axis=1)) / diagonal
    error = np.median(np.linalg.norm(transform.map(here) - there, axis=1)) / diagonal
    assert before > 0.05
    assert error <= TARGET
    np.testing.assert_allclose(transform.inverse().map(transform.map(here)), here, atol=1e-3)


def test_a_blank_image_is_refused_in_one_line(tmp_path, capsys):
    from PIL import Image

    for name, level in (("a.png", 200), ("b.png", 90)):
        Image.fromarray(np.full((60, 70), level, np.uint8)).save(tmp_path / name)
    arguments = ["--fixed", str(tmp_path / "a.png"), "--moving", str(tmp_path / "b.png")]
    assert main(["align", *arguments, "-o", str(tmp_path / "T.json")]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "same everywhere" in said
    assert not (tmp_path / "T.json").exists()
