"""Two raters whose differences are known."""

import json
from pathlib import Path

import dask.array
import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import FitError
from napari_bridgecorr.evaluate import compare_sites
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.landmark_files import write_landmarks
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import Landmark, LandmarkSet
from napari_bridgecorr.workflow.raters import compare_raters

SITES = np.random.default_rng(5).uniform(0, 900, (12, 3))
OFF = np.array([3.0, -4.0, 12.0])


def _rater(shift: np.ndarray, order: list[int], prefix: str) -> LandmarkSet:
    return LandmarkSet(
        tuple(
            Landmark(f"{prefix}{k}", "", True, tuple(SITES[k]), tuple(2 * SITES[k] + shift))
            for k in order
        )
    )


def test_sites_are_known_by_their_place_whatever_they_are_called() -> None:
    first = _rater(np.zeros(3), list(range(12)), "L")
    second = _rater(OFF, [7, 3, 11, 0], "other")
    half = Landmark("half", fixed_um=tuple(SITES[5]))
    found = compare_sites(first, LandmarkSet((*second, half)))
    assert found.ids == ("L0", "L3", "L7", "L11")
    assert found.n_missing == 8
    np.testing.assert_allclose(found.difference_um, np.tile(OFF, (4, 1)), atol=1e-9)
    np.testing.assert_allclose(found.overall.rms_zyx_um, np.abs(OFF), atol=1e-9)
    assert found.overall.rms_um == pytest.approx(13)
    assert found.to_dict()["sites"][1]["id"] == "L3"


def test_maps_differ_as_the_clicks_do_where_all_are_shifted() -> None:
    grid = Grid.from_spacing((4, 30, 30), (200.0, 30.0, 30.0))
    everywhere = list(range(12))
    found = compare_raters(_rater(np.zeros(3), everywhere, "a"), _rater(OFF, everywhere, "b"), grid)
    assert found.maps is not None
    np.testing.assert_allclose(found.maps.overall.bias_zyx_um, OFF, atol=1e-6)
    two = compare_raters(_rater(np.zeros(3), everywhere, "a"), _rater(OFF, [1, 2], "b"), grid)
    assert two.maps is None
    assert "2" in two.fault
    assert two.sites.overall.rms_um == pytest.approx(13)


def test_without_a_common_site_it_is_said() -> None:
    first, second = _rater(OFF, [1, 2], "a"), _rater(OFF, [3, 4], "b")
    with pytest.raises(FitError, match="no site in common"):
        compare_sites(first, second)
    with pytest.raises(FitError, match="second rater has no complete pair"):
        compare_sites(first, LandmarkSet((Landmark("x", fixed_um=(0.0, 0.0, 0.0)),)))


def test_the_command_compares_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = Grid.from_spacing((4, 30, 30), (200.0, 30.0, 30.0))
    level = dask.array.zeros((1, 1, *grid.shape), dtype=np.float32)
    source = Source(Path("zero"), "drawn", image_name="zero")
    image = SpatialImage((level,), (grid,), (Channel("one"),), source)
    write_image(image, tmp_path / "fixed.ome.tif")
    everywhere = list(range(12))
    write_landmarks(_rater(np.zeros(3), everywhere, "a"), tmp_path / "a.csv")
    write_landmarks(_rater(OFF, everywhere[:10], "b"), tmp_path / "b.csv")
    files = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    asked = ["raters", *files, "--image", str(tmp_path / "fixed.ome.tif"), "--model", "affine"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "clicks at 10 places: differ by RMS 13 um (z 3, y 4, x 12)" in said
    assert "2 of the first rater's places have no second click" in said
    page = tmp_path / "raters.html"
    assert main([*asked, "--json", "--report", str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    text = page.read_text(encoding="utf-8")
    assert "a.csv  ·  b.csv  ·  fixed image: zero" in text
    assert "13.0 µm (RMS) apart" in text
    assert "more than chance" in text  # all are shifted alike
    assert all(f'id="{name}"' in text for name in ("clicks", "agreement", "maps"))
    assert "2 of the first rater&#x27;s places have no second click" in text
    assert told["clicks"]["n"] == 10
    assert told["maps"]["rms_um"] == pytest.approx(13, abs=1e-3)
    # cut off in the middle of a number, with half of its rows gone
    whole = (tmp_path / "b.csv").read_bytes()
    (tmp_path / "b.csv").write_bytes(b"\n".join(whole.splitlines()[:6])[:-3])
    assert main(asked) == 0
    warned = capsys.readouterr().err
    assert "b.csv: its last line has no end" in warned
    assert "check landmark b4" in warned
    assert "b.csv has 5 pairs, a.csv 12: is it the whole file?" in warned
    # in the middle of a row
    (tmp_path / "b.csv").write_bytes(whole[:-30])
    assert main(asked) == 1
    assert "it ends in the middle of line 11" in capsys.readouterr().err
