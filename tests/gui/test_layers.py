"""Files to layers: place, units, names, colours, contrast, laziness; and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage

pytest.importorskip("napari")

from napari.layers import Image, Labels, Points

from napari_bridgecorr._napari.frames import METADATA_KEY, world_matrix
from napari_bridgecorr._napari.layers import image_of_layer, image_to_layers, show_upright
from napari_bridgecorr.io.writers import write_image

OBLIQUE = np.array(
    [[-40.0, 3.0, 2.0, 4000.0], [4.0, -30.0, 1.0, -1200.0], [1.0, 2.0, 25.0, 900.0], [0, 0, 0, 1]]
)


def make_image(
    shape: tuple[int, ...] = (1, 2, 6, 40, 50),
    matrix: np.ndarray | None = None,
    colours: tuple[str | None, ...] = ("#FF2A6D", "#2AF5A0"),
    **more: Any,
) -> SpatialImage:
    values = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    grid = Grid.from_spacing(shape[2:], (5.0, 0.5, 0.25), (10.0, 20.0, 30.0))
    if matrix is not None:
        grid = Grid(shape[2:], matrix)
    axes = "".join(a for a, n in zip("tc", shape, strict=False) if n > 1) + "zyx"
    return SpatialImage(
        levels=(da.from_array(values, chunks=(1, 1, 3, 20, 25)),),
        grids=(grid,),
        channels=tuple(Channel(f"ch {i}", colours[i]) for i in range(shape[1])),
        source=Source(Path("stack"), "memory", image_name="stack", axes=axes),
        **more,
    )


def layers_of(image: SpatialImage, **options: Any) -> list[Any]:
    from napari.layers import Layer

    return [Layer.create(*data) for data in image_to_layers(image, **options)]


def test_aligned_image_has_scale_and_translate() -> None:
    first, second = layers_of(make_image())
    for layer in (first, second):
        assert layer.scale.tolist() == [5.0, 0.5, 0.25]
        assert layer.translate.tolist() == [10.0, 20.0, 30.0]
        assert [str(u) for u in layer.units] == ["micrometer"] * 3
        assert layer.axis_labels == ("z", "y", "x")
        assert layer.blending == "additive"
    assert [first.name, second.name] == ["stack ch 0", "stack ch 1"]
    assert np.allclose(first.colormap.colors[-1], [1, 42 / 255, 109 / 255, 1])


def test_oblique_image_has_the_whole_affine() -> None:
    layer = layers_of(make_image(matrix=OBLIQUE))[0]
    assert np.array_equal(layer.affine.affine_matrix, OBLIQUE)
    assert np.array_equal(world_matrix(layer), OBLIQUE)
    corner = layer.data_to_world((5, 39, 49))
    assert np.allclose(corner, (OBLIQUE @ [5, 39, 49, 1])[:3])


@pytest.mark.parametrize("matrix", [None, OBLIQUE])
@pytest.mark.parametrize("upright", [False, True])
def test_image_comes_back_from_its_layer(matrix: np.ndarray | None, upright: bool) -> None:
    image = make_image(matrix=matrix)
    for layer in layers_of(image, upright=upright):
        assert image_of_layer(layer) is image


def test_upright_keeps_the_place_and_removes_the_tilt() -> None:
    image = make_image(matrix=OBLIQUE)
    layer = layers_of(image)[0]
    show_upright(layer, True)
    assert np.allclose(layer.scale, image.grid.voxel_size_um)
    assert np.array_equal(layer.affine.affine_matrix, np.eye(4))
    assert np.allclose(world_matrix(layer), OBLIQUE, rtol=1e-12)
    assert image_of_layer(layer) is image
    show_upright(layer, False)
    assert np.array_equal(layer.affine.affine_matrix, OBLIQUE)


def test_a_layer_scaled_by_hand_gives_the_image_at_its_new_place() -> None:
    image = make_image()
    layer = layers_of(image)[0]
    layer.scale = (10.0, 1.0, 0.5)
    assert np.allclose(image_of_layer(layer).grid.voxel_size_um, (10.0, 1.0, 0.5))
    assert np.allclose(image_of_layer(layer).grid.index_to_world[:3, 3], (10.0, 20.0, 30.0))


def test_times_come_first_with_their_own_unit() -> None:
    image = make_image((3, 1, 4, 20, 20), colours=("#FFFFFF",), time_step_s=2.5)
    (layer,) = layers_of(image)
    assert layer.data.shape == (3, 4, 20, 20)
    assert layer.axis_labels == ("t", "z", "y", "x")
    assert [str(u) for u in layer.units] == ["second", *["micrometer"] * 3]
    assert layer.scale.tolist() == [2.5, 5.0, 0.5, 0.25]
    assert layer.colormap.name == "gray"
    assert image_of_layer(layer) is image


def test_labels_become_a_labels_layer() -> None:
    image = make_image((1, 1, 4, 20, 20), colours=(None,), metadata={"is_label": True})
    (layer,) = layers_of(image)
    assert isinstance(layer, Labels)


def test_contrast_reads_only_a_little_of_a_big_image() -> None:
    blocks = []

    def read(block_info: Any = None) -> np.ndarray:
        where = block_info[None]
        blocks.append(where["chunk-location"])
        return np.random.default_rng(0).integers(100, 200, where["chunk-shape"]).astype(np.uint16)

    shape = (1, 1, 64, 4096, 4096)
    chunks = da.core.normalize_chunks((1, 1, 1, 1024, 1024), shape)
    level = da.map_blocks(read, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 5, np.uint16))
    image = SpatialImage(
        (level,),
        (Grid.from_spacing(shape[2:], 1.0),),
        (Channel("C0"),),
        Source(Path("big"), "memory", image_name="big"),
    )
    (layer,) = layers_of(image)
    assert 100 <= layer.contrast_limits[0] < layer.contrast_limits[1] <= 200
    # three planes' middle for the contrast, one plane for napari's first slice; 1024 blocks in all
    assert len(set(blocks)) <= 12 + 16
    assert isinstance(layer.data, da.Array)


def test_foreign_layer_with_affine_and_units() -> None:
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE[:3, :3] / 1000
    affine[:3, 3] = OBLIQUE[:3, 3] / 1000
    layer = Image(np.zeros((4, 5, 6)), affine=affine, units=("mm",) * 3, name="other")
    image = image_of_layer(layer)
    assert np.allclose(image.grid.index_to_world, OBLIQUE, rtol=1e-12)
    assert image.data.shape == (1, 1, 4, 5, 6)
    assert not image.warnings


def test_foreign_flat_rgb_and_multiscale_layers() -> None:
    rgb = Image(np.zeros((8, 9, 3), np.uint8), rgb=True, scale=(2, 2), units=("um", "um"))
    image = image_of_layer(rgb)
    assert image.data.shape == (1, 3, 1, 8, 9)
    assert image.grid.voxel_size_um == (1.0, 2.0, 2.0)
    pyramid = Image([np.zeros((4, 16, 16)), np.zeros((4, 8, 8))], multiscale=True, name="p")
    image = image_of_layer(pyramid)
    assert image.grids[1].voxel_size_um == (1.0, 2.0, 2.0)
    assert np.allclose(image.grids[1].index_to_world[:3, 3], (0, 0.5, 0.5))
    assert image.warnings  # it states no unit


def test_files_open_in_a_window_and_are_saved_by_it(
    viewer: Any, phantom_files: Any, tmp_path: Path
) -> None:
    """One window for what would each need its own."""
    for ending in (".ome.zarr", ".nii.gz", ".ome.tif"):
        every_format_opens_in_its_place(viewer, tmp_path, ending)
        viewer.layers.clear()
    czi_opens_with_channels_and_scale(viewer, phantom_files)
    viewer.layers.clear()
    folder_of_planes_opens(viewer, tmp_path)
    viewer.layers.clear()
    a_damaged_file_gives_one_line(viewer, tmp_path)
    images_are_saved_by_the_viewer(viewer, tmp_path)
    viewer.layers.clear()
    sample_opens_from_the_menu(viewer)


def every_format_opens_in_its_place(viewer: Any, tmp_path: Path, ending: str) -> None:
    # OME-TIFF has no affine, and the place of a stack is all it can tell
    image = make_image(matrix=None if ending == ".ome.tif" else OBLIQUE)
    path = tmp_path / f"stack{ending}"
    write_image(image, path)
    opened = viewer.open(path, plugin="napari-bridgecorr")
    assert len(opened) == 2
    for number, layer in enumerate(opened):
        assert isinstance(layer, Image)
        tolerance = 1e-3 if ending == ".nii.gz" else 1e-9  # NIfTI's sform is float32
        assert np.allclose(
            world_matrix(layer), image.grid.index_to_world, rtol=1e-6, atol=tolerance
        )
        assert [str(u) for u in layer.units] == ["micrometer"] * 3
        assert layer.axis_labels == ("z", "y", "x")
        level = layer.data[0] if layer.multiscale else layer.data
        assert isinstance(level, da.Array)
        assert np.array_equal(level.compute(), image.data[0, number].compute())
    if ending != ".nii.gz":
        assert opened[0].name.endswith("ch 0")
        assert np.allclose(opened[1].colormap.colors[-1][:3], [42 / 255, 245 / 255, 160 / 255])


def czi_opens_with_channels_and_scale(viewer: Any, phantom_files: Any) -> None:
    opened = viewer.open(phantom_files.files["two_photon"], plugin="napari-bridgecorr")
    assert [layer.name.rsplit(" ", 1)[1] for layer in opened] == ["vessels", "tumour"]
    assert np.allclose(opened[0].scale, (12.0, 10.0, 10.0))
    assert np.allclose(opened[0].colormap.colors[-1][:3], [1, 42 / 255, 1], atol=1e-3)


def folder_of_planes_opens(viewer: Any, tmp_path: Path) -> None:
    import tifffile

    folder = tmp_path / "planes"
    folder.mkdir()
    for z in range(5):
        tifffile.imwrite(folder / f"plane_{z}.tif", np.full((16, 16), z, np.uint16))
    (layer,) = viewer.open(folder, plugin="napari-bridgecorr")
    assert np.asarray(layer.data)[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "name", ["a.nii", "a.nii.gz", "a.CZI", "a.ome.tif", "a.tiff", "a.csv", "", "a.ome.zarr"]
)
def test_dropping_offers_our_reader(tmp_path: Path, name: str) -> None:
    from npe2 import PluginManager

    path = tmp_path / name if name else tmp_path
    if name.endswith(".zarr"):
        path.mkdir()
    plugins = PluginManager.instance()
    plugins.discover()
    offered = plugins.iter_compatible_readers([str(path)])
    assert "napari-bridgecorr" in {reader.plugin_name for reader in offered}


def a_damaged_file_gives_one_line(viewer: Any, tmp_path: Path) -> None:
    from napari_bridgecorr.errors import ReadError

    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"\x1f\x8b" + bytes(40))
    with pytest.raises(ReadError, match=r"broken\.nii\.gz"):
        viewer.open(broken, plugin="napari-bridgecorr")
    assert len(viewer.layers) == 0


def images_are_saved_by_the_viewer(viewer: Any, tmp_path: Path) -> None:
    image = make_image(matrix=OBLIQUE)
    for data in image_to_layers(image, upright=True):
        viewer.add_layer(_created(data))
    viewer.layers.select_all()
    path = tmp_path / "saved.ome.zarr"
    viewer.layers.save(str(path), selected=True, plugin="napari-bridgecorr")
    viewer.layers.clear()
    opened = viewer.open(path, plugin="napari-bridgecorr")
    assert np.allclose(world_matrix(opened[0]), OBLIQUE)
    assert len(opened) == 2


def sample_opens_from_the_menu(viewer: Any) -> None:
    opened = viewer.open_sample("napari-bridgecorr", "phantom")
    assert [type(layer) for layer in opened] == [Image, Image, Image, Points, Points]
    assert len(opened[3].data) == len(opened[4].data) == 16
    assert all(str(u) == "micrometer" for layer in opened for u in layer.units)
    # oblique in the scanner, upright on the screen
    assert np.array_equal(opened[0].affine.affine_matrix, np.eye(4))
    assert opened[0].metadata[METADATA_KEY].image.grid.index_to_world[0, 0] < 0


def _created(data: Any) -> Any:
    from napari.layers import Layer

    return Layer.create(*data)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:napari")  # its thumbnail of nothing
def test_an_empty_layer_is_told_in_words() -> None:
    layer = Image(np.zeros((0, 5, 5)), name="nothing", contrast_limits=(0, 1))
    with pytest.raises(GeometryError, match="nothing is empty"):
        image_of_layer(layer)
