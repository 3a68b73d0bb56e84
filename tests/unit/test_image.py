"""Lazy images: agreement of their parts, channels, voxel size given by the user."""

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid, Placement
from napari_bridgecorr.image import (
    DOUBTFUL_SCALE,
    Channel,
    Source,
    SpatialImage,
    missing_scale_warning,
)

SHAPE = (4, 8, 8)


def oblique(spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec((0.3, -0.5, 0.9)).as_matrix() * spacing
    matrix[:3, 3] = origin
    return Grid(SHAPE, matrix)


def image(
    grid: Grid | None = None, names: tuple[str, ...] = ("a", "b"), warnings: tuple[str, ...] = ()
) -> SpatialImage:
    grid = grid or Grid.from_spacing(SHAPE, 1.0)
    half = grid.averaged((2, 2, 2))
    return SpatialImage(
        levels=tuple(da.zeros((1, len(names), *g.shape), chunks=-1) for g in (grid, half)),
        grids=(grid, half),
        channels=tuple(Channel(name) for name in names),
        source=Source(Path("/data/slide.czi"), "CZI"),
        warnings=warnings,
    )


def test_channel_by_name_or_number() -> None:
    three = image(names=("DAPI", "GFP", "0"))
    assert three.channel_index("GFP") == 1
    assert three.channel_index(2) == 2
    assert three.channel_index("1") == 1
    assert three.channel_index("0") == 2  # a name goes before a number


@pytest.mark.parametrize("channel", [-1, 2, "-1", "2", "", "Dapi", "1.0"])
def test_no_such_channel(channel: str | int) -> None:
    with pytest.raises(GeometryError, match=r"slide.czi has no channel .*0 \(DAPI\), 1 \(GFP\)"):
        image(names=("DAPI", "GFP")).channel_index(channel)


def test_a_name_of_two_channels_is_refused() -> None:
    twins = image(names=("x", "x"))
    with pytest.raises(GeometryError, match="2 channels are named 'x'"):
        twins.channel_index("x")
    assert twins.channel_index("1") == 1


def test_properties() -> None:
    one = image()
    assert one.grid is one.grids[0]
    assert one.data is one.levels[0]
    assert one.dtype == np.float64
    assert one.n_times == 1
    assert one.name == "slide.czi"
    assert replace(one, source=replace(one.source, image_name="brain")).name == "brain"
    with pytest.raises(TypeError):
        one.metadata["x"] = 1  # type: ignore[index]


@given(
    st.tuples(*[st.floats(0.01, 100)] * 3),
    st.tuples(*[st.floats(0.01, 100)] * 3),
    st.tuples(*[st.floats(-1000, 1000)] * 3),
)
def test_voxel_size_given_by_the_user(
    before: tuple[float, float, float],
    after: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> None:
    start = image(oblique(before, origin))
    result = start.with_voxel_size(after)
    np.testing.assert_allclose(result.grids[0].voxel_size_um, after, rtol=1e-9)
    np.testing.assert_allclose(result.grids[1].voxel_size_um, 2 * np.array(after), rtol=1e-9)
    for old, new in zip(start.grids, result.grids, strict=True):
        assert new.shape == old.shape
        np.testing.assert_allclose(
            new.index_to_world[:3, :3] / new.voxel_size_um,
            old.index_to_world[:3, :3] / old.voxel_size_um,
            rtol=0,
            atol=1e-9,
        )
        # the world's origin lies at the same voxel
        np.testing.assert_allclose(
            new.to_index([[0, 0, 0]]), old.to_index([[0, 0, 0]]), rtol=1e-9, atol=1e-7
        )
    # and the levels still lie upon one another
    expected = result.grids[0].averaged((2, 2, 2))
    np.testing.assert_allclose(
        result.grids[1].index_to_world, expected.index_to_world, rtol=1e-9, atol=1e-7
    )


def test_answering_the_missing_scale_removes_its_warning_only() -> None:
    asked = image(warnings=(missing_scale_warning("yx"), "the last slice is cut short"))
    asked = replace(asked, voxel_size_known=(True, False, False))
    answered = asked.with_voxel_size((3.0, 2.0, 1.0))
    assert answered.warnings == ("the last slice is cut short",)
    assert answered.voxel_size_known == (True, True, True)
    assert asked.warnings[0] == (
        "no voxel size along y, x in the file: 1 um is assumed; state it with --spacing z,y,x"
    )
    assert answered.levels is asked.levels


@pytest.mark.parametrize("spacing", [(0, 1, 1), (-1, 1, 1), (np.nan, 1, 1), (1, np.inf, 1)])
def test_impossible_voxel_sizes(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(GeometryError, match="three positive lengths"):
        image().with_voxel_size(spacing)


def test_parts_must_agree() -> None:
    one = image()
    with pytest.raises(GeometryError, match="one grid per level"):
        replace(one, grids=one.grids[:1])
    with pytest.raises(GeometryError, match="at least one level"):
        replace(one, levels=(), grids=())
    with pytest.raises(GeometryError, match="does not fit its grid"):
        replace(one, grids=(one.grids[1], one.grids[0]))
    with pytest.raises(GeometryError):
        replace(one, levels=(one.data[0], one.levels[1]))
    with pytest.raises(GeometryError, match="2 channels in the data, 1 described"):
        replace(one, channels=one.channels[:1])
    with pytest.raises(GeometryError, match="same times and channels"):
        replace(one, levels=(one.levels[0], one.levels[1][:, :1]))


@given(
    st.tuples(*[st.floats(0.01, 100)] * 3),
    st.tuples(st.permutations("zyx"), st.tuples(*[st.sampled_from(("", "-"))] * 3)),
    st.tuples(*[st.floats(-1000, 1000)] * 3),
)
def test_answers_in_any_order_give_the_same_place(
    spacing: tuple[float, float, float],
    drawn: tuple[list[str], tuple[str, str, str]],
    origin: tuple[float, float, float],
) -> None:
    z, y, x = (sign + axis for axis, sign in zip(*drawn, strict=True))
    start = image(oblique((3.0, 2.0, 1.0), origin))
    whole = start.placed(Placement(spacing, (z, y, x)))
    assert whole.placement == Placement(spacing, (z, y, x))
    np.testing.assert_allclose(whole.grid.voxel_size_um, spacing, rtol=1e-9)
    # turned about its own centre
    np.testing.assert_allclose(
        whole.grid.centre_um, start.with_voxel_size(spacing).grid.centre_um, atol=1e-6
    )
    for parts in (
        (Placement(spacing), Placement(orientation=(z, y, x))),
        (Placement(orientation=(z, y, x)), Placement(spacing)),
        (Placement((9.0, 9.0, 9.0), ("x", "y", "z")), Placement(spacing, (z, y, x))),
    ):
        result = start
        for part in parts:
            result = result.placed(part)
        assert result.placement == whole.placement
        for grid, expected in zip(result.grids, whole.grids, strict=True):
            np.testing.assert_allclose(
                grid.index_to_world, expected.index_to_world, rtol=1e-9, atol=1e-6
            )


def test_no_answer_changes_nothing() -> None:
    start = image(oblique((3.0, 2.0, 1.0), (5.0, 6.0, 7.0)), warnings=("w",))
    same = start.placed(Placement())
    assert same.grids == start.grids
    assert same.warnings == ("w",)
    assert same.placement.is_empty


def test_an_answered_spacing_ends_the_doubt_too() -> None:
    doubtful = image(warnings=(f"{DOUBTFUL_SCALE}: 1 m", missing_scale_warning("z"), "other"))
    assert doubtful.placed(Placement((1, 1, 1))).warnings == ("other",)
    assert len(doubtful.placed(Placement(orientation=("z", "-y", "x"))).warnings) == 3
