"""Many landmarks changed at once in their two Points layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry.grid import apply_affine
from .frames import world_matrix
from .landmark_layers import DEFAULTS, SIDES, expect_click, position, raw_ids, set_features

if TYPE_CHECKING:
    from napari.layers import Points

    from ..landmarks import Landmark
    from .viewer_session import ViewerSession


def set_values(session: ViewerSession, column: str, values: Mapping[str, Any]) -> None:
    """Set one column ("name", "enabled" or "check") of some landmarks, by id."""
    for side in SIDES:
        layer = session.point_layer(side)
        if layer is None:
            continue
        ids, table = raw_ids(layer), layer.features
        if not any(name in values for name in ids):
            continue
        default = {"enabled": True, "check": False}.get(column, "")
        before = list(table[column]) if column in table else [default] * len(ids)
        after = [values.get(name, old) for name, old in zip(ids, before, strict=True)]
        set_features(layer, **{column: after})
        if column == "enabled":
            symbols = layer.symbol
            for row, name in enumerate(ids):
                if name in values:
                    symbols[row] = "disc" if values[name] else "x"
            layer.symbol = symbols


def remove(session: ViewerSession, ids: Collection[str]) -> None:
    """Delete landmarks, both of their points."""
    gone = set(ids)
    for side in SIDES:
        layer = session.point_layer(side)
        rows = {row for row, name in enumerate(raw_ids(layer)) if name in gone}
        if layer is not None and rows:
            layer.selected_data = rows
            layer.remove_selected()


def add_pairs(session: ViewerSession, landmarks: Sequence[Landmark]) -> None:
    """Add complete pairs at once, as no click: no view follows, no partner is waited for."""
    for side, unit in zip(SIDES, session.unknown_units(), strict=True):
        layer = session.point_layer(side)
        if layer is None or not landmarks:
            continue
        world = np.array([position(m, side) for m in landmarks], dtype=np.float64)
        inside = apply_affine(np.linalg.inv(world_matrix(layer, unit)), world)
        before, n = np.array(layer.data, dtype=np.float64), min(layer.ndim, 3)
        rows = np.zeros((len(landmarks), layer.ndim))
        if len(before):  # of the time that the others are at
            rows[:] = before[-1]
        rows[:, -n:] = inside[:, -n:]
        columns = {
            name: [*_cells(layer, name), *[getattr(m, name) for m in landmarks]]
            for name in DEFAULTS
        }
        defaults = layer.feature_defaults
        awaited = str(defaults["id"].iloc[0]) if "id" in defaults else ""
        layer.selected_data = set()
        expect_click(layer)
        layer.data = np.concatenate([before, rows])
        set_features(layer, **columns)
        expect_click(layer, awaited)


def _cells(layer: Points, name: str) -> list[Any]:
    table = layer.features
    return list(table[name]) if name in table else [DEFAULTS[name]] * len(table)
