"""The name decides the format; all formats hold the same image."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.errors import WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import check_image_path, write_image


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ome.zarr", "zarr"),
        ("a.zarr", "zarr"),
        ("A.NII.GZ", "nifti"),
        ("a.nii", "nifti"),
        ("a.b.ome.tif", "tiff"),
        ("a.OME.TIFF", "tiff"),
    ],
)
def test_the_ending_names_the_format(name: str, kind: str) -> None:
    assert check_image_path(Path(name)) == kind


@pytest.mark.parametrize("name", ["a", "a.tif", "a.png", ".nii", "a.nii.bz2", ".zarr", "nii.gz"])
def test_other_names_are_refused_before_any_work(name: str) -> None:
    with pytest.raises(WriteError, match=r"\.ome\.zarr"):
        check_image_path(Path(name))


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.nii.gz", "a.nii", "a.ome.tif"])
@pytest.mark.parametrize("channels", [("c",), ("vessels", "tumour")])
def test_every_format_holds_the_same_image(
    tmp_path: Path, name: str, channels: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(1, len(channels), 5, 33, 17)).astype(np.float32)
    data[..., 2, 3, 4] = np.nan
    grid = Grid.from_spacing((5, 33, 17), (3.0, 1.5, 1.25), (10, 20, -30))
    level = da.from_array(data, chunks=(1, 1, 2, 16, 16))
    image = SpatialImage(
        (level,), (grid,), tuple(Channel(c) for c in channels), Source(Path("x"), "x")
    )
    write_image(image, tmp_path / name)
    read = open_image(tmp_path / name)
    np.testing.assert_array_equal(read.data.compute(), data)
    np.testing.assert_allclose(read.grid.index_to_world, grid.index_to_world, rtol=1e-6, atol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == [name]
