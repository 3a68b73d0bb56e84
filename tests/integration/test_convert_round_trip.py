"""Every file that can be read is written as OME-Zarr and read back the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.registry import open_image, open_images
from napari_bridgecorr.workflow.images import convert, convert_all

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
_ROOT = Path(os.environ.get("BRIDGECORR_REAL_DATA", _BESIDE))
# larger images make the same point more slowly
_MOST_VOXELS = 6_000_000
_MOST_BYTES = 16 * 2**20
_FOLDERS = ("czi", "mcd", "mouse_mri", "nifti", "ome_zarr", "two_photon_brain", "beads")


def _real_files() -> Iterator[Path]:
    """Files, and folders that are one image; of many that are alike the first few."""
    for name in _FOLDERS:
        folder = _ROOT / name
        inside = sorted(folder.rglob("*")) if folder.is_dir() else []
        if name == "ome_zarr":
            yield from sorted({p.parent for p in inside if _is_root(p)})
            continue
        of_an_ending: dict[str, int] = {}
        for path in inside:
            if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                ending = "".join(path.suffixes[-2:]).lower()
                of_an_ending[ending] = of_an_ending.get(ending, 0) + 1
                if of_an_ending[ending] <= 6:
                    yield path


def _is_root(path: Path) -> bool:
    return path.name in ("zarr.json", ".zattrs") and '"multiscales"' in path.read_text()


def same(back: SpatialImage, image: SpatialImage) -> None:
    assert back.dtype == image.dtype
    assert back.data.shape == image.data.shape
    assert np.array_equal(
        back.data.compute(scheduler="threads"),
        image.data.compute(scheduler="threads"),
        equal_nan=image.dtype.kind == "f",
    )
    np.testing.assert_allclose(
        back.grid.index_to_world, image.grid.index_to_world, rtol=0, atol=1e-9
    )
    assert back.voxel_size_known == image.voxel_size_known
    assert back.channels == image.channels
    assert back.source.role == image.source.role
    assert back.source.axes == image.source.axes
    assert back.time_step_s == image.time_step_s or np.isclose(
        back.time_step_s, image.time_step_s, rtol=1e-12
    )


@pytest.mark.parametrize("path", list(_real_files()), ids=lambda p: str(p.relative_to(_ROOT)))
def test_a_real_file_comes_back(tmp_path: Path, path: Path) -> None:
    try:
        images = open_images(path)
    except ReadError as error:
        pytest.skip(f"not an image: {error.fault}"[:120])
    small = [image for image in images if image.data.size <= _MOST_VOXELS][:6]
    if not small:
        pytest.skip("too large for a test")
    convert(small[0], tmp_path / "one.ome.zarr")
    same(open_image(tmp_path / "one.ome.zarr"), small[0])
    convert_all(small, tmp_path / "all.ome.zarr")
    back = open_images(tmp_path / "all.ome.zarr")
    # images first, as everywhere
    ordered = sorted(small, key=lambda image: image.source.role != "image")
    for n, (one, image) in enumerate(zip(back, ordered, strict=True)):
        same(one, image)
        assert one.source.image_index == n
        if image.source.image_name:
            assert one.name == image.name
