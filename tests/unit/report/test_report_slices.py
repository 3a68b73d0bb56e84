"""Planes of the report: right values at the right place, and no more than planes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from report_samples import image, truth
from scipy.ndimage import map_coordinates

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.report import ReportContents
from napari_bridgecorr.report.slice_figure import checkerboard, draw_slices, overlay
from napari_bridgecorr.report.slices import (
    MAX_PIXELS,
    contrast_limits,
    cut_planes,
    find_overlap,
    scale_bar_um,
    world_directions,
)
from napari_bridgecorr.transform import Affine


def planes_of(contents):
    overlap = find_overlap(contents.fixed.grid, contents.moving.grid, contents.transform)
    return cut_planes(contents, overlap)


def test_planes_equal_scipy():
    rng = np.random.default_rng(0)
    fixed = rng.random((1, 12, 20, 24)).astype(np.float32)
    moving = rng.random((1, 14, 26, 28)).astype(np.float32)
    contents = ReportContents(
        "t",
        image(fixed, Grid.from_spacing((12, 20, 24), (10, 8, 8)), "f"),
        image(moving, Grid.from_spacing((14, 26, 28), (10, 8, 8), (20, -30, 30)), "m"),
        truth(),
    )
    planes = planes_of(contents)
    assert [p.axis for p in planes] == [0, 1, 2]
    for plane in planes:
        index = np.indices(plane.grid.shape).reshape(3, -1).T
        world = plane.grid.to_world(index)
        at = contents.fixed.grid.to_index(world)
        assert np.all(at[:, plane.axis] == pytest.approx(plane.index, abs=1e-9))
        expected = map_coordinates(fixed[0], at.T, order=1, mode="nearest")
        np.testing.assert_allclose(plane.fixed.ravel(), expected, atol=2e-6)
        at = contents.moving.grid.to_index(contents.transform.map(world))
        inside = np.all((at >= -0.5) & (at <= np.array([13.5, 25.5, 27.5])), axis=1)
        expected = map_coordinates(moving[0], at.T, order=1, mode="nearest")
        assert inside.sum() > 50
        np.testing.assert_allclose(plane.moving.ravel()[inside], expected[inside], atol=2e-6)
        assert np.isnan(plane.moving.ravel()[~inside]).all()


def test_aspect_follows_the_voxel_sizes():
    data = np.random.default_rng(0).random((1, 6, 10, 10)).astype(np.float32)
    one = image(data, Grid.from_spacing((6, 10, 10), (100, 5, 5)), "f")
    for plane in planes_of(ReportContents("t", one, one, Affine.identity())):
        extents = [600.0, 50.0, 50.0]
        del extents[plane.axis]
        assert plane.extent_um == pytest.approx(extents)


def test_the_overlap_is_found_where_it_is_small():
    fixed = Grid.from_spacing((200, 1000, 1000), 10.0)
    moving = Grid.from_spacing((10, 30, 30), 3.0, (800, 7000, 2500))
    found = find_overlap(fixed, moving, Affine.identity())
    assert not found.is_empty
    assert np.all(found.lower <= [80, 700, 250])
    assert np.all(found.upper >= [82.7, 708.7, 258.7])
    assert np.all(found.upper - found.lower < 20)
    centre = np.array(found.centre)
    assert np.all((centre >= [79, 699, 249]) & (centre <= [84, 710, 260]))


def test_no_overlap_is_said():
    fixed = Grid.from_spacing((5, 9, 9), 10.0)
    moving = Grid.from_spacing((5, 9, 9), 10.0, (1e5, 0, 0))
    found = find_overlap(fixed, moving, Affine.identity())
    assert found.is_empty
    assert found.centre == (2, 4, 4)


def test_a_flat_image_has_one_plane():
    data = np.random.default_rng(0).random((1, 1, 30, 40)).astype(np.float32)
    flat = image(data, Grid.from_spacing((1, 30, 40), 2.0), "f")
    contents = ReportContents("t", flat, flat, Affine.identity())
    (plane,) = planes_of(contents)
    assert plane.axis == 0
    np.testing.assert_allclose(plane.moving, data[0, 0])


def test_a_huge_image_is_never_read_whole():
    shape = (1, 1, 1600, 1600, 1600)  # four gigavoxels
    read = []

    def count(block):
        read.append(block.size)
        return block

    level = da.zeros(shape, chunks=(1, 1, 64, 200, 200), dtype=np.uint16)
    level = level.map_blocks(count, dtype=np.uint16, meta=np.empty((0,) * 5, np.uint16))
    huge = image(level, Grid.from_spacing(shape[2:], 1.0), "huge")
    small = image(np.ones((1, 2, 16, 4), np.float32), Grid.from_spacing((2, 16, 4), 100.0), "s")
    for contents in (
        ReportContents("t", huge, small, Affine.identity()),
        ReportContents("t", small, huge, Affine.identity()),
    ):
        tracemalloc.start()
        planes = planes_of(contents)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 400e6
        assert all(max(p.fixed.shape) <= MAX_PIXELS for p in planes)
        assert sum(read) < 0.5 * np.prod(shape)
        read.clear()


def test_the_pyramid_is_used():
    grid = Grid.from_spacing((4, 3200, 3200), 1.0)
    coarse = grid.averaged((1, 8, 8))
    base = da.zeros((1, 1, *grid.shape), chunks=(1, 1, 1, 400, 400), dtype=np.float32)
    top = da.ones((1, 1, *coarse.shape), chunks=(1, 1, 1, 400, 400), dtype=np.float32)
    one = replace(image(base, grid, "f"), levels=(base, top), grids=(grid, coarse))
    planes = planes_of(ReportContents("t", one, one, Affine.identity()))
    assert np.all(planes[0].fixed == 1)
    assert np.all(planes[0].moving == 1)


@pytest.mark.parametrize(
    ("width", "expected"), [(1500, 500), (1499, 200), (60, 20), (0.9, 0.2), (30_000, 10_000)]
)
def test_scale_bar_lengths(width, expected):
    assert scale_bar_um(width) == pytest.approx(expected)


def test_the_drawn_bar_is_as_long_as_it_says(contents):
    planes = planes_of(contents)
    figure = draw_slices(planes, contents.fixed.grid.shape, anatomical=True)
    axes = figure.axes[0]
    (bar, *_) = [line for line in axes.lines if line.get_gid() == "scale-bar"]
    length = np.ptp(bar.get_xdata())
    assert f"{length:g} µm" in [t.get_text() for t in axes.texts]
    (shown,) = axes.images
    left, right, bottom, top = shown.get_extent()
    # data coordinates are um: as many per pixel as the pixel measures
    assert (right - left) / planes[0].fixed.shape[1] == pytest.approx(planes[0].pixel_um[1])
    assert (bottom - top) / planes[0].fixed.shape[0] == pytest.approx(planes[0].pixel_um[0])
    assert axes.get_aspect() == 1


def test_directions():
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 5.0], [-5, 0, 0], [0, 5, 0]]  # columns: iz -> -y, iy -> +x, ix -> +z
    assert world_directions(Grid((3, 3, 3), turned)) == ("-y", "+x", "+z")
    assert world_directions(Grid((3, 3, 3), turned), anatomical=True) == ("-y P", "+x R", "+z S")
    c, s = np.cos(0.6), np.sin(0.6)
    oblique = np.eye(4)
    oblique[:3, :3] = [[1, 0, 0], [0, c, s], [0, -s, c]]
    assert world_directions(Grid((3, 3, 3), oblique)) == ("+z", "~+y", "~+x")


def test_no_data_is_transparent_and_one_image_alone_is_grey():
    fixed = np.array([[0.5, np.nan, 1.0, np.nan]])
    moving = np.array([[0.25, 0.5, np.nan, np.nan]])
    mixed = overlay(fixed, moving)
    assert mixed[0, :, 3].tolist() == [1, 1, 1, 0]
    assert mixed[0, 0, 1] == 0.25
    assert mixed[0, 0, 0] == mixed[0, 0, 2]
    assert np.ptp(mixed[0, 1, :3]) == np.ptp(mixed[0, 2, :3]) == 0
    assert checkerboard(fixed, moving)[0, 3, 3] == 0


def test_contrast_is_robust_and_defined():
    values = np.linspace(0, 1, 1001)
    values[-1] = 1e6
    low, high = contrast_limits(values)
    assert (low, high) == pytest.approx((0.01, 0.995), abs=1e-3)
    assert contrast_limits(np.full(5, np.nan)) == (0, 1)
    low, high = contrast_limits(np.full(5, 3.0))
    assert high > low == 3
