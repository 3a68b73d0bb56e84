"""Landmarks to Points layers and back; ids, units and half pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_bridgecorr.landmarks import Landmark, LandmarkSet

pytest.importorskip("napari")

from napari.layers import Points

from napari_bridgecorr._napari.frames import upright_frame
from napari_bridgecorr._napari.landmark_layers import (
    assign_ids,
    completed_ids,
    landmarks_to_layers,
    points_to_landmarks,
    raw_ids,
    set_scale,
)
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.io.landmark_files import read_landmarks, write_landmarks

LANDMARKS = LandmarkSet(
    (
        Landmark("B", "fork", True, (1.5, 2.0, 3.0), (10.0, 20.0, 30.0)),
        Landmark("A", "bend", False, (4.0, 5.0, 6.0), (40.0, 50.0, 60.0)),
        Landmark("C", "", True, (7.0, 8.0, 9.0), None),
        Landmark("D", "", True, None, (70.0, 80.0, 90.0)),
    )
)


def layers_of(landmarks: LandmarkSet, **options: Any) -> list[Points]:
    return [Points(data, **more) for data, more, _ in landmarks_to_layers(landmarks, **options)]


def by_id(landmarks: LandmarkSet) -> dict[str, Landmark]:
    return {m.id: m for m in landmarks}


def test_round_trip() -> None:
    fixed, moving = layers_of(LANDMARKS)
    assert fixed.data.tolist() == [[1.5, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert [str(u) for u in fixed.units] == ["micrometer"] * 3
    assert fixed.scale.tolist() == [1, 1, 1]
    assert by_id(points_to_landmarks(fixed, moving)) == by_id(LANDMARKS)


def test_round_trip_through_an_oblique_frame_and_another_scale() -> None:
    matrix = np.array([[-4.0, 1, 0, 9], [1, 3, 0, 8], [0, 1, -5, 7], [0, 0, 0, 1]])
    frame = upright_frame(Grid((3, 4, 5), matrix))
    layers = layers_of(LANDMARKS, frames=(frame, np.eye(4)), scales_um=(4.0, 1.0))
    back = by_id(points_to_landmarks(*layers))
    for name, landmark in by_id(LANDMARKS).items():
        if landmark.fixed_um is not None:
            assert np.allclose(back[name].fixed_um, landmark.fixed_um, atol=1e-9)
    set_scale(layers[1], 25.0)
    assert np.allclose(by_id(points_to_landmarks(*layers))["B"].moving_um, (10, 20, 30))


def test_order_is_not_identity() -> None:
    fixed, moving = layers_of(LANDMARKS)
    order = [2, 0, 1]
    features = moving.features.iloc[order].reset_index(drop=True)
    moving.data = moving.data[order]
    moving.features = features
    assert by_id(points_to_landmarks(fixed, moving)) == by_id(LANDMARKS)


def test_a_layer_of_its_own_scale_and_units_is_converted() -> None:
    fixed = Points([[1.0, 2.0, 3.0]], scale=(2, 1, 1), translate=(0.5, 0, 0), units=("mm",) * 3)
    moving = Points([[4.0, 5.0]], units=("nm", "nm"))
    (pair,) = points_to_landmarks(fixed, moving)
    assert np.allclose(pair.fixed_um, (2500, 2000, 3000))
    assert np.allclose(pair.moving_um, (0, 0.004, 0.005))
    # without units: those of the image that it marks
    (pair,) = points_to_landmarks(Points([[1.0, 2, 3]]), moving, (1000.0, 1.0))
    assert pair.fixed_um == (1000.0, 2000.0, 3000.0)


@pytest.mark.parametrize(
    ("fixed", "moving", "expected"),
    [
        (("", ""), ("", ""), (("L01", "L02"), ("L01", "L02"))),
        (("L01", ""), ("L01",), (("L01", "L02"), ("L01",))),
        (("L01", "L02"), ("L01", ""), (("L01", "L02"), ("L01", "L02"))),
        # a deleted point clicked again meets its old partner
        (("L01", "L03", ""), ("L01", "L02", "L03"), (("L01", "L03", "L02"), ("L01", "L02", "L03"))),
        # napari copies a selected point's features to the next click
        (("L01", "L01"), (), (("L01", "L02"), ())),
        (("x", "L07", ""), (), (("x", "L07", "L08"), ())),
    ],
)
def test_new_points_get_ids(fixed: Any, moving: Any, expected: Any) -> None:
    assert completed_ids(fixed, moving) == expected


def test_points_clicked_by_hand_are_numbered_on_both_sides() -> None:
    fixed, moving = Points(np.empty((0, 3))), Points(np.empty((0, 3)))
    for number in range(3):
        fixed.add([number, 0, 0])
        assign_ids(fixed, moving)
    for number in range(3):
        moving.add([number, 1, 1])
        assign_ids(fixed, moving)
    assert raw_ids(fixed) == raw_ids(moving) == ["L01", "L02", "L03"]
    found = points_to_landmarks(fixed, moving)
    assert all(m.is_pair and m.enabled for m in found)


def test_csv_opens_and_saves_in_the_window(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    write_landmarks(LANDMARKS, path)
    opened = viewer.open(path, plugin="napari-bridgecorr")
    assert [layer.name for layer in opened] == ["landmarks (fixed)", "landmarks (moving)"]
    viewer.layers.select_all()
    saved = tmp_path / "again.csv"
    viewer.layers.save(str(saved), selected=True, plugin="napari-bridgecorr")
    assert by_id(read_landmarks(saved)) == by_id(LANDMARKS)
    viewer.layers.selection = {opened[0]}
    alone = tmp_path / "fixed.csv"
    viewer.layers.save(str(alone), selected=True, plugin="napari-bridgecorr")
    assert all(m.moving_um is None for m in read_landmarks(alone))


def test_another_csv_is_not_taken_for_landmarks(tmp_path: Path) -> None:
    from napari_bridgecorr._napari.reader import get_landmark_reader

    path = tmp_path / "points.csv"
    path.write_text("animal,sex,weight\nM1,f,20.5\n")
    assert get_landmark_reader(str(path)) is None


def test_a_suggested_pair_stays_marked() -> None:
    found = landmarks_to_layers(
        LandmarkSet(
            (
                Landmark("a", fixed_um=(1, 2, 3), moving_um=(4, 5, 6), source="suggested"),
                Landmark("b", fixed_um=(7, 8, 9), moving_um=(1, 1, 1)),
            )
        )
    )
    layers = [Points(data, **arguments) for data, arguments, _ in found]
    again = points_to_landmarks(layers[0], layers[1])
    assert [m.source for m in again] == ["suggested", ""]
