"""The structure of `info --json`, and its text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage, missing_scale_warning
from napari_bridgecorr.io.describe import describe_file, format_description


def make_image(known: tuple[bool, bool, bool], *warnings: str) -> SpatialImage:
    return SpatialImage(
        levels=(da.zeros((1, 2, 1, 20, 30), dtype=np.uint16),),
        grids=(Grid.from_spacing((1, 20, 30), (1, 0.5, 0.25), (7, 8, 9)),),
        channels=(Channel("DAPI"), Channel("µ")),
        source=Source(Path("a.tif"), "TIFF", 1, "left", "cyx"),
        voxel_size_known=known,
        warnings=warnings,
    )


def test_exact_structure() -> None:
    description = describe_file(Path("some/a.tif"), [make_image((False, True, True), "mind")])
    assert description == {
        "file": str(Path("some/a.tif")),
        "format": "TIFF",
        "images": [
            {
                "index": 1,
                "name": "left",
                "role": "image",
                "axes": "cyx",
                "shape": [2, 20, 30],
                "dtype": "uint16",
                "channels": ["DAPI", "µ"],
                "voxel_size_um": [None, 0.5, 0.25],
                "index_to_world": [[1, 0, 0, 7], [0, 0.5, 0, 8], [0, 0, 0.25, 9], [0, 0, 0, 1]],
                "levels": 1,
                "warnings": ["mind"],
                "channel_details": [
                    {
                        "name": name,
                        "colour": None,
                        "display_range": None,
                        "excitation_nm": None,
                        "emission_nm": None,
                        "metal": None,
                    }
                    for name in ("DAPI", "µ")
                ],
                "time_step_s": None,
                "metadata": {},
            }
        ],
    }
    assert json.loads(json.dumps(description)) == description


def test_metadata_of_any_kind_is_json() -> None:
    odd = {"a": np.float32(0.5), "b": (1, float("nan")), 3: Path("x"), "objective": "20x/0.8"}
    image = replace(make_image((True, True, True)), metadata=odd, time_step_s=2.5)
    description = describe_file(Path("a.tif"), [image])
    found = json.loads(json.dumps(description, allow_nan=False))["images"][0]
    assert found["metadata"] == {"a": 0.5, "b": [1, None], "3": "x", "objective": "20x/0.8"}
    assert found["time_step_s"] == 2.5
    assert "objective    20x/0.8" in format_description(description)


def test_no_scale_at_all_is_null() -> None:
    image = make_image((False, False, False), missing_scale_warning("zyx"))
    description = describe_file(Path("a.tif"), [image])
    assert description["images"][0]["voxel_size_um"] is None
    text = format_description(description)
    assert "voxel        unknown" in text
    assert "! no voxel size" in text


def test_text_names_what_matters() -> None:
    text = format_description(describe_file(Path("a.tif"), [make_image((False, True, True))] * 2))
    assert text.splitlines()[:2] == ["a.tif", "TIFF, 2 images"]
    for words in ("#1  left", "c 2 x y 20 x x 30", "DAPI, µ", "unknown x 0.5 x 0.25 um"):
        assert words in text
    assert "!" not in text
    assert "direction" not in text
