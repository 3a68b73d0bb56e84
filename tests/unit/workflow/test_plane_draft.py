"""A plane in the making, step by step and back; and its picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.resampling import resample
from napari_bridgecorr.resampling.plane_picture import picture_grid, plane_picture
from napari_bridgecorr.transform import Affine
from napari_bridgecorr.workflow.plane_draft import (
    PlaneDraft,
    PlaneHistory,
    misfit_words,
    shifted_by,
    swung,
    with_lines,
    with_points,
)

POINTS = ((20.0, 5.0, 5.0), (24.0, 40.0, 8.0), (17.0, 9.0, 44.0), (21.0, 43.0, 47.0))
LINES = (((20.0, 0.0, 24.0), (22.0, 0.0, 30.0)), ((20.0, 5.0, 24.0), (20.0, 40.0, 24.0)))


def test_changes_are_those_of_the_plane_in_their_order() -> None:
    draft = PlaneDraft(points_um=POINTS)
    assert draft.plane() == Plane.through_points(POINTS)
    assert not draft.is_changed
    changed = replace(
        draft, tilt_degrees=(2.0, -3.0), shift_um=-5.0, turn_degrees=30.0, is_flipped=True
    )
    expected = Plane.through_points(POINTS).tilted(2, -3).shifted(-5).turned(30).flipped()
    assert changed.plane() == expected
    assert changed.as_found() == draft
    assert PlaneDraft.from_dict(changed.to_dict()) == changed
    lines = PlaneDraft("lines", POINTS, (LINES[0], LINES[0], LINES[1]))
    assert lines.plane() == Plane.through_lines(*LINES)
    assert PlaneDraft.from_dict(lines.to_dict()) == lines
    found = replace(lines, way="found", found=Plane.from_normal((1, 2, 3), (1, 1, 0)))
    assert found.plane() == found.found
    assert PlaneDraft.from_dict(found.to_dict()) == found
    with pytest.raises(GeometryError, match="damaged"):
        PlaneDraft.from_dict({**draft.to_dict(), "points_um": [[1, 2]]})


def test_what_lacks_and_how_well_it_fits() -> None:
    assert PlaneDraft().lacking == "3 more points"
    assert PlaneDraft(points_um=POINTS[:2]).lacking == "1 more point"
    assert PlaneDraft("lines", lines_um=LINES[:1]).lacking == "1 more line"
    assert PlaneDraft("found").lacking == "the search"
    assert PlaneDraft(points_um=POINTS[:2]).plane() is None
    with pytest.raises(GeometryError, match="one line or spot"):
        PlaneDraft(points_um=POINTS[:2] + POINTS[:1]).plane()
    rms = Plane.through_points(POINTS).made["residual_rms_um"]
    assert f"misfit {rms:.3g} µm" in misfit_words(Plane.through_points(POINTS))
    assert "0 µm apart" in misfit_words(Plane.through_lines(*LINES))


def test_steps_go_back_and_forth() -> None:
    history = PlaneHistory()
    for n in range(1, 5):
        assert history.change(*with_points(history.draft, POINTS[:n]))
    with_all = history.draft
    assert history.undo_name == "point 4"
    for shift in (1.0, 12.0, 125.0):  # typed digit by digit
        history.change(replace(history.draft, shift_um=shift), "shift", goes_on=True)
    assert [s.name for s in history.done][-2:] == ["point 4", "shift"]
    assert not history.change(history.draft, "shift")
    history.note("reslice", 7)
    assert history.undo().deed == 7
    assert history.undo().name == "shift"
    assert history.draft == with_all
    assert history.undo().name == "point 4"
    assert history.draft.points_um == POINTS[:3]
    assert [history.redo().name, history.redo().name] == ["point 4", "shift"]
    assert history.draft.shift_um == 125.0
    history.redo()
    assert history.redo() is None
    history.undo()
    history.undo()
    history.change(*with_lines(history.draft, LINES))
    assert history.redo_name == ""  # another way was taken
    assert history.draft.way == "lines"
    assert with_points(history.draft, POINTS[1:])[1] == "delete a point"
    assert with_points(history.draft, POINTS[::-1])[1] == "move a point"


def test_a_plane_is_dragged_and_swung() -> None:
    draft = PlaneDraft(points_um=POINTS, tilt_degrees=(3.0, -2.0), shift_um=4.0, is_flipped=True)
    before = draft.plane()
    moved = shifted_by(draft, (2.0, -1.0, 3.0)).plane()
    assert moved.place([before.origin_um + (2.0, -1.0, 3.0)])[0, 0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(moved.normal, before.normal)
    pivot, axis = before.points([(0.0, 7.0, -5.0)])[0], np.array([0.3, 1.0, -0.2])
    turn = Rotation.from_rotvec(np.deg2rad(11) * axis / np.linalg.norm(axis))
    after = swung(draft, pivot, axis, 11).plane()
    np.testing.assert_allclose(after.normal, turn.apply(before.normal.copy()), atol=1e-12)
    assert after.place([pivot])[0, 0] == pytest.approx(0, abs=1e-9)
    back = swung(swung(draft, (9, 9, 9), axis, 11), (9, 9, 9), axis, -11)
    np.testing.assert_allclose(back.tilt_degrees, draft.tilt_degrees, atol=1e-9)
    assert back.shift_um == pytest.approx(4)


def test_a_picture_is_what_resampling_gives_there() -> None:
    data = np.random.default_rng(0).integers(0, 4000, (1, 2, 14, 24, 25)).astype(np.uint16)
    image = SpatialImage(
        (da.from_array(data, chunks=-1),),
        (Grid.from_spacing((14, 24, 25), (3, 2, 2)),),
        (Channel("a"), Channel("b")),
        Source(Path("x"), "sample"),
    )
    plane = Plane.through_points(POINTS)
    picture = plane_picture(image, plane, (1, 0), most_pixels=500)
    assert picture.grid == picture_grid(image, plane, 500)
    expected = resample(image, Affine.identity(), picture.grid, interpolation="linear")
    np.testing.assert_array_equal(picture.values, expected.data.compute()[0, ::-1, 0])
    assert np.isfinite(picture.values).mean() > 0.8
    small = plane_picture(image, plane, (0,), most_pixels=12)
    assert max(small.values.shape[1:]) == 12
    assert small.size_um == pytest.approx(picture.size_um, rel=0.15)
    with pytest.raises(GeometryError, match=r"lies 58\.5 um from it: shift"):
        plane_picture(image, Plane.from_normal((-60, 0, 0), (1, 0, 0)))
