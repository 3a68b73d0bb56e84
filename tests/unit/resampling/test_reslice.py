"""Reslicing against analytic images, and slices grouped to slabs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from resampling_samples import (
    centres,
    image_of,
    moving_index,
    oblique_grid,
    on_a_face,
    scipy_at,
    smooth_noise,
)

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid, Plane, resliced_grid
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.resampling import group_slices, resample, reslice, reslice_slabs
from napari_bridgecorr.transform import Affine

TILT = Plane.through_points([(40, 10, 10), (52, 10, 70), (33, 70, 20), (45, 70, 80)]).turned(25)


def ramp(points: np.ndarray) -> np.ndarray:
    return np.asarray(3 * points[:, 0] - 2 * points[:, 1] + 0.5 * points[:, 2] + 700)


def ramp_image(slope: float = 1.0) -> SpatialImage:
    grid = oblique_grid((30, 45, 50), (3.0, 2.0, 1.8), (4, -7, 12), (44, 40, 45))
    values = ramp(centres(grid)).reshape(grid.shape)
    return image_of(np.stack([slope * values, -values]), grid, names=["a", "b"])


def test_a_linear_image_is_what_it_was_at_every_resliced_voxel() -> None:
    image = ramp_image()
    found = reslice(image, TILT)
    data = found.data[0].compute()
    index = moving_index(centres(found.grid), image.grid)
    last = np.asarray(image.grid.shape)[:, None] - 1
    inner = np.all((index >= 0) & (index <= last), axis=0)
    outside = np.any((index < -0.5 - 1e-6) | (index > last + 0.5 + 1e-6), axis=0)
    expected = ramp(centres(found.grid))
    assert inner.mean() > 0.2
    assert outside.any()
    for values, sign in zip(data, (1, -1), strict=True):
        np.testing.assert_allclose(values.ravel()[inner], sign * expected[inner], rtol=1e-9)
        assert np.isnan(values.ravel()[outside]).all()
    assert [c.name for c in found.channels] == ["a", "b"]
    assert Plane.from_dict(found.metadata["plane"]) == TILT


def test_it_is_one_interpolation() -> None:
    data = smooth_noise((30, 40, 44), 1.2)
    image = image_of(data, Grid.from_spacing(data.shape, (2.5, 2, 2)))
    found = reslice(image, TILT, spacing_um=1.7)
    index = moving_index(centres(found.grid), image.grid)
    sure = ~on_a_face(index, data.shape)
    expected = scipy_at(data, index)
    np.testing.assert_allclose(found.data[0, 0].compute().ravel()[sure], expected[sure], rtol=1e-9)


def test_points_keep_their_world_coordinates() -> None:
    """A bright spot is found where it was, in every time and channel."""
    grid = Grid.from_spacing((40, 40, 40), (3, 2, 2), (10, -20, 30))
    spots = np.array([[60.0, 15.0, 60.0], [80.0, 30.0, 85.0]])
    r = np.linalg.norm(centres(grid)[None] - spots[:, None], axis=2)
    blobs = np.exp(-(r**2) / (2 * 6.0**2)).reshape(2, *grid.shape)
    image = image_of(np.stack([blobs, 2 * blobs[::-1]]), grid)
    found = reslice(image, TILT).data.compute()
    grid = reslice(image, TILT).grid
    places = centres(grid)
    for t, c, spot, scale in [(0, 0, 0, 1), (0, 1, 1, 1), (1, 0, 1, 2), (1, 1, 0, 2)]:
        weight = np.nan_to_num(found[t, c].ravel())
        centre = (weight[:, None] * places).sum(axis=0) / weight.sum()
        np.testing.assert_allclose(centre, spots[spot], atol=0.05)
        # interpolating twice would blur and dim it further
        assert np.nanmax(found[t, c]) == pytest.approx(scale, rel=0.1)


def test_there_and_back() -> None:
    """Back on the image's own grid a smooth image is what it was; the map is the identity."""
    z, y, x = np.indices((40, 60, 60))
    data = 100 * np.sin(z / 9) * np.cos(y / 11) + 50 * np.sin(x / 10)
    image = image_of(data, Grid.from_spacing(data.shape, 1.5))
    there = reslice(image, TILT, spacing_um=1.0)
    back = resample(there, Affine.identity(), image.grid).data[0, 0].compute()
    inner = (slice(4, -4),) * 3
    assert np.abs(back[inner] - data[inner]).max() < 1.5  # of 300, by two linear interpolations


def test_an_image_along_the_plane_is_copied() -> None:
    data = np.random.default_rng(0).integers(0, 65_536, (12, 20, 22)).astype(np.uint16)
    image = image_of(data, Grid.from_spacing(data.shape, (3, 0.6, 0.6), (100, 5, 6)))
    plane = Plane.from_normal((100 + 3 * 4, 0, 0), (1, 0, 0))
    np.testing.assert_array_equal(reslice(image, plane).data[0, 0].compute(), data)
    one = reslice(image, plane, depth_range_um=(0, 0))
    np.testing.assert_array_equal(one.data[0, 0, 0].compute(), data[4])
    flipped = reslice(image, plane.flipped()).data[0, 0].compute()
    np.testing.assert_array_equal(flipped, data[::-1, :, ::-1])


def test_labels_keep_their_numbers() -> None:
    labels = np.random.default_rng(0).choice([0, 3, 40_000], (12, 20, 22)).astype(np.uint16)
    image = image_of(labels, Grid.from_spacing(labels.shape, 4.0))
    image = replace(image, source=replace(image.source, role="labels"))
    found = reslice(image, TILT).data.compute()
    assert set(np.unique(found[np.isfinite(found)])) == {0, 3, 40_000}
    with pytest.raises(GeometryError, match="no mean"):
        group_slices(image, 20)


def test_a_plane_clicked_on_a_surface_is_found() -> None:
    """Points of a tilted surface give its plane to 1e-9, and every slice there is its depth."""
    grid = Grid.from_spacing((40, 60, 60), (3, 2, 2))
    truth = Plane.from_normal(grid.centre_um, (1, 0.12, -0.08))
    rng = np.random.default_rng(3)
    clicked = truth.points(np.column_stack([np.zeros(6), rng.uniform(-50, 50, (6, 2))]))
    found = Plane.through_points(clicked)
    assert np.linalg.norm(np.cross(found.normal, truth.normal)) < 1e-9
    assert abs(found.place(truth.origin_um[None])[0, 0]) < 1e-9
    depth = truth.place(centres(grid))[:, 0].reshape(grid.shape)
    flat = reslice(image_of(depth, grid), found)
    expected = found.place(centres(flat.grid))[:, 0].reshape(flat.grid.shape)
    index = moving_index(centres(flat.grid), grid)
    last = np.asarray(grid.shape)[:, None] - 1
    inner = np.all((index >= 0) & (index <= last), axis=0).reshape(flat.grid.shape)
    assert inner.mean() > 0.4
    data = flat.data[0, 0].compute()
    np.testing.assert_allclose(data[inner], expected[inner], atol=1e-9)


def slabs_by_hand(data: np.ndarray, step: float, slab: float) -> np.ndarray:
    """Means of slices over slabs, each of what there is of it, by adding intervals."""
    n = len(data)
    found = []
    for k in range(int(np.ceil(n * step / slab - 1e-9))):
        low, high = k * slab, (k + 1) * slab
        share = np.array([min(high, (j + 1) * step) - max(low, j * step) for j in range(n)])
        share = np.maximum(share, 0)
        found.append(np.tensordot(share, data, 1) / share.sum())
    return np.array(found)


@pytest.mark.parametrize(("n", "slab"), [(33, 100.0), (34, 100.0), (150, 100.0), (150, 33.0)])
def test_slices_are_grouped_exactly(n: int, slab: float) -> None:
    data = np.random.default_rng(0).uniform(0, 1000, (2, 2, n, 5, 6)).astype(np.float32)
    image = image_of(data, Grid.from_spacing((n, 5, 6), (3, 1, 1), (17, 0, 0)), (1, 1, 7, 5, 6))
    found = group_slices(image, slab, with_coverage=True)
    values = found.data.compute()
    for t in range(2):
        for c in range(2):
            expected = slabs_by_hand(data[t, c].astype(np.float64), 3.0, slab)
            np.testing.assert_allclose(values[t, c], expected, rtol=1e-6)
    shares = np.minimum(np.maximum(n * 3.0 - slab * np.arange(values.shape[2]), 0) / slab, 1)
    expected = np.broadcast_to(shares[:, None, None], values.shape[2:])
    np.testing.assert_allclose(values[:, 2:], np.broadcast_to(expected, (2, 2, *expected.shape)))
    assert [c.name for c in found.channels] == ["C0", "C1", "C0_coverage", "C1_coverage"]


def test_the_last_slab_is_not_diluted() -> None:
    data = np.full((34, 3, 3), 500.0)
    image = image_of(data, Grid.from_spacing(data.shape, (3, 1, 1)))
    found = group_slices(image, 100, with_coverage=True).data[0].compute()
    np.testing.assert_allclose(found[0], 500, rtol=1e-12)
    np.testing.assert_allclose(found[1, :, 0, 0], [1, 0.02], atol=1e-9)
    kept = group_slices(image, 100, least_coverage=0.5).data[0, 0].compute()
    assert np.isfinite(kept[0]).all()
    assert np.isnan(kept[1]).all()


def test_a_binary_mask_becomes_its_fraction() -> None:
    mask = np.random.default_rng(0).random((100, 4, 4)) < 0.3
    image = image_of(mask, Grid.from_spacing(mask.shape, (3, 1, 1)))
    found = group_slices(image, 100).data[0, 0].compute()
    np.testing.assert_allclose(found, slabs_by_hand(mask.astype(float), 3, 100), atol=1e-6)


@pytest.mark.parametrize("spacing", [(2.5, 2.0, 2.0), None])
def test_slabs_of_a_resliced_ramp_are_its_value_at_their_middle(spacing: object) -> None:
    """Exactly where slices divide a slab; else a slice cut by an edge counts with its centre."""
    image = ramp_image()
    found = reslice_slabs(image, TILT, 20.0, spacing_um=spacing, with_coverage=True)  # type: ignore[arg-type]
    assert found.grid.voxel_size_um[0] == pytest.approx(20)
    edge = TILT.place(found.grid.to_world((-0.5, 0, 0)))[0, 0] / 20
    assert edge == pytest.approx(round(edge), abs=1e-9)  # the plane is a boundary
    values = found.data[0].compute()
    index = moving_index(centres(found.grid), image.grid)
    last = np.asarray(image.grid.shape)[:, None] - 1
    margin = 20 / np.asarray(image.grid.voxel_size_um)[:, None]
    inner = np.all((index >= margin) & (index <= last - margin), axis=0)
    assert inner.sum() > 200
    expected = ramp(centres(found.grid))[inner]
    step = resliced_grid(image.grid, TILT).voxel_size_um[0]
    slope = abs(TILT.normal @ (3, -2, 0.5))
    bound = 1e-6 if spacing else slope * step**2 / (4 * 20)
    np.testing.assert_allclose(values[0].ravel()[inner], expected, rtol=0, atol=bound)
    np.testing.assert_allclose(values[1].ravel()[inner], -expected, rtol=0, atol=bound)
    np.testing.assert_array_equal(values[2].ravel()[inner], 1)


def test_slabs_of_slices_are_those_of_the_resliced_image() -> None:
    data = smooth_noise((30, 30, 28), 1.0).astype(np.float32)
    image = image_of(data, Grid.from_spacing(data.shape, (3, 2, 2)))
    at_once = reslice_slabs(image, TILT, 17.0, with_coverage=True)
    slices = reslice(image, TILT)
    later = group_slices(slices, 17.0, edge_um=TILT.origin_um, with_coverage=True)
    assert later.grid == at_once.grid
    np.testing.assert_array_equal(later.data.compute(), at_once.data.compute())


def test_wrong_shares_are_refused() -> None:
    image = image_of(np.zeros((9, 3, 3)))
    with pytest.raises(GeometryError, match="between 0 and 1"):
        group_slices(image, 3, least_coverage=1.5)
    with pytest.raises(GeometryError, match="thinner"):
        group_slices(image, 0.5)
