"""Working images: the right means from the right level, within a budget."""

from pathlib import Path

import dask.array
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_bridgecorr.errors import RefineError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.refine import working_grid, working_image
from napari_bridgecorr.transform import Affine

SHAPE = (24, 64, 48)


def pyramid(levels: int = 3) -> SpatialImage:
    """Noise and its means of 2 x 2 x 2; the coarser levels are raised by 1000 each to tell them."""
    data = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.float32)
    grid = Grid.from_spacing(SHAPE, (4.0, 2.0, 2.0), (5.0, -3.0, 100.0))
    arrays, grids = [data], [grid]
    for _ in range(levels - 1):
        z, y, x = arrays[-1].shape
        arrays.append(arrays[-1].reshape(z // 2, 2, y // 2, 2, x // 2, 2).mean(axis=(1, 3, 5)))
        grids.append(grids[-1].averaged((2, 2, 2)))
    marked = [a + 1000 * k for k, a in enumerate(arrays)]
    return SpatialImage(
        tuple(dask.array.from_array(a[None, None], chunks=(1, 1, 8, 16, 16)) for a in marked),
        tuple(grids),
        (Channel("c"),),
        Source(Path("noise"), "test"),
    )


@pytest.mark.parametrize(("factor", "level"), [(1, 0), (2, 1), (3, 1), (4, 2), (6, 2)])
def test_the_level_that_is_just_fine_enough_is_taken(factor: int, level: int) -> None:
    image = pyramid()
    grid = working_grid(image.grid, np.array(image.grid.voxel_size_um) * factor)
    found = working_image(image, grid)
    assert found.level == level
    assert np.floor(np.nanmedian(found.array) / 1000) == level


def test_values_are_means_of_what_the_voxel_holds() -> None:
    image = pyramid(1)
    found = working_image(image, image.grid.averaged((2, 4, 4)))
    data: NDArray[np.float32] = image.data[0, 0].compute()
    expected = data.reshape(12, 2, 16, 4, 12, 4).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(found.array, expected, rtol=1e-5)


def test_a_map_leads_to_the_image_and_outside_is_nan() -> None:
    image = pyramid(1)
    shift = Affine.from_parts(np.eye(3), (0.0, 20.0, 0.0))
    found = working_image(image, image.grid, shift)
    data: NDArray[np.float32] = image.data[0, 0].compute()
    np.testing.assert_allclose(found.array[:, :-10], data[:, 10:], rtol=1e-5)
    assert np.isnan(found.array[:, -10:]).all()
    assert not found.valid[:, -10:].any()


def test_a_mask_counts_where_it_fills_half_of_the_voxel() -> None:
    image = pyramid(1)
    marks = np.zeros((1, 1, *SHAPE), np.uint16)
    marks[..., 7:, :, :] = 65535
    mask = SpatialImage(
        (dask.array.from_array(marks),),
        image.grids,
        (Channel("m"),),
        Source(Path("mask"), "test", role="labels"),
    )
    found = working_image(image, image.grid.averaged((4, 4, 4)), mask=mask)
    assert found.mask is not None
    assert not found.mask[:2].any()  # voxel 1 holds slices 4 to 7: a quarter is marked
    assert found.mask[2:].all()
    np.testing.assert_array_equal(found.valid, found.mask)


def test_a_grid_keeps_to_its_budget() -> None:
    grid = Grid.from_spacing((400, 4000, 4000), (3.0, 1.0, 1.0))
    found = working_grid(grid, 2.0, most_voxels=1_000_000)
    assert 500_000 < found.n_voxels <= 1_000_000
    np.testing.assert_allclose(found.corners().min(axis=0), grid.corners().min(axis=0))
    flat = working_grid(Grid.from_spacing((1, 4000, 4000), 1.0), 1.0, most_voxels=10_000)
    assert flat.shape[0] == 1
    assert 5_000 < flat.n_voxels <= 10_000


def test_more_voxels_than_the_budget_are_refused() -> None:
    image = pyramid(1)
    with pytest.raises(RefineError, match="more than the 1000"):
        working_image(image, image.grid, most_voxels=1000)
