"""``bridgecorr place-sections``: from a series file to transforms and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_place_section import PLANE, SECTION_GRID, VOLUME_GRID, image

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.io.landmark_files import write_landmarks
from napari_bridgecorr.io.series_file import read_series
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import SectionPlacement

Output = pytest.CaptureFixture[str]


def document(*sections: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"format": "bridgecorr-series", "version": 1, "volume": "volume.nii.gz"}
    return {**head, "distance_um": 100, "sections": list(sections), **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A volume, four sections (the third cut was lost), landmarks of the first and the last two."""
    write_image(image(np.ones(VOLUME_GRID.shape), VOLUME_GRID, "v"), tmp_path / "volume.nii.gz")
    rng = np.random.default_rng(0)
    listed: list[dict[str, Any]] = []
    for k, position in enumerate((0, 100, 300, 400)):
        name = f"s{k}.nii.gz"
        write_image(image(np.ones(SECTION_GRID.shape), SECTION_GRID, name), tmp_path / name)
        entry = {"file": name}
        if k != 1:
            flat = SECTION_GRID.to_world(rng.uniform(0, 1, (8, 3)) * (0, 89, 99))
            there = PLANE.points(flat + (position, -800, -900))
            write_landmarks(LandmarkSet.from_pairs(flat, there), tmp_path / f"L{k}.csv")
            entry["landmarks"] = f"L{k}.csv"
        listed += [{"missing": 1}, entry] if k == 2 else [entry]
    (tmp_path / "series.json").write_text(json.dumps(document(*listed)))
    return tmp_path


def test_a_series_of_files(folder: Path, capsys: Output) -> None:
    out = folder / "placed"
    assert main(["place-sections", str(folder / "series.json"), "-o", str(out), "--json"]) == 0
    caught = capsys.readouterr()
    said = json.loads(caught.out)
    assert "s1.nii.gz: it has no landmarks" in caught.err
    names = ["1_s0.json", "2_s1.json", "3_s2.json", "4_s3.json"]
    assert sorted(p.name for p in out.iterdir()) == [*names, "placed-series.json"]
    assert json.loads((out / "placed-series.json").read_text()) == said
    assert [s["by"] for s in said["sections"]] == ["landmarks", "neighbours", *["landmarks"] * 2]
    middle = SECTION_GRID.centre_um[None]
    for name, record, position in zip(names, said["sections"], (0, 100, 300, 400), strict=True):
        placed = read_transform(out / name).transform
        assert isinstance(placed, SectionPlacement)
        there = PLANE.points(middle + (position, -800, -900))
        np.testing.assert_allclose(placed.map(middle), there, atol=0.05)
        np.testing.assert_allclose(
            record["volume_index"], VOLUME_GRID.to_index(there)[0], atol=0.01
        )
        assert record["depth_um"] == pytest.approx(position, abs=0.01)
    again = ["place-sections", str(folder / "series.json"), "-o", str(out), "--model", "rigid"]
    assert main(again) == 0
    assert "100 um behind the first, map of s0.nii.gz and s2.nii.gz" in capsys.readouterr().out
    same = folder / "placed-series.json"
    (folder / "series.json").rename(same)
    assert main(["place-sections", str(same), "-o", str(folder)]) == 1
    assert "would be written over" in capsys.readouterr().err
    assert json.loads(same.read_text())["format"] == "bridgecorr-series"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": "x"}, "no series of sections"),
        ({"version": 2}, "its version is 2"),
        ({"volume": "../volume.nii.gz"}, "outside its folder"),
        ({"volume": None}, "'volume'"),
        ({"distance_um": 0}, "distance_um is not a length"),
        ({"distance_um": True}, "distance_um is not a length"),
        ({"distance_um": 10**400}, "distance_um is not a length"),
        ({"sections": [{"file": "a", "position_um": 1e30}]}, "position_um is not a number"),
        ({"distance_tolerance_um": -1}, "distance_tolerance_um is not a length"),
        ({"sections": []}, "lists no sections"),
        ({"sections": [{"missing": 1}]}, "names no section's file"),
        ({"sections": [{"missing": -1}]}, "how many are missing"),
        ({"sections": ["s0.nii.gz"]}, "entry 1 of its sections is no object"),
        ({"sections": [{"landmarks": "L0.csv"}]}, "'file'"),
        ({"sections": [{"file": "a", "landmark": "L0.csv"}]}, "'landmark', which means nothing"),
        ({"sections": [{"file": "a"}, {"file": "b", "position_um": -3}]}, "not behind the one"),
        ({"sections": [{"file": "a\0"}]}, "cannot be"),
    ],
)
def test_faults_are_named(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    path = tmp_path / "series.json"
    path.write_text(json.dumps(document({"file": "s0.nii.gz"}, **change)))
    with pytest.raises(ReadError) as caught:
        read_series(path)
    assert fault in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_nothing_is_written_where_something_is_wrong(folder: Path, capsys: Output) -> None:
    write_image(image(np.ones(VOLUME_GRID.shape), VOLUME_GRID, "v"), folder / "s3.nii.gz")
    out = folder / "placed"
    assert main(["place-sections", str(folder / "series.json"), "-o", str(out)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "s3.nii.gz" in said
    assert "a section has one" in said
    (folder / "s3.nii.gz").unlink()
    assert main(["place-sections", str(folder / "series.json"), "-o", str(out)]) == 1
    assert "s3.nii.gz: does not exist" in capsys.readouterr().err
    assert not out.exists()
