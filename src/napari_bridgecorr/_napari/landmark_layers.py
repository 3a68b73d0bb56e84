"""Landmarks to two Points layers and back. A point is known by its id, never by its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import apply_affine
from ..landmarks import Landmark, LandmarkSet, Point, Side
from .frames import (
    METADATA_KEY,
    SPATIAL_AXES,
    SPATIAL_UNITS,
    LandmarkTag,
    spatial_points,
    tag_of,
    world_matrix,
)

if TYPE_CHECKING:
    from napari.layers import Points

LayerData = tuple[Any, dict[str, Any], str]
FloatArray = NDArray[np.float64]

SIDES: tuple[Side, Side] = ("fixed", "moving")
COLOURS: dict[Side, str] = {"fixed": "#29d3ff", "moving": "#ffb02e"}
LAYER_NAMES: dict[Side, str] = {"fixed": "landmarks (fixed)", "moving": "landmarks (moving)"}

_SMALLEST_UM = 1e-3
_DEFAULT_UM = 20.0
_FRACTION_OF_EXTENT = 1 / 45
_FILL_OPACITY = 0.35
# the columns of a layer's features, and what a new point has
DEFAULTS: dict[str, Any] = {"id": "", "name": "", "enabled": True, "check": False, "source": ""}
_FLAGS = ("enabled", "check")


def landmarks_to_layers(
    landmarks: LandmarkSet,
    frames: tuple[FloatArray, FloatArray] | None = None,
    sizes_um: tuple[float | None, float | None] = (None, None),
    scales_um: tuple[float, float] = (1.0, 1.0),
) -> list[LayerData]:
    """Two Points layers, fixed and moving; a half pair appears in one only.

    Parameters
    ----------
    landmarks : LandmarkSet
    frames : two (4, 4) float64, optional
        From where each layer is shown to world um; the world itself by default.
    sizes_um : two float, optional
        Diameter of the marks; judged from their extent by default.
    scales_um : two float
        What one unit of the layers' data is.
    """
    chosen = frames or (np.eye(4), np.eye(4))
    found = []
    for side, frame, size, scale in zip(SIDES, chosen, sizes_um, scales_um, strict=True):
        mine = [m for m in landmarks if position(m, side) is not None]
        world = np.array([position(m, side) for m in mine], dtype=np.float64).reshape(-1, 3)
        shown = world if np.array_equal(frame, np.eye(4)) else to_shown(frame, world)
        arguments = point_arguments(side, mine, shown, frame, size, scale)
        found.append((shown if scale == 1 else shown / scale, arguments, "points"))
    return found


def point_arguments(
    side: Side,
    landmarks: Sequence[Landmark],
    shown_um: FloatArray,
    frame: FloatArray,
    size_um: float | None = None,
    scale_um: float = 1.0,
) -> dict[str, Any]:
    """napari's arguments for the Points layer of one side.

    `scale_um` is what one unit of the layer's data is. napari's sliders step by the smallest scale
    of any layer: 1 um would make fifty notches of one plane of an MRI.
    """
    extent = float(np.linalg.norm(np.ptp(shown_um, axis=0))) if len(shown_um) > 1 else 0.0
    judged = max(extent * _FRACTION_OF_EXTENT, _SMALLEST_UM) if extent else _DEFAULT_UM
    red, green, blue = (int(COLOURS[side][i : i + 2], 16) / 255 for i in (1, 3, 5))
    return {
        "name": LAYER_NAMES[side],
        "ndim": 3,
        "scale": (scale_um,) * 3,
        "units": SPATIAL_UNITS,
        "axis_labels": SPATIAL_AXES,
        "features": {
            "id": np.array([m.id for m in landmarks], dtype=object),
            "name": np.array([m.name for m in landmarks], dtype=object),
            "enabled": np.array([m.enabled for m in landmarks], dtype=bool),
            "check": np.array([m.check for m in landmarks], dtype=bool),
            "source": np.array([m.source for m in landmarks], dtype=object),
        },
        # a click makes a point without an id, which then gets the next free one
        "feature_defaults": dict(DEFAULTS),
        "text": {
            "string": "{id}",
            "color": COLOURS[side],
            "size": 9,
            "anchor": "upper_left",
        },
        "size": (size_um or judged) / scale_um,
        "symbol": "disc",
        "face_color": [red, green, blue, _FILL_OPACITY],
        "border_color": COLOURS[side],
        "border_width": 0.15,
        # always large enough to grab, never so large that it hides what it marks
        "canvas_size_limits": (9, 40),
        "projection_mode": "rescale_linear",
        "metadata": {METADATA_KEY: LandmarkTag(side, frame)},
    }


def position(landmark: Landmark, side: Side) -> Point | None:
    """World position (um) on one side."""
    return landmark.fixed_um if side == "fixed" else landmark.moving_um


def to_shown(frame: FloatArray, world_um: FloatArray) -> FloatArray:
    """(n, 3) world um to where a layer of this frame shows them."""
    return apply_affine(np.linalg.inv(frame), world_um)


def world_points(layer: Points, um_per_unknown_unit: float = 1.0) -> FloatArray:
    """(n, 3) world positions (um) of a Points layer, by its own scale, affine and units.

    Parameters
    ----------
    layer : Points
    um_per_unknown_unit : float
        For a layer without units: those of the image that it marks, as napari draws them.
    """
    if not len(layer.data):
        return np.empty((0, 3))
    return apply_affine(world_matrix(layer, um_per_unknown_unit), spatial_points(layer.data))


def points_to_landmarks(
    fixed: Points | None,
    moving: Points | None,
    um_per_unknown_unit: tuple[float, float] = (1.0, 1.0),
) -> LandmarkSet:
    """Landmarks of a pair of Points layers, paired by id; neither layer is changed.

    Points without an id get one as :func:`completed_ids` gives it. A landmark is enabled unless
    either of its points is not, and set aside to check fits if either is.
    """
    ids = completed_ids(raw_ids(fixed), raw_ids(moving))
    found: dict[str, dict[str, Any]] = {}
    for side, layer, names, unit in zip(
        SIDES, (fixed, moving), ids, um_per_unknown_unit, strict=True
    ):
        if layer is None:
            continue
        titles, enabled = _column(layer, "name", ""), _column(layer, "enabled", True)
        checks, sources = _column(layer, "check", False), _column(layer, "source", "")
        for row, (name, point) in enumerate(zip(names, world_points(layer, unit), strict=True)):
            record = found.setdefault(
                name, {"name": "", "enabled": True, "check": False, "source": ""}
            )
            record[f"{side}_um"] = tuple(float(v) for v in point)
            record["name"] = record["name"] or _text(titles[row])
            record["enabled"] = record["enabled"] and _truth(enabled[row])
            record["check"] = record["check"] or _truth(checks[row], False)
            record["source"] = record["source"] or _text(sources[row])
    return LandmarkSet(tuple(Landmark(id=name, **record) for name, record in found.items()))


def completed_ids(
    fixed: Sequence[str], moving: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give every point an id of its own.

    A point without one, or with that of a point before it (napari copies a selected point's
    features to the next click), gets the first id that the other side has and this side lacks: so
    the n-th new point of one side meets the n-th of the other. Where there is none it gets the next
    free number.
    """
    left = _kept(fixed)
    right = _kept(moving)
    number = _highest_number([*fixed, *moving])
    for own, other in ((left, right), (right, left)):
        taken = {i for i in own if i}
        waiting = iter([i for i in other if i and i not in taken])
        for row, name in enumerate(own):
            if name:
                continue
            own[row] = next(waiting, "")
            if not own[row]:
                number += 1
                own[row] = f"L{number:02d}"
    return tuple(left), tuple(right)


def assign_ids(fixed: Points | None, moving: Points | None) -> None:
    """Write the ids of :func:`completed_ids` into the layers, where they lack any."""
    completed = completed_ids(raw_ids(fixed), raw_ids(moving))
    for layer, names in zip((fixed, moving), completed, strict=True):
        if layer is None or raw_ids(layer) == list(names):
            continue
        set_features(layer, id=list(names))


def set_features(layer: Points, **columns: list[Any]) -> None:
    """Replace or add feature columns, keeping the others, the defaults and the labels."""
    table = layer.features.copy()
    for name, values in columns.items():
        table[name] = np.array(values, dtype=bool if name in _FLAGS else object)
    for name, default in DEFAULTS.items():
        if name not in table:
            table[name] = [default] * len(table)
    for name in _FLAGS:
        table[name] = [_truth(v, DEFAULTS[name]) for v in table[name]]
    set_table(layer, table)


def set_table(layer: Points, table: Any) -> None:
    """Replace all feature columns, keeping the defaults of those that others wrote."""
    layer.features = table
    others = layer.feature_defaults
    kept = {str(name): others[name].iloc[0] for name in others}
    layer.feature_defaults = {name: DEFAULTS.get(name, value) for name, value in kept.items()}


def expect_click(layer: Points, landmark_id: str = "") -> None:
    """Say what the next click makes, whatever is selected: napari copies its features."""
    if "id" not in layer.features:
        return
    defaults = {
        name: DEFAULTS.get(str(name), column.iloc[0])
        for name, column in layer.feature_defaults.items()
    }
    wanted = {**defaults, "id": landmark_id}
    now = {name: column.iloc[0] for name, column in layer.feature_defaults.items()}
    if now != wanted:  # napari tells the whole window of it
        layer.feature_defaults = wanted
    if layer.current_symbol != "disc":
        layer.current_symbol = "disc"


def set_feature(layer: Points, landmark_id: str, column: str, value: Any) -> None:
    """Set one feature of one landmark's point, if it has one here."""
    if landmark_id not in raw_ids(layer):
        return
    default = DEFAULTS.get(column, "")
    table = layer.features
    values = list(table[column]) if column in table else [default] * len(table)
    row = raw_ids(layer).index(landmark_id)
    values[row] = value
    set_features(layer, **{column: values})
    if column == "enabled":
        symbols = layer.symbol
        symbols[row] = "disc" if value else "x"
        layer.symbol = symbols


def set_scale(layer: Points, scale_um: float) -> None:
    """Let one unit of a Points layer of ours be `scale_um`; the points stay where they are."""
    before = float(layer.scale[-1])
    if layer.ndim != 3 or np.ptp(layer.scale) or before == scale_um:
        return
    ratio = before / scale_um
    sizes, current = layer.size * ratio, float(layer.current_size) * ratio
    layer.scale = (scale_um,) * 3
    layer.data = layer.data * ratio
    layer.size = sizes
    layer.selected_data = set()
    layer.current_size = current


def raw_ids(layer: Points | None) -> list[str]:
    """The ids as they stand in the layer; "" where there is none."""
    if layer is None:
        return []
    return [_text(v) for v in _column(layer, "id", "")]


def side_of(layer: Points) -> Side | None:
    """Which side a Points layer marks, by what it remembers or else by its name."""
    tag = tag_of(layer)
    if isinstance(tag, LandmarkTag):
        return tag.side
    words = layer.name.lower()
    named = [side for side in SIDES if side in words]
    return named[0] if len(named) == 1 else None


def _column(layer: Points, name: str, default: Any) -> list[Any]:
    table = layer.features
    return list(table[name]) if name in table else [default] * len(layer.data)


def _text(value: Any) -> str:
    """A cell as text; "" for what pandas puts where there is nothing."""
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in ("nan", "none", "<na>") else text


def _truth(value: Any, unsaid: bool = True) -> bool:
    """Whether a cell says yes; `unsaid` where it is empty."""
    text = _text(value).lower()
    return text not in ("false", "0", "0.0", "no") if text else unsaid


def _kept(ids: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    kept = []
    for name in ids:
        kept.append("" if name in seen else name)
        seen.add(name)
    return kept


def _highest_number(ids: Sequence[str]) -> int:
    numbers = [int(i[1:]) for i in ids if i[:1] == "L" and i[1:].isascii() and i[1:].isdigit()]
    return max(numbers, default=0)
