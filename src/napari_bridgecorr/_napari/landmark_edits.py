"""Many landmarks changed at once in their two Points layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from .landmark_layers import SIDES, raw_ids, set_features

if TYPE_CHECKING:
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
