"""napari.yaml offers what the core can do: every pattern, and File > Save for every kind."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Labels, Layer
from npe2 import PluginManifest

from napari_bridgecorr._napari.file_words import landmark_words, warning_words
from napari_bridgecorr._napari.frames import world_matrix
from napari_bridgecorr._napari.landmark_layers import landmarks_to_layers
from napari_bridgecorr._napari.layers import image_to_layers
from napari_bridgecorr._napari.writer import write_image_layers, write_landmark_layers
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.landmark_files import LandmarkFileOptions, read_landmarks
from napari_bridgecorr.io.registry import open_image, open_images, readers
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(Path(str(files("napari_bridgecorr"))) / "napari.yaml")


def test_every_pattern_of_a_reader_is_offered(manifest: PluginManifest) -> None:
    (offered,) = [
        r for r in manifest.contributions.readers or () if r.command.endswith("read_images")
    ]
    assert set(offered.filename_patterns) == {p for r in readers() for p in r.patterns}
    assert offered.accepts_directories


def test_every_command_is_there(manifest: PluginManifest) -> None:
    for command in manifest.contributions.commands or ():
        module, _, name = str(command.python_name).partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_pairs_are_saved_for_slicer_and_come_back(tmp_path: Path) -> None:
    at = np.random.default_rng(0).uniform(0, 5000, (5, 3))
    marks = LandmarkSet.from_pairs(at, at + 100)
    layers = [(d, a, k) for d, a, k in landmarks_to_layers(marks)]
    for ending in (".fcsv", ".mrk.json"):
        written = write_landmark_layers(str(tmp_path / f"m{ending}"), _as_saved(layers))
        assert [Path(p).name for p in written] == [f"m_fixed{ending}", f"m_moving{ending}"]
        found = read_landmarks(Path(written[0]), LandmarkFileOptions(moving=Path(written[1])))
        assert np.allclose(found.pairs().moving_um, at + 100)
    (one,) = write_landmark_layers(str(tmp_path / "one.fcsv"), _as_saved(layers[1:]))
    assert Path(one).name == "one.fcsv"


def test_labels_are_saved_with_their_place(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 90, (4, 16, 16)).astype(np.uint16)
    layer = Labels(values, scale=(4, 3, 2), translate=(5, 6, 7), units=("um",) * 3)
    path = str(tmp_path / "cells.nii.gz")
    assert write_image_layers(path, [layer.as_layer_data_tuple()]) == [path]
    image = open_image(path)
    assert np.array_equal(image.data[0, 0].compute(), values)
    assert np.allclose(image.grid.index_to_world, world_matrix(layer), atol=1e-3)
    assert image.is_labels


def test_some_channels_of_an_image_are_saved(tmp_path: Path) -> None:
    layers = image_to_layers(_image(("a", "b", "c")))
    path = str(tmp_path / "two.ome.zarr")
    write_image_layers(path, _as_saved([layers[2], layers[0]]))
    image = open_images(path)[0]
    assert [c.name for c in image.channels] == ["a", "c"]
    assert np.array_equal(image.data[0, 1].compute(), layers[2][0].compute())


def test_of_many_channels_few_are_shown() -> None:
    layers = image_to_layers(_image(tuple(f"c{n}" for n in range(30))))
    assert [arguments.get("visible", True) for _, arguments, _ in layers].count(True) == 4
    metals = tuple(Channel(f"c{n}", metal="Ir191" if n == 20 else f"Cd{n}") for n in range(30))
    shown = [a.get("visible", True) for _, a, _ in image_to_layers(_image(metals))]
    assert [n for n, is_shown in enumerate(shown) if is_shown] == [20]


def test_a_file_of_very_many_layers_opens_the_panel(
    viewer: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from napari_bridgecorr._napari import reader

    monkeypatch.setattr(reader, "_MOST_LAYERS", 3)
    path = tmp_path / "many.ome.zarr"
    write_image(_image(("a", "b", "c", "d")), path)
    assert viewer.open(path, plugin="napari-bridgecorr") in ([], None)
    assert len(viewer.layers) == 0
    panel = reader.show_file_panel(viewer)
    assert panel.is_busy or panel.contents is not None


def _as_saved(layers: list[Any]) -> list[Any]:
    return [Layer.create(*data).as_layer_data_tuple() for data in layers]


def _image(channels: tuple[Any, ...]) -> SpatialImage:
    named = tuple(c if isinstance(c, Channel) else Channel(c) for c in channels)
    values = np.random.default_rng(0).integers(1, 999, (1, len(named), 3, 16, 16))
    return SpatialImage(
        levels=(da.from_array(values.astype(np.uint16), chunks=(1, 1, 3, 16, 16)),),
        grids=(Grid.from_spacing((3, 16, 16), (4.0, 2.0, 2.0)),),
        channels=named,
        source=Source(Path("made"), "memory", image_name="made"),
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "no voxel size along z in the file: 1 um is assumed; state it with --spacing z,y,x",
            "No voxel size along z in the file: 1 um is assumed; type it under Voxel size",
        ),
        (
            "state the true voxel size in um with --spacing 275,275,2.5e+02",
            "State the true voxel size under Voxel size: 275, 275, 2.5e+02 µm",
        ),
    ],
)
def test_the_window_gives_its_own_remedies(said: str, shown: str) -> None:
    assert warning_words(said) == shown


def test_the_window_speaks_no_command_line_of_landmarks() -> None:
    for said in (
        "give the images where one is rotated or does not start at zero "
        "(--fixed-image, --moving-image)",
        "say it: --unit um (or mm, nm, px; in Python unit=)",
        "its points were put at z = 0 (fit them with --dimensions 2)",
        "say which is which: --columns fixed_x=...,fixed_y=...,moving_x=...",
    ):
        assert "--" not in landmark_words(said)
